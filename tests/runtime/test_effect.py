"""One attempt on the world: every way in which it can end, and what the journal holds then."""

from __future__ import annotations

import itertools
import json
import threading
import time
from pathlib import Path

import pytest

from orchestrator.domain.errors import (
    Conflict,
    Doubtful,
    GuardRefused,
    Misconfigured,
    NotFound,
    ProviderError,
    Unreachable,
    WrongIdentity,
)
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Done, Failed, Outcome, Refused, Unknown
from orchestrator.domain.plan import Plan
from orchestrator.domain.world import Strength
from orchestrator.runtime import audit
from orchestrator.runtime.effect import Order, perform
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal
from tests.runtime.scripted import MACHINE, OFF, ON, Switch, execution, order, plan


class Stage:
    """A claimed group on a real journal."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.journal = SqliteJournal.create(self.path)
        self.plan: Plan = plan(self.journal.id)
        self.group = Group(self.journal, self.plan.group)
        claimed = self.group.claim(self.plan, execution(1, self.plan))
        assert isinstance(claimed, GroupRecord)

    def performed(self, switch: Switch, made: Order | None = None) -> Outcome:
        return perform(self.group, switch, made or order(self.plan))

    def trail(self) -> list[str]:
        return [entry.what for entry in audit.entries(self.journal)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def raising(error: Exception):  # type: ignore[no-untyped-def]
    def raise_it() -> None:
        raise error

    return raise_it


def test_done_is_read_back_and_closes_the_doubt(stage: Stage) -> None:
    switch = Switch()
    outcome = stage.performed(switch)
    assert isinstance(outcome, Done)
    assert outcome.changed
    assert outcome.evidence.strength is Strength.F2
    assert outcome.evidence.requested_at is not None
    assert outcome.evidence.read_at >= outcome.evidence.requested_at
    record = stage.group.record()
    assert (record.doubts, [r.want.resource for r in record.issued]) == ((), [MACHINE])
    assert (record.before, record.fenced) == ({MACHINE: ON}, {MACHINE: "left"})
    assert stage.trail() == ["claimed", "effect", "ended"]
    assert audit.verify(stage.journal) is None


def test_the_ledger_and_the_audit_are_written_before_the_request(stage: Stage) -> None:
    seen: list[tuple[int, list[str]]] = []

    def probe() -> None:  # another reader of the same file: what it sees is committed
        other = SqliteJournal(stage.path)
        record = Group(other, stage.plan.group).record()
        seen.append((len(record.doubts), [entry.what for entry in audit.entries(other)]))

    stage.performed(Switch(before_guard=probe, after_guard=probe))
    assert seen == [(0, ["claimed"]), (1, ["claimed", "effect"])]
    entry = next(entry for entry in audit.entries(stage.journal) if entry.what == "effect")
    assert (entry.who, entry.plan) == ("ann", stage.plan.digest)
    assert entry.detail["want"]["desired"] == OFF.model_dump()
    assert entry.detail["before"] == ON.model_dump()


def test_what_is_there_already_is_not_asked_for_where_that_is_enough(stage: Stage) -> None:
    switch = Switch(state=OFF)
    outcome = stage.performed(switch, order(stage.plan, may_be_there=True))
    assert isinstance(outcome, Done)
    assert (outcome.changed, switch.applied, stage.group.record().issued) == (False, 0, ())


def test_a_fence_is_asked_for_even_where_it_seems_to_be_there(stage: Stage) -> None:
    switch = Switch(state=OFF)
    outcome = stage.performed(switch)
    assert isinstance(outcome, Done)
    assert switch.applied == 1


def test_what_takes_time_is_waited_for(stage: Stage) -> None:
    switch = Switch(sluggish=3)
    assert isinstance(stage.performed(switch), Done)
    assert switch.looked == 5
    assert switch.applied == 1


def test_what_is_never_read_back_is_unknown_and_stays_a_doubt(stage: Stage) -> None:
    switch = Switch(effective=False)
    outcome = stage.performed(switch, order(stage.plan, timeout=0.5))
    assert isinstance(outcome, Unknown)
    assert "never read back" in outcome.why
    assert switch.applied == 1, "it is asked for once"
    assert [d.attempt.n for d in stage.group.record().doubts] == [1]


def test_a_look_that_sees_nothing_is_repeated_for_the_patience(stage: Stage) -> None:
    blind = itertools.chain([Unreachable("no"), Doubtful("no")], itertools.repeat(None))
    assert isinstance(stage.performed(Switch(looks=blind)), Done)


@pytest.mark.parametrize("error", [Unreachable("no"), Doubtful("no"), Misconfigured("no"), NotFound("no")])
def test_what_cannot_be_read_first_is_not_touched(stage: Stage, error: ProviderError) -> None:
    switch = Switch(looks=itertools.repeat(error))
    began = time.monotonic()
    outcome = stage.performed(switch)
    assert isinstance(outcome, Failed)
    assert switch.applied == 0
    assert stage.group.record().doubts == ()
    assert (time.monotonic() - began < 0.2) or error.retryable, "waiting does not mend what is lasting"


def test_another_one_than_the_check_saw_is_refused(stage: Stage) -> None:
    switch = Switch(identity="other")
    outcome = stage.performed(switch, order(stage.plan, identity="mine"))
    assert isinstance(outcome, Refused)
    assert switch.applied == 0


SURE = [Unreachable("no"), Misconfigured("no"), NotFound("no"), Conflict("no")]


@pytest.mark.parametrize("error", [*SURE, Doubtful("no"), WrongIdentity("no")])
def test_an_error_before_the_guard_is_without_effect(stage: Stage, error: ProviderError) -> None:
    outcome = stage.performed(Switch(before_guard=raising(error)))
    assert isinstance(outcome, Refused if isinstance(error, WrongIdentity) else Failed)
    record = stage.group.record()
    assert (record.doubts, record.issued) == ((), ())


@pytest.mark.parametrize("error", SURE)
def test_a_sure_error_of_the_request_itself_closes_its_doubt(stage: Stage, error: ProviderError) -> None:
    switch = Switch(after_guard=raising(error))
    assert isinstance(stage.performed(switch), Failed)
    record = stage.group.record()
    assert (record.doubts, record.issued, switch.state) == ((), (), ON)


def test_a_sure_error_of_a_second_request_says_nothing_of_the_first(stage: Stage) -> None:
    turns = iter([None, Conflict("no")])

    def second_fails() -> None:
        error = next(turns)
        if error:
            raise error

    switch = Switch(requests=2, after_guard=second_fails, effective=False)
    assert isinstance(stage.performed(switch, order(stage.plan, timeout=0.5)), Unknown)
    assert len(stage.group.record().doubts) == 1


def test_an_answer_that_is_lost_is_read_back(stage: Stage) -> None:
    outcome = stage.performed(Switch(after_effect=raising(Doubtful("timed out"))))
    assert isinstance(outcome, Done), "the reading proves it, the answer does not matter"


def test_an_answer_that_is_lost_and_no_reading_after_it_is_unknown(stage: Stage) -> None:
    looks = itertools.chain([None], itertools.repeat(Unreachable("dark")))
    switch = Switch(after_effect=raising(Doubtful("timed out")), looks=looks)
    outcome = stage.performed(switch, order(stage.plan, timeout=0.5))
    assert isinstance(outcome, Unknown)
    assert not outcome.lost
    assert len(stage.group.record().doubts) == 1


def test_each_request_has_its_own_guard_and_one_doubt_between_them(stage: Stage) -> None:
    switch = Switch(requests=3)
    assert isinstance(stage.performed(switch), Done)
    assert stage.trail().count("effect") == 3
    assert len(stage.group.record().issued) == 1


@pytest.mark.parametrize("where", ["before_guard", "after_guard", "after_effect"])
def test_a_bug_in_an_adapter_never_becomes_done(stage: Stage, where: str) -> None:
    with pytest.raises(KeyError):  # the activity fails with it, and an activity that failed is Unknown
        stage.performed(Switch(**{where: raising(KeyError("token"))}))
    assert len(stage.group.record().doubts) == (0 if where == "before_guard" else 1)


@pytest.mark.parametrize(("went_through", "surely_not"), [(False, True), (True, False)])
def test_an_error_after_something_went_through_is_no_proof_that_nothing_was_done(
    stage: Stage, went_through: bool, surely_not: bool
) -> None:
    """The line is lost between two requests of one attempt, before the second has passed its guard."""

    def then() -> None:
        if went_through:
            switch.calls[0].accepted()
        raise Unreachable("the line is down")

    switch = Switch(after_effect=then, effective=False)
    outcome = stage.performed(switch, order(stage.plan, timeout=0.5))
    assert isinstance(outcome, Failed if surely_not else Unknown)
    assert (stage.group.record().doubts == ()) == surely_not


def test_after_the_deadline_nothing_is_sent(stage: Stage) -> None:
    switch = Switch(before_guard=lambda: time.sleep(0.4))
    outcome = stage.performed(switch, order(stage.plan, timeout=0.2))
    assert isinstance(outcome, Refused)
    assert (switch.applied, stage.group.record().doubts) == (0, ())


def test_time_that_is_up_between_the_look_and_the_request_is_surely_not_sent(stage: Stage) -> None:
    switch = Switch()
    switch.looks = iter([None])
    slow = switch.observe

    def observe():  # type: ignore[no-untyped-def]
        time.sleep(0.3)
        return slow()

    switch.observe = observe  # type: ignore[method-assign]
    outcome = stage.performed(switch, order(stage.plan, timeout=0.2))
    assert isinstance(outcome, Refused | Failed)
    assert switch.applied == 0


def test_cancelled_before_the_request_nothing_is_sent(stage: Stage) -> None:
    stop = threading.Event()
    switch = Switch(before_guard=stop.set)
    outcome = perform(stage.group, switch, order(stage.plan), stop.is_set)
    assert isinstance(outcome, Refused)
    assert (switch.applied, stage.group.record().doubts) == (0, ())


def test_cancelled_after_the_request_it_is_still_read_back(stage: Stage) -> None:
    stop = threading.Event()
    switch = Switch(after_effect=stop.set, sluggish=2)
    assert isinstance(perform(stage.group, switch, order(stage.plan), stop.is_set), Done)


def test_cancelled_before_it_begins_it_does_nothing(stage: Stage) -> None:
    switch = Switch()
    outcome = perform(stage.group, switch, order(stage.plan), lambda: True)
    assert isinstance(outcome, Failed)
    assert (switch.looked, switch.applied) == (0, 0)


def test_an_attempt_of_an_older_number_is_refused(stage: Stage) -> None:
    assert isinstance(stage.performed(Switch(), order(stage.plan, n=2)), Done)
    switch = Switch()
    outcome = stage.performed(switch, order(stage.plan, n=1))
    assert isinstance(outcome, Refused)
    assert switch.applied == 0


def test_a_newer_attempt_revokes_an_older_one_before_it_looks(stage: Stage) -> None:
    """A frozen worker that goes on at its guard finds that another has taken over."""
    at_the_guard, go_on = threading.Event(), threading.Event()

    def freeze() -> None:
        at_the_guard.set()
        go_on.wait()

    frozen, ended = Switch(before_guard=freeze), list[Outcome]()
    thread = threading.Thread(target=lambda: ended.append(stage.performed(frozen)))
    thread.start()
    at_the_guard.wait()
    assert isinstance(stage.performed(Switch(), order(stage.plan, n=2)), Done)
    go_on.set()
    thread.join()
    assert isinstance(ended[0], Refused)
    assert frozen.applied == 0


def test_another_plan_and_another_epoch_are_refused(stage: Stage) -> None:
    for made in (order(stage.plan, plan="0" * 64), order(stage.plan, epoch=2), order(stage.plan, epoch=0)):
        switch = Switch()
        assert isinstance(stage.performed(switch, made), Refused)
        assert switch.applied == 0


def test_a_journal_that_goes_before_the_request_lets_nothing_through(stage: Stage) -> None:
    switch = Switch(before_guard=stage.path.unlink)
    outcome = stage.performed(switch)
    assert isinstance(outcome, Refused)
    assert "journal" in outcome.why
    assert switch.applied == 0


def test_a_journal_that_is_gone_before_it_begins_lets_nothing_through(stage: Stage) -> None:
    stage.path.unlink()
    switch = Switch()
    assert isinstance(stage.performed(switch), Refused)
    assert (switch.looked, switch.applied) == (0, 0)


def test_a_journal_that_goes_after_the_request_changes_no_answer(stage: Stage) -> None:
    assert isinstance(stage.performed(Switch(after_effect=stage.path.unlink)), Done)


def test_a_damaged_record_lets_nothing_through(stage: Stage) -> None:
    key = f"group/{stage.plan.group}"
    version = stage.journal.read(key)[key][1]
    assert stage.journal.swap((key, json.dumps({"group": "demo", "epoch": 1, "from_the_future": 1}), version))
    switch = Switch()
    outcome = stage.performed(switch)
    assert isinstance(outcome, Refused)
    assert "newer Tideover" in outcome.why
    assert switch.applied == 0


def test_a_token_is_there_for_the_next_attempt(stage: Stage) -> None:
    first = Switch(effective=False)
    first.after_effect = lambda: first.calls[0].checkpoint("operation-7")
    stage.performed(first, order(stage.plan, timeout=0.3))
    second = Switch()
    stage.performed(second, order(stage.plan, n=2))
    assert (first.resumed, second.resumed) == ([], ["operation-7"])


def test_a_token_that_cannot_be_kept_leaves_a_doubt(stage: Stage) -> None:
    switch = Switch(effective=False)

    def keep() -> None:
        stage.path.unlink()
        switch.calls[0].checkpoint("operation-7")

    switch.after_effect = keep
    assert isinstance(stage.performed(switch, order(stage.plan, timeout=0.3)), Unknown)


def test_the_time_that_remains_never_falls_below_nothing(stage: Stage) -> None:
    switch = Switch(effective=False)
    stage.performed(switch, order(stage.plan, timeout=0.2))
    assert switch.calls[0].remaining == 0.0


def test_a_guard_that_refuses_a_second_request_leaves_the_first_in_doubt(stage: Stage) -> None:
    stop = threading.Event()
    switch = Switch(requests=2, after_guard=stop.set, effective=False)
    outcome = perform(stage.group, switch, order(stage.plan, timeout=0.4), stop.is_set)
    assert isinstance(outcome, Unknown)
    assert switch.applied == 1
    with pytest.raises(GuardRefused):
        switch.calls[0].guard()
