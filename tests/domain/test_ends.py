"""What an end tells a person to type next."""

from __future__ import annotations

import pytest

from orchestrator.domain.engine import start
from orchestrator.domain.engine.advance import finished
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.domain.plan import Plan, PlanMode, Want
from orchestrator.domain.state import End, ExecutionState
from orchestrator.domain.world import PRIMARY
from tests.domain import runbooks

STATUS, FORCED = "tideover status demo", "tideover run demo --to right --mode forced"
HOME, UNFENCED = "tideover run demo --to left --mode planned", "tideover unfence demo --at left"
BACK = ("tideover failback demo --reprotect-only", "tideover failback demo")
PROMOTED = Request(
    attempt=Attempt(epoch=1, step="db.promote", method=0, n=1), before=None, at=1.0,
    want=Want(resource="db@right", component="db", site="right", desired=PRIMARY),
)  # fmt: skip


def _state(plan: Plan, *issued: Request, claimed: bool = True) -> ExecutionState:
    execution = Execution(id="e1", who="ann", plan=plan.digest, mode=plan.mode, target=plan.target, since=1.0)
    record = GroupRecord(group="demo", epoch=1, execution=execution, issued=issued)
    return start(plan, execution, record).model_copy(update={"claimed": claimed})


@pytest.mark.parametrize(("mode", "to", "end", "issued", "commands"), [
    ("forced", "right", End.SUCCEEDED, (PROMOTED,), BACK),
    ("planned", "right", End.SUCCEEDED, (PROMOTED,), BACK),
    ("reprotect", "left", End.SUCCEEDED, (), (HOME,)),
    ("unfence", "left", End.SUCCEEDED, (), (STATUS,)),
    ("forced", "right", End.NEEDS_HUMAN, (), (STATUS, FORCED, UNFENCED)),
    ("forced", "right", End.NEEDS_HUMAN, (PROMOTED,), (STATUS, FORCED)),
    ("planned", "right", End.NEEDS_HUMAN, (), (STATUS, FORCED, UNFENCED)),
    ("planned", "right", End.ROLLED_BACK, (), ("tideover run demo --to right --mode planned",)),
    ("forced", "right", End.ABORTED_SAFE, (), (FORCED,)),
])  # fmt: skip
def test_each_end_names_what_to_go_on_with(
    mode: PlanMode, to: str, end: End, issued: tuple[Request, ...], commands: tuple[str, ...]
) -> None:
    plan = runbooks.planned(runbooks.demo(), mode, to)
    finish = finished(plan, _state(plan, *issued), end, "why").finish
    assert finish is not None
    assert finish.next_commands == commands
    assert finish.protected == (end is End.SUCCEEDED and mode == "reprotect")


def test_what_changed_nothing_names_nothing() -> None:
    plan = runbooks.planned(runbooks.demo(), "forced", "right")
    finish = finished(plan, _state(plan, claimed=False), End.REFUSED, "why").finish
    assert finish is not None
    assert finish.next_commands == ()
