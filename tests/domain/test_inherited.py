"""An execution that goes on after one that was lost half-way never says that all is as it was while it is not (I4)."""

from __future__ import annotations

import pytest

from orchestrator.domain.commands import Abort
from orchestrator.domain.engine import fold, start
from orchestrator.domain.engine.advance import advance
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.domain.outcome import Failed
from orchestrator.domain.plan import Plan
from orchestrator.domain.state import End, ExecutionState, Human, Status, StepRecord
from orchestrator.domain.world import Reading, Role
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
