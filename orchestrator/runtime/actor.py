"""Does on this host what the engine asks for, whoever drives: a Temporal worker, or the break-glass process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.domain.audit import Checkpoint
from orchestrator.domain.derivation import derive
from orchestrator.domain.engine.undoing import by_hand
from orchestrator.domain.ensure import Goal
from orchestrator.domain.errors import GuardRefused, JournalUnavailable, ProviderError
from orchestrator.domain.ledger import Execution, Gone, GroupRecord, lifts
from orchestrator.domain.outcome import Failed, Outcome
from orchestrator.domain.plan import Kind, Plan, PlanMode, ResourceSpec
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.state import Condition, Perform, ReadError
from orchestrator.domain.world import Reading
from orchestrator.ports import Journal, Resource, Runbooks
from orchestrator.runtime import archive, audit, looking
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.effect import Order, never_cancelled, perform
from orchestrator.runtime.group import Group

Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class Mandate:
    """In whose name something is done: the group, the hash of the plan that was approved, who started it, and the ID
    of the execution."""

    group: str
    plan: str
    who: str
    execution: str

    def ledger(self, journal: Journal) -> Group:
        """The group, for this execution."""
        return Group(journal, self.group, self.execution)


@dataclass(frozen=True)
class Seen:
    """What a look has found; `why` is empty where its condition was met. `superseded`: `why` the execution that looks
    does not hold the group any more, so that nothing follows from what it sees."""

    reading: Reading | None
    why: str
    superseded: bool = False


@dataclass(frozen=True)
class Closed:
    """What is left of an execution that has ended. `warning`: what could not be written."""

    report: str
    warning: str
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Actor:
    """The one door from a driver to runbooks, world and journal. It decides nothing about order."""

    runbooks: Runbooks
    adapters: Adapters
    journal: Journal

    def planned(self, runbook: str, to: str, mode: PlanMode) -> tuple[Plan, GroupRecord]:
        """The plan that follows from the runbook as it is now, and the group's ledger. Raises TideoverError."""
        plan = derive(self.runbooks.runbook(runbook), self.adapters.catalog, to, mode, self.journal.id)
        return plan, Group(self.journal, plan.group).record()

    def refused(self, plan: Plan, who: str, why: str) -> None:
        """That the group was not given to `who` stands in the audit trail."""
        Group(self.journal, plan.group).refused(plan, who, {"why": why})

    def checked(self, specs: Mapping[str, ResourceSpec]) -> tuple[dict[str, Reading], dict[str, ReadError]]:
        """A reading or an error of every resource."""
        return looking.check({name: self._opener(spec) for name, spec in specs.items()})

    def claimed(
        self, plan: Plan, execution: Execution, gone: Gone | None, asked_at: dict[str, float], seen: int
    ) -> GroupRecord | str:
        """The group claimed for this execution, or why not. `gone`: who held it and surely runs no more."""
        return Group(self.journal, plan.group).claim(plan, execution, gone, asked_at, seen)

    def performed(self, spec: ResourceSpec, asked: Perform, mandate: Mandate, cancelled: Cancelled) -> Outcome:
        """How the attempt ended."""
        try:
            resource = self.adapters.open(spec)
        except ProviderError as error:
            return Failed(why=str(error))
        goal = Goal(
            resource=asked.want.resource, desired=asked.want.desired, may_be_there=asked.may_be_there,
            identity=asked.identity, patience=asked.patience,
        )  # fmt: skip
        order = Order(
            attempt=asked.attempt, want=asked.want, goal=goal, before=asked.before, plan=mandate.plan,
            who=mandate.who, timeout=asked.timeout, first=asked.first,
        )  # fmt: skip
        return perform(mandate.ledger(self.journal), resource, order, cancelled)

    def looked(
        self, kind: Kind, spec: ResourceSpec, until: tuple[Condition, float], mandate: Mandate,
        cancelled: Cancelled = never_cancelled,
    ) -> Seen:  # fmt: skip
        """The reading that a step of this kind waits for, or why not. `until`: the condition, and seconds for it."""
        group = mandate.ledger(self.journal)
        with suppress(JournalUnavailable):  # what it goes on to change is refused then
            if lost := group.superseded():
                return Seen(None, lost, superseded=True)
        try:
            resource = self.adapters.open(spec)
        except ProviderError as error:
            return Seen(None, str(error))
        if kind == "recheck":
            return Seen(*looking.glance(resource))
        reading, why = looking.look_until(resource, *until, cancelled)
        if lifts(kind, why) and spec.site:
            try:
                group.release(spec.component, spec.site, mandate.who, mandate.plan)
            except GuardRefused as refused:
                return Seen(reading, str(refused))
        return Seen(reading, why)

    def closed(self, record: ExecutionRecord, epoch: int | None) -> Closed:
        """The record of the execution kept, then the group released where it holds it. Done twice it does no harm.

        In this order: whoever is lost in between still holds the group, and comes back to it. `epoch`: of its claim,
        where it heard of it. Raises JournalUnavailable where the group may still be held.
        """
        report, finish, warning = archive.keep(self.journal, record), record.finish, ""
        if finish is not None:
            detail = {"execution": record.execution.id, "end": str(finish.end), "why": finish.why}
            try:
                group = Group(self.journal, record.plan.group, record.execution.id)
                group.close(record.plan, epoch, finish.end.clean, detail, by_hand(record.plan, record.state()))
            except GuardRefused as refused:
                warning = "" if str(refused) in finish.why else str(refused)
        return Closed(report, warning, audit.checkpoint(self.journal))

    def _opener(self, spec: ResourceSpec) -> Callable[[], Resource]:
        return lambda: self.adapters.open(spec)
