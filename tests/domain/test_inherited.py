"""An execution that goes on after one that was lost half-way never says that all is as it was while it is not (I4)."""

from __future__ import annotations

import pytest

from orchestrator.domain.commands import Abort
from orchestrator.domain.engine import fold, next_actions, start
from orchestrator.domain.engine.advance import advance
from orchestrator.domain.engine.steps import UNDO_TRIES
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.domain.outcome import Failed, Outcome, Refused, Unknown
from orchestrator.domain.plan import Plan, Want
from orchestrator.domain.state import (
    Checked,
    End,
    Ended,
    ExecutionState,
    Human,
    Issued,
    LookStarted,
    Perform,
    ReadError,
    Status,
    StepRecord,
)
from orchestrator.domain.world import Power, Reading, Records, Replication, Role
from tests.domain import runbooks

PLAN: Plan = runbooks.planned(runbooks.demo(), "planned", "right")
(STOPPED,) = PLAN.step("db.stop").wants
PRIMARY = Role(role="primary")
ABORT = Human(command=Abort(by="ann", reason="enough"), at=9.0)


def _request(epoch: int) -> Request:
    return Request(attempt=Attempt(epoch=epoch, step="db.stop", method=0, n=1), want=STOPPED, before=PRIMARY, at=1.0)


def _failed(record: GroupRecord, found: Role = PRIMARY) -> ExecutionState:
    """The second execution: it was approved, and its stop of the source has surely done nothing."""
    execution = Execution(id="e2", who="ann", plan=PLAN.digest, mode="planned", target="right", since=2.0)
    state = start(PLAN, execution, record.model_copy(update={"epoch": 2, "execution": execution}))
    done = {step.id: StepRecord(status=Status.DONE) for step in PLAN.of_kind("check", "approve")}
    failed = {"db.stop": StepRecord(status=Status.FAILED, outcome=Failed(why="the session was lost"), tries=1)}
    reading = Reading(states=(found,), authority="db@left")
    return state.model_copy(
        update={"claimed": True, "steps": {**state.steps, **done, **failed}, "found": {STOPPED.resource: reading}}
    )


def _record(**fields: object) -> GroupRecord:
    return GroupRecord(group=PLAN.group, before={STOPPED.resource: PRIMARY}).model_copy(update=fields)


def test_where_nothing_is_inherited_a_definite_failure_is_rolled_back() -> None:
    finish = advance(PLAN, _failed(_record())).finish
    assert finish is not None
    assert finish.end is End.ROLLED_BACK


@pytest.mark.parametrize(
    ("record", "found"),
    [
        pytest.param(_record(doubts=(_request(1),), issued=(_request(1),)), PRIMARY, id="in doubt"),
        pytest.param(_record(issued=(_request(1),)), Role(role="stopped"), id="done"),
        pytest.param(_record(issued=(_request(1),)), Role(role="standby"), id="neither as asked nor as before"),
    ],
)
def test_what_a_lost_execution_asked_for_is_left_to_a_human(record: GroupRecord, found: Role) -> None:
    waiting = advance(PLAN, _failed(record, found))
    assert waiting.finish is None
    assert waiting.waiting is not None
    finish = fold(PLAN, waiting, ABORT).finish
    assert finish is not None
    assert finish.end is End.NEEDS_HUMAN
    assert str(STOPPED) in finish.why


def test_what_was_put_back_since_is_no_longer_anybodys() -> None:
    finish = advance(PLAN, _failed(_record(issued=(_request(1),)), PRIMARY)).finish
    assert finish is not None
    assert finish.end is End.ROLLED_BACK


def test_a_doubt_about_what_was_there_before_harms_nobody() -> None:
    finish = advance(PLAN, _failed(_record(doubts=(_request(1),), before={STOPPED.resource: STOPPED.desired}))).finish
    assert finish is not None
    assert finish.end is End.ROLLED_BACK


# A site that is lost for good never answers again: what was asked of it must not stand in the way for ever.

FORCED: Plan = runbooks.planned(runbooks.demo(), "forced", "right")
COMES_UP = Want(resource="db@left", component="db", site="left", desired=PRIMARY)
LATE = FORCED.resources["db@left"].late_effect or 0.0


def _checked_at(at: float) -> ExecutionState:
    """A forced failover whose source answers nowhere. Its promotion, asked for at 1.0, was never answered."""
    execution = Execution(id="e2", who="ann", plan=FORCED.digest, mode="forced", target="right", since=at)
    sent = Request(attempt=Attempt(epoch=1, step="db.promote", method=0, n=1), want=COMES_UP, before=None, at=1.0)
    state = start(FORCED, execution, GroupRecord(group=FORCED.group, epoch=1, doubts=(sent,), issued=(sent,)))
    gone = ReadError(error="Unreachable", why="no answer", lasting=False)
    for step in FORCED.of_kind("check"):
        right = {name: _standby(name) for name in step.looks_at if not name.startswith("db@left")}
        left = {name: gone for name in step.looks_at if name not in right}
        state = fold(FORCED, state, LookStarted(step=step.id, at=at))
        state = fold(FORCED, state, Checked(step=step.id, readings=right, errors=left, at=at))
    return state


def _standby(name: str) -> Reading:
    if name == "db@right":
        at = Replication(timeline=1, received=9, replayed=9, last_commit_at=1.0)
        return Reading(states=(Role(role="standby"),), authority=name, authoritative=True, replication=at)
    state = Power(power="on") if ":" in name else Records(records={"A": ("192.0.2.1",)}, ttl=5)
    return Reading(states=(state,), authority=name, authoritative=True)


def test_what_can_no_longer_come_stands_in_nobodys_way() -> None:
    state = _checked_at(1.0 + LATE + 0.1)
    assert state.finish is None, state.finish
    assert state.record.doubts == ()
    assert state.asked_at["db@left"] == state.now, "the claim settles it in the journal as well"
    assert [r.want for r in state.record.issued] == [COMES_UP], "that it was asked for is not forgotten"


def test_while_it_can_come_it_is_told_until_when() -> None:
    finish = _checked_at(1.0 + LATE - 90).finish
    assert finish is not None
    assert finish.end is End.REFUSED
    assert "may still take effect: for 90s more at most; start it again then" in finish.why


# An undo that surely had no effect is tried again.


@pytest.mark.parametrize(("outcomes", "end"), [
    ([Failed(why="the line was cut")], None),
    ([Failed(why="the line was cut")] * UNDO_TRIES, End.NEEDS_HUMAN),
    ([Refused(why="another machine")], End.NEEDS_HUMAN),
    ([Unknown(why="no answer")], End.NEEDS_HUMAN),
], ids=["once", "as often as it is tried", "refused", "unknown"])  # fmt: skip
def test_how_often_an_undo_is_tried(outcomes: list[Outcome], end: End | None) -> None:
    sent = _request(2)
    state = fold(PLAN, _failed(_record(issued=(sent,))), ABORT)
    for number, outcome in enumerate(outcomes):
        (asked,) = next_actions(PLAN, state)
        assert isinstance(asked, Perform)
        assert asked.attempt.undo
        state = fold(PLAN, state, Issued(attempt=asked.attempt, want=asked.want, at=10.0 + number))
        state = fold(PLAN, state, Ended(attempt=asked.attempt, outcome=outcome, at=10.5 + number))
    assert (state.finish.end if state.finish else None) == end
