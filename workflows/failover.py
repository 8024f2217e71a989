"""The workflows that a person starts, in the UI or by `tideover run`."""

from __future__ import annotations

from temporalio import workflow

from workflows.execution import ExecutionWorkflow

with workflow.unsafe.imports_passed_through():
    from workflows.conversion import invalid_input
    from workflows.messages import FailoverRequest, Result, SiteRequest


@workflow.defn
class Failover(ExecutionWorkflow):
    """Moves a protection group to a site, planned or forced."""

    @workflow.run
    async def run(self, request: FailoverRequest | None = None) -> Result:
        """Check, wait for approval, fence or stop, promote, point clients there, verify."""
        if request is None:
            raise invalid_input(FailoverRequest, "the input is empty")
        return await self._run(request, request.to, request.mode)


@workflow.defn
class Reprotect(ExecutionWorkflow):
    """Makes the old primary a standby of the new one."""

    @workflow.run
    async def run(self, request: SiteRequest | None = None) -> Result:
        """Check, wait for approval, isolate, start, rebuild, release."""
        if request is None:
            raise invalid_input(SiteRequest, "the input is empty")
        return await self._run(request, request.at, "reprotect")


@workflow.defn
class Unfence(ExecutionWorkflow):
    """Lifts the fence at a site whose service was never replaced."""

    @workflow.run
    async def run(self, request: SiteRequest | None = None) -> Result:
        """Check, wait for approval, power on."""
        if request is None:
            raise invalid_input(SiteRequest, "the input is empty")
        return await self._run(request, request.at, "unfence")


ALL = (Failover, Reprotect, Unfence)
