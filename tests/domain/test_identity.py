"""What has to be shown to be the one that is meant before it is stopped, promoted or rebuilt."""

from __future__ import annotations

from orchestrator.domain.engine.actions import next_actions
from orchestrator.domain.plan import Step
from orchestrator.domain.rehearsal.values import Try
from orchestrator.domain.state import ExecutionState, Perform, Status
from orchestrator.domain.world import Reading
from tests.domain import runbooks
from tests.domain.on_the_way import states_on_the_way
from tests.domain.test_admission import claimed_and_running, fresh
from tests.domain.test_engine import pair


def identity(state: ExecutionState, step: Step, found: dict[str, Reading]) -> str | None:
    """What the first attempt at the step would have to meet, after checks that have found this."""
    plan = runbooks.planned(pair(), "planned", "right")
    records = {name: record.model_copy(update={"status": Status.DONE}) for name, record in state.steps.items()}
    records[step.id] = records[step.id].model_copy(update={"status": Status.PENDING})
    [order] = next_actions(plan, state.model_copy(update={"found": found, "steps": records}))
    assert isinstance(order, Perform)
    return order.identity


def test_a_server_must_be_what_the_check_has_read_or_where_it_was_dark_what_its_twin_is() -> None:
    """The servers of a component are copies of one database, so a stranger at the address of one is known by that."""
    now = claimed_and_running("pair planned")
    stop, found = now.plan.step("stock.stop"), dict(now.state.found)
    assert identity(now.state, stop, found) == "system of stock"
    del found["stock@left"]
    assert identity(now.state, stop, found) == "system of stock"
    del found["stock@right"]
    assert identity(now.state, stop, found) is None, "another component's database tells nothing of this one"


def test_a_machine_is_no_copy_of_its_server() -> None:
    orders = [f for now in states_on_the_way(fresh("demo forced, source cut off")) for f in now.flights]
    fences = [made.order for made in orders if isinstance(made, Try) and made.order.attempt.step == "db.fence"]
    assert fences
    assert {order.identity for order in fences} == {None}, "the model's devices tell none"
