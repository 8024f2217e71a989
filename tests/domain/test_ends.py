"""What an end tells a person to type next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.domain.engine import start
from orchestrator.domain.engine.advance import advance, finished
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.domain.plan import Plan, PlanMode, Want
from orchestrator.domain.rehearsal.demands import demanded
from orchestrator.domain.rehearsal.driving import begin, following
from orchestrator.domain.rehearsal.model import World, at_rest
from orchestrator.domain.rehearsal.nature import crashed, cut_off
from orchestrator.domain.rehearsal.values import Mission
from orchestrator.domain.state import End, ExecutionState, Status, StepRecord
from orchestrator.domain.world import PRIMARY
from tests.domain import runbooks
from tests.domain.on_the_way import ended

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


@pytest.mark.parametrize(("change", "found"), [(None, ""), (crashed, "is down"), (cut_off, "does not answer")])
def test_what_is_fenced_is_moved_to_only_when_rebuilt_and_it_is_told_what_that_needs(
    change: Callable[[World, str], World] | None, found: str
) -> None:
    """Two disasters in a row: nothing leads back to the old data but people."""
    forced = runbooks.planned(runbooks.demo(), "forced", "right")
    back, demands = runbooks.planned(runbooks.demo(), "forced", "left"), demanded(runbooks.demo())
    over = ended(begin(Mission(forced, demands, "60s"), at_rest(forced, "left", "right", back), {"db": "left"}))
    world = change(over.world, "right") if change else over.world
    again = ended(following(over._replace(world=world), Mission(back, demands, "60s")))
    assert over.state.finish
    assert again.state.finish
    assert (over.state.finish.end, again.state.finish.end) == (End.SUCCEEDED, End.REFUSED)
    first, _, needs = again.state.finish.why.partition("db at left: is fenced since an earlier failover: ")[
        2
    ].partition("; ")
    assert first == "run `tideover failback demo --reprotect-only` first"
    assert needs.startswith(f"that needs db at right, which {found}: bring it back") == bool(change)


@pytest.mark.parametrize("mode", ["reprotect", "unfence"])
def test_what_serves_is_never_to_be_unfenced(mode: PlanMode) -> None:
    plan = runbooks.planned(runbooks.demo(), mode, "left")
    finish = finished(plan, _state(plan), End.NEEDS_HUMAN, "why").finish
    assert finish is not None
    assert finish.next_commands == (STATUS, BACK[0] if mode == "reprotect" else UNFENCED)


def test_what_was_skipped_is_said_at_the_end() -> None:
    plan = runbooks.planned(runbooks.demo(), "forced", "right")
    state = _state(plan)
    done = {step: StepRecord(status=Status.SKIPPED if step == "name.switch" else Status.DONE) for step in state.steps}
    finish = advance(plan, state.model_copy(update={"steps": done})).finish
    assert finish is not None
    assert finish.why == "demo is served at right; skipped, and not confirmed: name.switch"
