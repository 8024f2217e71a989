"""`run`, `follow` and `unfence`: an execution started or found, and followed to its end."""

from __future__ import annotations

import asyncio
from typing import Literal

from orchestrator.app.break_glass.opening import Order
from orchestrator.app.cli.approving import Approver, Asking, ByHash
from orchestrator.app.cli.breaking_glass import WHOLE, Glass, broken_glass
from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.following import Conclusion, conclude
from orchestrator.app.cli.following import follow as followed
from orchestrator.app.cli.given import By, Duration
from orchestrator.app.cli.session import come_back, detachable, group_of, me
from orchestrator.app.cli.terminal import Output, can_ask, say
from orchestrator.app.executions import POLL, Executions, Handle
from orchestrator.app.settings import Settings
from workflows.messages import FailoverRequest, SiteRequest


def run(
    runbook: str,
    /,
    *,
    to: str,
    mode: Literal["planned", "forced"],
    reason: str = "",
    by: By = None,
    approve: str | None = None,
    max_loss: Duration = None,
    detach: bool = False,
    glass: Glass = WHOLE,
    output: Output = "text",
    flags: Flags = NO_FLAGS,
) -> ExitCode:
    """Fail over (forced) or switch over (planned). Nothing is changed before it is approved.

    Parameters
    ----------
    runbook
        The name of a runbook in the worker's library.
    to
        The site to move to.
    mode
        planned: the source is stopped cleanly, nothing is lost. forced: the source is fenced.
    reason
        Why; it stands in the report.
    by
        Who you are; your user name where it is not given.
    approve
        The plan's hash, as `tideover plan` shows it: approves without asking, if it is still the same.
    max_loss
        The largest loss that the approval accepts, such as 30s.
    detach
        Do not follow the execution.
    output
        How to print the end.
    """
    name = by or me()
    if detach and glass.break_glass:
        raise Stopped(ExitCode.USAGE, "--break-glass runs in this process: there is nothing to detach from")
    if glass.is_broken():
        settings, order = flags.settings(), Order(runbook, to, mode, name, reason, glass.holder_is_gone)
        return broken_glass(glass.actor(settings, order), order, approve, max_loss, output)
    request = FailoverRequest(
        runbook=runbook, to=to, mode=mode, reason=reason, by=name, holder_is_gone=glass.holder_is_gone
    )
    approver = _approver(approve, name, max_loss)
    return _start("Failover", request, flags.settings(), approver, output, detach=detach)


def unfence(
    runbook: str,
    /,
    *,
    at: str,
    reason: str = "",
    by: By = None,
    approve: str | None = None,
    glass: Glass = WHOLE,
    output: Output = "text",
    flags: Flags = NO_FLAGS,
) -> ExitCode:
    """Power on what was fenced at a site and never replaced.

    Parameters
    ----------
    runbook
        The name of a runbook in the worker's library.
    at
        The site whose fence is lifted.
    reason
        Why; it stands in the report.
    by
        Who you are; your user name where it is not given.
    approve
        The plan's hash: approves without asking, if it is still the same.
    output
        How to print the end.
    """
    name = by or me()
    if glass.is_broken():
        settings, order = flags.settings(), Order(runbook, at, "unfence", name, reason, glass.holder_is_gone)
        return broken_glass(glass.actor(settings, order), order, approve, output=output)
    request = SiteRequest(runbook=runbook, at=at, reason=reason, by=name, holder_is_gone=glass.holder_is_gone)
    return _start("Unfence", request, flags.settings(), _approver(approve, name, None), output)


def follow(execution: str, /, *, output: Output = "text", flags: Flags = NO_FLAGS) -> ExitCode:
    """Watch an execution to its end; Ctrl-C leaves it alone. On a terminal it can be approved here.

    Parameters
    ----------
    execution
        A group, for its newest execution, or `failover/<group>#<run>`.
    output
        How to print the end.
    """
    settings = flags.settings()

    async def work(executions: Executions) -> ExitCode:
        handle = await executions.find(execution)
        return conclude(await followed(executions, handle, settings, _approver(None, me(), None)), output)

    return detachable(group_of(execution), settings, work)


def _start(
    workflow: str,
    request: FailoverRequest | SiteRequest,
    settings: Settings,
    approver: Approver | None,
    output: Output,
    *,
    detach: bool = False,
) -> ExitCode:
    async def work(executions: Executions) -> ExitCode:
        if detach:
            return await _detached(executions, await begun(executions, workflow, request), approver)
        return conclude(await started(executions, workflow, request, settings, approver), output)

    return detachable(request.runbook, settings, work)


async def started(
    executions: Executions,
    workflow: str,
    request: FailoverRequest | SiteRequest,
    settings: Settings,
    approver: Approver | None,
) -> Conclusion:
    """The execution was started and followed to its end."""
    handle = await begun(executions, workflow, request)
    return await followed(executions, handle, settings, approver)


async def begun(executions: Executions, workflow: str, request: FailoverRequest | SiteRequest) -> Handle:
    """The execution was started; that nobody takes it up is said."""
    handle = await executions.start(workflow, request)
    if not await executions.workers():
        say(executions.no_worker)
    return handle


async def _detached(executions: Executions, handle: Handle, approver: Approver | None) -> ExitCode:
    """Left alone, after it was approved by the hash where one was given."""
    say(executions.link(handle))
    while isinstance(approver, ByHash) and await executions.is_running(handle):
        seen = (await executions.look(handle)).snapshot
        if seen and "approve" in seen.may:
            await approver.answer(executions, handle, seen)
            break
        await asyncio.sleep(POLL)
    raise Stopped(ExitCode.DETACHED, come_back(group_of(handle.id)))


def _approver(plan: str | None, by: str, max_loss: float | None) -> Approver | None:
    if plan:
        return ByHash(plan=plan, by=by, max_loss=max_loss)
    return Asking(by=by, max_loss=max_loss) if can_ask() else None
