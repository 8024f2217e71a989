"""`failback`: the old primary rebuilt, then the service moved back to it. Each is approved by its own hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from orchestrator.app.break_glass.kept import is_break_glass
from orchestrator.app.break_glass.opening import Order, again
from orchestrator.app.cli.approving import Approver, Asking, ByHash
from orchestrator.app.cli.breaking_glass import WHOLE, Glass, broken_glass
from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.following import conclude
from orchestrator.app.cli.given import By
from orchestrator.app.cli.running import started
from orchestrator.app.cli.session import detachable, me
from orchestrator.app.cli.terminal import Output, can_ask, say
from orchestrator.app.executions import Executions
from orchestrator.app.library import RunbookLibrary
from orchestrator.app.registry import catalog
from orchestrator.app.settings import Settings
from orchestrator.app.situation import Situation, look
from orchestrator.app.worker import Composition
from orchestrator.domain.ledger import Execution, GroupRecord
from orchestrator.domain.plan import NO_JOURNAL, PlanMode
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.credentials import ProfileCredentials
from orchestrator.runtime.group import Group
from workflows.messages import FailoverRequest, SiteRequest


def failback(
    runbook: str,
    /,
    *,
    reprotect_only: bool = False,
    reason: str = "",
    by: By = None,
    approve: Annotated[list[str] | None, Parameter(negative="")] = None,
    glass: Glass = WHOLE,
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
    approve
        The hash of a plan, as `tideover plan` shows it: approves that one without asking. May be repeated.
    output
        How to print each end.
    """
    settings, broken = flags.settings(), glass.is_broken()
    composition = (
        glass.composition(settings, runbook, lambda: _way_back(settings, runbook))
        if broken
        else Composition.of(settings)
    )
    way = _Way(composition, runbook, reason, by or me(), tuple(approve or ()), glass)
    moves = way.moves(reprotect_only, broken)
    if broken:
        codes = (broken_glass(composition.actor, way.order(*m), way.given(*m), output=output) for m in moves)
        return next((code for code in codes if code is not ExitCode.DONE), ExitCode.DONE)
    if not can_ask() and not approve:
        say("there is no terminal to ask at: approve each execution with `tideover approve`")

    async def work(executions: Executions) -> ExitCode:
        code = ExitCode.DONE
        for mode, to in moves:
            name, request = way.request(mode, to)
            code = conclude(await started(executions, name, request, settings, way.approver(mode, to)), output)
            if code is not ExitCode.DONE:
                break
        return code

    return detachable(runbook, settings, work)


@dataclass(frozen=True)
class _Way:
    """The way back, and in whose name it is gone."""

    composition: Composition
    runbook: str
    reason: str
    by: str
    approved: tuple[str, ...]
    glass: Glass

    def moves(self, reprotect_only: bool, broken: bool) -> list[tuple[PlanMode, str]]:
        """What is left to do: mode and site of each execution, in order."""
        found = self.composition.library.runbook(self.runbook)
        record = Group(self.composition.journal, found.runbook).record()
        begun = _begun(record) if broken else None
        if begun and begun.mode != "reprotect":
            raise Stopped(ExitCode.NOT_READY, f"{begun} was not ended: go on with `{again(record.group, begun)}`")
        now = look(found, self.composition.adapters, record, self.composition.journal.id)
        old = begun.target if begun else _old_primary(now)
        rebuild = begun is not None or any((move.mode, move.to) == ("reprotect", old) for move in now.moves)
        if not rebuild:
            say(f"{old} streams already: there is nothing to rebuild")
        moves: list[tuple[PlanMode, str]] = [("reprotect", old), ("planned", old)]
        return moves[0 if rebuild else 1 : 1 if reprotect_only else 2]

    def given(self, mode: PlanMode, to: str) -> str | None:
        """The approval of this execution's plan, where one was given. Raises Stopped where only others were."""
        plan, _ = self.composition.actor.planned(self.runbook, to, mode)
        if self.approved and not {plan.hash, plan.digest} & set(self.approved):
            why = f"{mode} to {to} has the plan {plan.hash}, which no --approve names: nothing of it was begun"
            raise Stopped(ExitCode.NOT_APPROVED, why)
        return plan.hash if self.approved else None

    def approver(self, mode: PlanMode, to: str) -> Approver | None:
        """Who approves this execution from here; None where that is left to others."""
        given = self.given(mode, to)
        if given:
            return ByHash(plan=given, by=self.by, max_loss=None)
        return Asking(by=self.by) if can_ask() else None

    def request(self, mode: PlanMode, to: str) -> tuple[str, FailoverRequest | SiteRequest]:
        """The workflow, and its input."""
        if mode == "reprotect":
            return "Reprotect", SiteRequest(
                runbook=self.runbook, at=to, reason=self.reason, by=self.by, holder_is_gone=self.glass.holder_is_gone
            )
        return "Failover", FailoverRequest(
            runbook=self.runbook, to=to, mode="planned", reason=self.reason, by=self.by,
            holder_is_gone=self.glass.holder_is_gone,
        )  # fmt: skip

    def order(self, mode: PlanMode, to: str) -> Order:
        """The same for this very process."""
        return Order(self.runbook, to, mode, self.by, self.reason, self.glass.holder_is_gone)


def _begun(record: GroupRecord) -> Execution | None:
    """What a break-glass process has begun and not ended."""
    return record.execution if record.execution and is_break_glass(record.execution.id) else None


def _way_back(settings: Settings, runbook: str) -> str:
    """The site to go back to, by what the servers say, where there is no journal. Raises Stopped."""
    found = RunbookLibrary(settings.runbooks, catalog()).runbook(runbook)
    adapters = Adapters(catalog(), ProfileCredentials(settings.credentials))
    return _old_primary(look(found, adapters, None, NO_JOURNAL))


def _old_primary(now: Situation) -> str:
    """The site that is not primary, by what the servers say. Raises Stopped where that cannot be told."""
    sites = {site for spec in now.specs.values() if spec.site for site in now.primaries(spec.component)}
    if len(sites) != 1:
        told = f"{' and '.join(sorted(sites))} take writes" if sites else "no server that takes writes can be read"
        raise Stopped(ExitCode.NOT_READY, f"{told}: look with `tideover status {now.runbook.runbook}`")
    return now.runbook.other(sites.pop())
