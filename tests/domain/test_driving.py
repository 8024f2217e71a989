"""What drivers share: what is announced before it is begun, and what one that starts again has to pick up."""

from __future__ import annotations

from orchestrator.domain.engine import fold, next_actions, start
from orchestrator.domain.engine.driving import announced, interrupted, once, unanswered
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord
from orchestrator.domain.outcome import Refused, Unknown
from orchestrator.domain.plan import Plan
from orchestrator.domain.state import (
    Claim,
    End,
    Ended,
    ExecutionState,
    IsState,
    Issued,
    LookFor,
    LookStarted,
    Perform,
    StartTimer,
    Status,
    StepRecord,
)
from tests.domain import runbooks

PLAN: Plan = runbooks.planned(runbooks.demo(), "forced", "right")
FENCE = PLAN.step("db.fence")
ATTEMPT = Attempt(epoch=1, step=FENCE.id, method=0, n=1)


def begun() -> ExecutionState:
    execution = Execution(id="e1", who="ann", plan=PLAN.digest, mode="forced", target="right", since=0.0)
    return start(PLAN, execution, GroupRecord(group=PLAN.group))


def running(state: ExecutionState, step: str, attempt: Attempt | None = None) -> ExecutionState:
    record = StepRecord(status=Status.RUNNING, attempt=attempt)
    return state.model_copy(update={"steps": {**state.steps, step: record}})


def test_each_action_is_announced_or_begun_once_and_never_both() -> None:
    want = FENCE.wants[0]
    perform = Perform(
        attempt=ATTEMPT, want=want, may_be_there=False, first=True, before=None, identity=None, timeout=1.0,
        patience=1.0, summary="",
    )  # fmt: skip
    look = LookFor(step="db.verify", resource=want.resource, condition=IsState(want=want), timeout=1.0)
    timer = StartTimer(id="waiting:1", at=5.0, summary="")
    assert announced(perform, 3.0) == Issued(attempt=ATTEMPT, want=want, at=3.0)
    assert announced(look, 3.0) == LookStarted(step="db.verify", at=3.0)
    assert [announced(action, 3.0) for action in (Claim(), timer)] == [None, None]
    assert [once(action) for action in (perform, look, Claim(), timer)] == [None, None, "claim", "waiting:1"]


def test_looks_that_were_announced_and_never_answered_are_done_again() -> None:
    state = begun()
    actions = next_actions(PLAN, state)
    for action in actions:
        announcement = announced(action, 1.0)
        assert announcement is not None
        state = fold(PLAN, state, announcement)
    assert next_actions(PLAN, state) == ()
    assert unanswered(PLAN, state) == actions
    measuring = running(begun(), "db.measure")
    (look,) = unanswered(PLAN, measuring)
    assert isinstance(look, LookFor)
    assert (look.step, look.resource) == ("db.measure", "db@right")


def test_attempts_that_were_lost_count_as_a_lost_workers_and_are_no_looks() -> None:
    state = running(begun(), FENCE.id, ATTEMPT)
    lost = Ended(attempt=ATTEMPT, outcome=Unknown(why="killed", lost=True), at=7.0)
    assert interrupted(state, "killed", 7.0) == (lost,)
    assert unanswered(PLAN, state) == ()
    undone = begun().model_copy(update={"undone": {"x": StepRecord(status=Status.RUNNING, attempt=ATTEMPT)}})
    assert interrupted(undone, "killed", 7.0) == (lost,)


def test_an_execution_that_does_not_hold_the_group_ends_without_undoing_or_proposing_anything() -> None:
    state = running(begun(), FENCE.id, ATTEMPT).model_copy(update={"claimed": True})
    refused = Refused(why="held by e2", superseded=True)
    ended = fold(PLAN, state, Ended(attempt=ATTEMPT, outcome=refused, at=7.0))
    assert ended.finish is not None
    assert (ended.finish.end, ended.undos) == (End.NEEDS_HUMAN, ())
    assert ended.finish.next_commands == (f"tideover status {PLAN.group}",)
    assert next_actions(PLAN, ended) == ()
