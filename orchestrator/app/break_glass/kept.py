"""A break-glass execution as the journal keeps it: its plan, and every event before it is acted upon."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from orchestrator.app.break_glass.process import Process, alive, this
from orchestrator.domain.base import Frozen
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.holder import Alive
from orchestrator.domain.ledger import Execution, GroupRecord
from orchestrator.domain.plan import Plan
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.state import Event, Finish
from orchestrator.ports import Journal
from orchestrator.runtime.decoding import decoded

PREFIX = "break-glass/"
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class TakenOver(TideoverError):
    """Another process drives the execution by now: this one must do nothing more."""


class _Head(Frozen):
    """What an execution starts with. `record`: the group's ledger as it was found."""

    plan: Plan
    execution: Execution
    reason: str
    record: GroupRecord


def new_id(group: str) -> str:
    """The ID of a new break-glass execution of the group; it leads to no workflow."""
    return f"{PREFIX}{group}#{uuid.uuid4().hex[:12]}"


def is_break_glass(execution: str) -> bool:
    """True for the ID of an execution that a break-glass process drives."""
    return execution.startswith(PREFIX)


def driver_of(journal: Journal, execution: str) -> Process | None:
    """The process that drives, or drove, the execution; None where the journal knows of none."""
    key = f"{execution}/process"
    found = journal.read(key).get(key)
    return decoded(Process.model_validate_json, key, found[0]) if found else None


def is_driven(journal: Journal, execution: str) -> Alive:
    """Whether a process drives the execution now."""
    process = driver_of(journal, execution)
    return alive(process) if process else Alive.NO


@dataclass
class Kept:
    """One execution; `events` are all that stand in the journal, in their order."""

    journal: Journal
    head: _Head
    events: list[Event] = field(default_factory=list)

    @classmethod
    def begin(cls, journal: Journal, plan: Plan, execution: Execution, reason: str, record: GroupRecord) -> Kept:
        """A new execution, driven by this process."""
        head = _Head(plan=plan, execution=execution, reason=reason, record=record)
        process = (f"{execution.id}/process", this().model_dump_json(), 0)
        journal.swap((f"{execution.id}/head", head.model_dump_json(), 0), process)
        return cls(journal, head)

    @classmethod
    def find(cls, journal: Journal, execution: str) -> Kept | None:
        """What is kept of the execution; None where nothing is."""
        found = journal.read(f"{execution}/")
        head = found.get(f"{execution}/head")
        if head is None:
            return None
        keys = sorted(key for key in found if key.startswith(f"{execution}/event/"))
        events: Iterable[Event] = (decoded(_EVENT.validate_json, key, found[key][0]) for key in keys)
        return cls(journal, decoded(_Head.model_validate_json, f"{execution}/head", head[0]), list(events))

    def take_over(self, lost: Process) -> None:
        """This process drives it from now on in place of `lost`. Raises TakenOver where another one was faster."""
        key = f"{self.head.execution.id}/process"
        found, version = self.journal.read(key).get(key, ("", 0))
        ours = (key, this().model_dump_json(), version)
        if found != lost.model_dump_json() or not self.journal.swap(ours):
            raise TakenOver(f"another process has just taken {self.head.execution.id} over")

    def append(self, event: Event) -> None:
        """The event is on the disk. Raises TakenOver where another process has written the next one already."""
        number = len(self.events) + 1
        key = f"{self.head.execution.id}/event/{number:06d}"
        if not self.journal.swap((key, json.dumps(event.model_dump(mode="json")), 0)):
            raise TakenOver(f"another process drives {self.head.execution.id} by now: this one does nothing more")
        self.events.append(event)

    def as_record(self, finish: Finish | None) -> ExecutionRecord:
        """The execution as it happened, for its report."""
        head = self.head
        return ExecutionRecord(
            plan=head.plan, execution=head.execution, reason=head.reason, record=head.record,
            events=tuple(self.events), finish=finish,
        )  # fmt: skip
