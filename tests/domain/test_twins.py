"""What acts at one site is not switched on at the other, whatever was read or asked for before (I1, I9)."""

from __future__ import annotations

import pytest

from orchestrator.domain import barrier
from orchestrator.domain.engine import start
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.domain.plan import Want
from orchestrator.domain.state import ExecutionState, Status, StepRecord
from orchestrator.domain.twins import replaced, started_elsewhere
from orchestrator.domain.world import PRIMARY, STANDBY, Power, Reading, Role
from tests.domain import runbooks

MACHINE, DEMO = runbooks.runbook(runbooks.MACHINE), runbooks.demo()
LEFT, RIGHT = "app@left:fence_agents", "app@right:fence_agents"
ON, OFF = Power(power="on"), Power(power="off")
UNFENCE = runbooks.planned(MACHINE, "unfence", "left")


def _wanted(resource: str, power: Power) -> Want:
    return Want(resource=resource, component="app", site="left" if resource == LEFT else "right", desired=power)


def _asked(n: int, resource: str, power: Power) -> Request:
    attempt = Attempt(epoch=1, step="app.start", method=0, n=n)
    return Request(attempt=attempt, want=_wanted(resource, power), before=None, at=float(n))


def _state(read: dict[str, Power], *asked: Request) -> ExecutionState:
    execution = Execution(id="e2", who="ann", plan=UNFENCE.digest, mode="unfence", target="left", since=2.0)
    state = start(UNFENCE, execution, GroupRecord(group=UNFENCE.group, epoch=1, issued=asked))
    return state.model_copy(update={"found": {n: Reading(states=(p,), authority=n) for n, p in read.items()}})


@pytest.mark.parametrize(
    ("state", "why"),
    [
        pytest.param(_state({RIGHT: ON, LEFT: OFF}), "is on at right, and must not act twice", id="read on"),
        pytest.param(_state({LEFT: OFF}), "may be on at right, where its machine cannot be read", id="not read"),
        pytest.param(
            _state({}, _asked(1, RIGHT, ON), _asked(2, RIGHT, OFF)), "may be on at right", id="taken back, and not read"
        ),
        pytest.param(
            _state({RIGHT: OFF}, _asked(2, RIGHT, ON)), "was started at right by 1/2 app.start", id="started since"
        ),
        pytest.param(
            _state({RIGHT: ON}, _asked(1, RIGHT, ON), _asked(2, RIGHT, OFF)), "is on at right", id="on against the word"
        ),
    ],
)
def test_a_machine_is_not_unfenced_beside_a_twin_that_may_act(state: ExecutionState, why: str) -> None:
    found = replaced(UNFENCE, state, "app")
    assert found is not None
    assert why in found
    assert "move the service with `tideover run machine --to left --mode planned`, or switch that off" in found


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(_state({RIGHT: OFF}), id="read off"),
        pytest.param(_state({RIGHT: OFF}, _asked(1, LEFT, OFF)), id="only its own fence"),
    ],
)
def test_a_machine_whose_twin_is_off_is_unfenced(state: ExecutionState) -> None:
    assert replaced(UNFENCE, state, "app") is None


def test_what_was_started_between_the_check_and_the_claim_is_minded() -> None:
    (step,) = UNFENCE.of_kind("start")
    assert barrier.closed(UNFENCE, _state({RIGHT: OFF}), step) is None
    found = barrier.closed(UNFENCE, _state({RIGHT: OFF}, _asked(2, RIGHT, ON)), step)
    assert found is not None
    assert "app at left was started at right by 1/2 app.start" in found


def test_another_machine_is_no_twin() -> None:
    two = runbooks.runbook(
        runbooks.MACHINE
        + runbooks.MACHINE.partition("components:\n")[2].replace("app:", "batch:").replace("plug: ", "plug: b")
    )
    plan, beside = runbooks.planned(two, "unfence", "left"), "batch@right:fence_agents"
    state = _state({RIGHT: OFF}).model_copy(
        update={"found": {n: Reading(states=(p,), authority=n) for n, p in {RIGHT: OFF, beside: ON}.items()}}
    )
    assert replaced(plan, state, "app") is None
    found = replaced(plan, state, "batch")
    assert found is not None
    assert "is on at right" in found


def test_undo_does_not_switch_on_what_an_earlier_execution_has_started_elsewhere() -> None:
    back = _wanted(LEFT, ON)
    state = _state({}, _asked(1, LEFT, OFF), _asked(2, RIGHT, ON))
    assert (
        started_elsewhere(UNFENCE, state, back) == "app was started at right by 1/2 app.start, and must not act twice"
    )
    assert started_elsewhere(UNFENCE, state, _wanted(LEFT, OFF)) is None
    assert started_elsewhere(UNFENCE, _state({}, _asked(1, LEFT, OFF)), back) is None
    undo = _asked(3, RIGHT, OFF)
    undo = undo.model_copy(update={"attempt": undo.attempt.model_copy(update={"undo": True})})
    asked = _state({RIGHT: ON}, _asked(2, RIGHT, ON), undo)
    assert started_elsewhere(UNFENCE, asked, back), "nobody has read it off"
    read = asked.model_copy(update={"undone": {RIGHT: StepRecord(status=Status.DONE)}})
    assert started_elsewhere(UNFENCE, read, back) is None, "what the check has read was before"


@pytest.mark.parametrize(("read", "off"), [({RIGHT: OFF}, True), ({RIGHT: ON}, False), ({}, False)])
def test_what_an_earlier_execution_took_back_is_off_once_the_checks_have_read_it(
    read: dict[str, Power], off: bool
) -> None:
    """Its request was never answered, and the doubt has ended by time: that tells that nothing comes any more, and not
    what came."""
    state = _state(read, _asked(2, RIGHT, ON), _asked(3, RIGHT, OFF))
    later = state.model_copy(update={"record": state.record.model_copy(update={"epoch": 2})})
    assert (started_elsewhere(UNFENCE, later, _wanted(LEFT, ON)) is None) == off


def test_a_databases_machine_may_be_on_at_both_sites() -> None:
    plan = runbooks.planned(DEMO, "unfence", "left")
    machine = next(want for step in plan.of_kind("start") for want in step.wants)
    execution = Execution(id="e2", who="ann", plan=plan.digest, mode="unfence", target="left", since=2.0)
    state = start(plan, execution, GroupRecord(group=plan.group))
    assert replaced(plan, state, "db") is None
    assert started_elsewhere(plan, state, machine) is None


BACK_ON = runbooks.planned(DEMO, "unfence", "left")


def _database(role: Role, *promoted: str) -> ExecutionState:
    execution = Execution(id="e2", who="ann", plan=BACK_ON.digest, mode="unfence", target="left", since=2.0)
    asked = tuple(
        Request(
            attempt=Attempt(epoch=n, step="db.promote", method=0, n=1), before=None, at=float(n),
            want=Want(resource=f"db@{site}", component="db", site=site, desired=PRIMARY),
        )
        for n, site in enumerate(promoted)
    )  # fmt: skip
    state = start(BACK_ON, execution, GroupRecord(group=BACK_ON.group, epoch=9, issued=asked))
    return state.model_copy(update={"found": {"db@right": Reading(states=(role,), authority="db@right")}})


@pytest.mark.parametrize(
    ("state", "why"),
    [
        pytest.param(_database(PRIMARY), "db at right is a primary, whoever promoted it", id="read"),
        pytest.param(_database(STANDBY, "right"), "role primary was requested by 0/1 db.promote", id="requested"),
        pytest.param(_database(STANDBY, "left", "right"), "was requested by 1/1 db.promote", id="after one of its own"),
    ],
)
def test_a_database_is_not_unfenced_beside_what_may_have_replaced_it(state: ExecutionState, why: str) -> None:
    assert why in (replaced(BACK_ON, state, "db") or "")
    assert replaced(BACK_ON, _database(STANDBY, "left"), "db") is None
