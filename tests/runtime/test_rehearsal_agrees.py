"""The attempts that rehearsal makes end as those of the runtime do: the same calls, faults, world and ledger.

The runtime's own `perform` works here on an adapter over the model's world, and over a real journal that fails when it
is told to; rehearsal makes the same attempt in the same state with the same fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from orchestrator.domain import ledger
from orchestrator.domain.ensure import Phase
from orchestrator.domain.errors import Doubtful, JournalUnavailable, Rejected
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Outcome, Unknown
from orchestrator.domain.rehearsal.attempts import called
from orchestrator.domain.rehearsal.faults import FAULTS, Fault, another, possible
from orchestrator.domain.rehearsal.model import changed, observe, stale
from orchestrator.domain.rehearsal.values import Rehearsal, Try
from orchestrator.domain.world import Reading, State
from orchestrator.ports import Call
from orchestrator.runtime.effect import Order, perform
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal
from tests.domain.on_the_way import states_on_the_way
from tests.domain.test_engine import scenarios

PLENTY, WAITED_OUT = 60.0, 2.0
"""Seconds for an attempt that ends by itself, and for one that waits its time out; the machine may be busy."""

NAMES = (
    "demo forced, source healthy",
    "demo planned",
    "shop forced, source healthy",
    "pair planned",
    "demo there and back",
)
LATE = (Fault.LATE, Fault.LATE_UNANSWERED)
NO_ANSWER = (Fault.UNANSWERED, Fault.LATE_UNANSWERED)


class FailingJournal(SqliteJournal):
    """A journal that is lost at the moment of `fault`, and there again afterwards."""

    fault = Fault.NONE

    def swap(self, *changes: tuple[str, str, int], durable: bool = True) -> bool:
        closing = not durable
        if self.fault is Fault.NOT_KEPT and closing:
            raise JournalUnavailable("injected")
        if self.fault is Fault.NO_JOURNAL and not closing:
            self.fault = Fault.NONE
            raise JournalUnavailable("injected")
        done = super().swap(*changes, durable=durable)
        if self.fault is Fault.WRITTEN and done:
            self.fault = Fault.NONE
            raise JournalUnavailable("injected")
        return done


class OnTheModel:
    """An adapter whose world is the model's. `at`: which look the fault is about."""

    def __init__(self, now: Rehearsal, attempt: Try, fault: Fault, at: int) -> None:
        self.world, self.spec, self.fault, self.at = now.world, attempt.spec, fault, at
        self.attempt = attempt
        self.looks = 0

    def observe(self) -> Reading:
        self.looks += 1
        if self.fault is Fault.BLIND and self.looks >= self.at:
            raise Rejected("injected")
        if self.fault is Fault.ANOTHER and self.looks >= self.at:
            return another(self.attempt)
        reading = observe(self.world, self.spec)
        if self.looks != self.at:
            return reading
        if self.fault is Fault.STALE:
            return stale(self.world, self.spec) or reading
        update = {Fault.UNLATCHED: {"latched": False}, Fault.HEARSAY: {"authoritative": False}}.get(self.fault, {})
        return reading.model_copy(update=update)

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        call.guard()
        if self.fault is Fault.REJECTED:
            raise Rejected("injected")
        if self.fault not in LATE:
            self.world = changed(self.world, self.spec, desired, observed)
        if self.fault in NO_ANSWER:
            raise Doubtful("injected")


def attempts() -> Iterator[tuple[str, Rehearsal, Try]]:
    """Every attempt on the way of these scenarios, before its first call; undo by what goes wrong is among them."""
    for scenario in (s for s in scenarios() if s.name in NAMES):
        seen = set[str]()
        for now in states_on_the_way(scenario.begun()):
            for flight in now.flights:
                if isinstance(flight, Try) and not flight.looks and flight.place == "look":
                    name = f"{scenario.name}: {flight.order.want}"
                    if name not in seen:
                        seen.add(name)
                        yield name, now, flight


def cases() -> Iterator[tuple[str, Rehearsal, Try, int, Fault]]:
    """Each attempt with each fault at each of its calls, as far as it would make a difference."""
    for name, now, attempt in attempts():
        call, after, later = 0, attempt, now
        yield f"{name}: goes well", now, attempt, -1, Fault.NONE
        while True:
            for fault in FAULTS[after.place]:
                read_back = after.progress.phase is not Phase.LOOKING
                told_apart = fault is Fault.STALE and read_back  # by when it was begun, which only the model can say
                if possible(later, after, fault) and not told_apart:
                    yield f"{name}: call {call}, {after.place} {fault}", now, attempt, call, fault
            if after.place == "answer":
                break
            later, after = called(later, after)
            call += 1


def rehearsed(now: Rehearsal, attempt: Try, at: int, fault: Fault) -> tuple[Rehearsal, Try]:
    call = 0
    while attempt.place != "answer":
        now, attempt = called(now, attempt, fault if call == at else Fault.NONE)
        call += 1
    if fault is Fault.NOT_KEPT and call == at:
        return now, attempt
    outcome = cast("Outcome", attempt.call)
    return now._replace(journal=ledger.close_attempt(now.journal, attempt.order.attempt, outcome)), attempt


def facts(record: GroupRecord) -> dict[str, object]:
    """What the ledger says, without when."""
    timeless = {
        name: tuple(request.model_copy(update={"at": 0.0}) for request in getattr(record, name))
        for name in ("doubts", "issued")
    }
    return dict(record.model_copy(update=timeless))


CASES = list(cases())


@pytest.mark.parametrize(
    ("now", "attempt", "at", "fault"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_an_attempt_ends_alike(now: Rehearsal, attempt: Try, at: int, fault: Fault, tmp_path: Path) -> None:
    journal = FailingJournal.create(tmp_path / "journal.db")
    assert isinstance(journal, FailingJournal)
    assert journal.swap((f"group/{now.plan.group}", now.journal.model_dump_json(), 0))
    journal.fault = fault
    looks_before = 1 if at in (-1, 0) else 2
    resource = OnTheModel(now, attempt, fault, looks_before)
    group = Group(journal, now.plan.group, now.state.execution.id)
    then, ended = rehearsed(now, attempt, at, fault)
    timeout = WAITED_OUT if isinstance(ended.call, Unknown) else PLENTY
    order = attempt.order
    made = Order(
        attempt=order.attempt, want=order.want, goal=attempt.progress.goal, before=order.before,
        plan=now.mission.digest, who="ann", timeout=timeout, first=order.first,
    )  # fmt: skip
    outcome = perform(group, resource, made)
    journal.fault = Fault.NONE
    assert outcome.kind == getattr(ended.call, "kind", None)
    assert getattr(outcome, "changed", None) == getattr(ended.call, "changed", None)
    assert getattr(outcome, "answered", None) == getattr(ended.call, "answered", None)
    assert facts(group.record()) == facts(then.journal)
    assert resource.world.facts() == then.world.facts()
