"""`failback`: the old primary rebuilt, then the service moved back to it. Each is approved by its own hash."""

from __future__ import annotations

from orchestrator.app.cli.approving import Asking
from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.following import conclude
from orchestrator.app.cli.running import started
from orchestrator.app.cli.session import detachable, me
from orchestrator.app.cli.terminal import Output, can_ask, say
from orchestrator.app.executions import Executions
from orchestrator.app.situation import Situation, look
from orchestrator.app.worker import Composition
from orchestrator.runtime.group import Group
from workflows.messages import FailoverRequest, SiteRequest


def failback(
    runbook: str,
    /,
    *,
    reprotect_only: bool = False,
    reason: str = "",
    by: str | None = None,
    output: Output = "text",
    flags: Flags = NO_FLAGS,
) -> ExitCode:
    """Rebuild the old primary as a standby, then move the service back to it, planned. You are asked before each.

    Parameters
    ----------
    runbook
        The name of a runbook in the library.
    reprotect_only
        Rebuild, and stay where the service is.
    reason
        Why; it stands in the report.
    by
        Who you are; your user name where it is not given.
    output
        How to print each end.
    """
    settings, name = flags.settings(), by or me()
    composition = Composition.of(settings)
    found = composition.library.runbook(runbook)
    record = Group(composition.journal, found.runbook).record()
    now = look(found, composition.adapters, record, composition.journal.id)
    old = _old_primary(now)
    approver = Asking(by=name) if can_ask() else None
    if approver is None:
        say("there is no terminal to ask at: approve each execution with `tideover approve`")

    async def work(executions: Executions) -> ExitCode:
        code = ExitCode.DONE
        if any(move.mode == "reprotect" and move.to == old for move in now.moves):
            rebuild = SiteRequest(runbook=runbook, at=old, reason=reason, by=name)
            code = conclude(await started(executions, "Reprotect", rebuild, settings, approver), output)
        else:
            say(f"{old} streams already: there is nothing to rebuild")
        if reprotect_only or code is not ExitCode.DONE:
            return code
        back = FailoverRequest(runbook=runbook, to=old, mode="planned", reason=reason, by=name)
        return conclude(await started(executions, "Failover", back, settings, approver), output)

    return detachable(runbook, settings, work)


def _old_primary(now: Situation) -> str:
    """The site that is not primary, by what the servers say. Raises Stopped where that cannot be told."""
    writers = {name for name, _, site in (resource.partition("@") for resource in now.specs) if site}
    sites = {site for name in writers for site in now.primaries(name.partition(":")[0])}
    if len(sites) != 1:
        told = f"{' and '.join(sorted(sites))} take writes" if sites else "no server that takes writes can be read"
        raise Stopped(ExitCode.NOT_READY, f"{told}: look with `tideover status {now.runbook.runbook}`")
    return now.runbook.other(sites.pop())
