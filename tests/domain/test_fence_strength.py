"""F3: what two authorities that share no controller have each read off; and that nothing less is taken for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from orchestrator.domain import barrier
from orchestrator.domain.commands import Abort
from orchestrator.domain.engine import fold
from orchestrator.domain.outcome import Done, Failed, Outcome, Unknown
from orchestrator.domain.plan import Plan
from orchestrator.domain.rehearsal.driving import driven
from orchestrator.domain.rehearsal.model import Place, Server
from orchestrator.domain.rehearsal.moves import moves
from orchestrator.domain.rehearsal.search import after
from orchestrator.domain.rehearsal.values import Broken, Rehearsal, Try
from orchestrator.domain.state import End, Ended, ExecutionState, Perform, Status
from orchestrator.domain.world import Evidence, Power, Reading, Strength, share_no_controller
from tests.domain.fences_in_runbooks import strong
from tests.domain.on_the_way import ended
from tests.domain.runbooks import planned, runbook
from tests.domain.test_admission import fresh, said
from tests.domain.test_barrier import attempts

OFF = Power(power="off")
SAME = "10.0.8.1"
"""The device behind the first two methods of the fence."""


def begun() -> Rehearsal:
    """The first method of the fence is under way."""
    return next(now for now in on_the_way(fresh("strong forced, source cut off")) if orders(now))


def on_the_way(now: Rehearsal, lying: str = "") -> Iterator[Rehearsal]:
    """The rehearsal after each move. The device of the name `lying` says off, and its machine runs on."""
    while not now.state.finish:
        now = after(now, next(moves(now, unusual=False)))
        if lying and any(isinstance(made, Try) and made.spec.controller == lying for made in now.happened):
            now = now._replace(world=replace(now.world, servers=alive(now), power={**now.world.power, DB: "on"}))
        yield now


DB = ("db", "left")


def alive(now: Rehearsal) -> dict[Place, Server]:
    return {**now.world.servers, DB: replace(now.world.servers[DB], role="primary")}


def orders(now: Rehearsal) -> list[Perform]:
    """The attempts at the fence that are under way."""
    made = [flight.order for flight in now.flights if isinstance(flight, Try)]
    return [order for order in made if order.attempt.step == "db.fence"]


def test_methods_are_used_until_two_that_share_no_controller_have_confirmed_it() -> None:
    last = ended(fresh("strong forced, source cut off"))
    assert attempts(last, "db.fence") == [0, 1, 2], "the second is another door to the device of the first"
    evidence = last.state.steps["db.fence"].evidence
    assert evidence
    assert evidence.strength is Strength.F3
    assert evidence.resource == "db@left:fence_agents-3"
    assert [one.resource for one in evidence.beside] == ["db@left:fence_agents", "db@left:fence_agents-2"]
    assert last.state.finish
    assert last.state.finish.end is End.SUCCEEDED


def test_in_the_plan_one_device_is_one_controller_however_it_is_written() -> None:
    doors = (
        "options: {ip: BMC.mgmt.test}",
        "options: {ip: bmc.mgmt.test.}, fault_domain: {controller: board}",
        "options: {ip: 10.0.8.9}, fault_domain: {controller: Board}",
        "options: {ip: 10.0.8.1}",
    )
    methods = [f"{{fence_agents: {{agent: fence_wti, {door}}}}}" for door in doors]
    plan = planned(runbook(strong(*methods)), "forced", "right")
    found = [plan.resources[want.resource].controller for want in plan.step("db.fence").wants]
    assert len(set(found[:3])) == 1, found
    assert share_no_controller((found[0], found[3]))


def test_after_the_first_it_says_who_has_confirmed_it_and_what_is_lacking() -> None:
    now = next(n for n in on_the_way(begun()) if n.state.steps["db.fence"].method == 1)
    first = now.state.steps["db.fence"].evidence
    assert first
    lacking = barrier.sufficient(now.plan.step("db.fence"), first)
    assert lacking == "db@left:fence_agents reads it off (F2), and F3 needs two that share no controller"


def test_undo_gives_back_what_each_method_has_cut() -> None:
    now = next(n for n in on_the_way(begun()) if n.state.steps["db.fence"].status is Status.DONE)
    last = ended(said(now, Abort(by="ann")))
    assert [undo.want.resource for undo in last.state.undos if ":" in undo.want.resource] == [
        "db@left:fence_agents-3", "db@left:fence_agents-2", "db@left:fence_agents",
    ]  # fmt: skip


# ---- every way in which three methods can end


def outcomes(resource: str, at: float) -> dict[str, Outcome]:
    def read(strength: Strength, *, latched: bool) -> Done:
        reading = Reading(states=(OFF,), authority=resource, authoritative=True, latched=latched)
        evidence = Evidence(resource=resource, state=OFF, reading=reading, strength=strength, read_at=at)
        return Done(evidence=evidence, changed=True)

    return {
        "off": read(Strength.F2, latched=True),
        "hearsay": read(Strength.F1, latched=True),
        "unlatched": read(Strength.F2, latched=False),
        "unknown": Unknown(why="no answer"),
        "failed": Failed(why="rejected"),
    }


WAYS = tuple(outcomes("", 0.0))


def after_methods(ways: tuple[str, ...]) -> tuple[Plan, ExecutionState]:
    """The state once the fence's methods have ended in these ways, as far as they were used."""
    now = begun()
    plan, state, order = now.plan, now.state, orders(now)[0]
    for way in ways:
        if state.steps["db.fence"].attempt != order.attempt:
            break
        outcome = outcomes(order.want.resource, state.now)[way]
        now = now._replace(state=fold(plan, state, Ended(attempt=order.attempt, outcome=outcome, at=state.now)))
        now = driven(now._replace(flights=()))
        state = now.state
        order = next(iter(orders(now)), order)
    return plan, state


@pytest.mark.parametrize("ways", list(product(WAYS, repeat=3)), ids="-".join)
def test_it_is_confirmed_by_nothing_less_than_two_controllers(ways: tuple[str, ...]) -> None:
    """The first two share one, so it takes the third, and one of them."""
    plan, state = after_methods(ways)
    record = state.steps["db.fence"]
    enough = "off" in ways[:2] and ways[2] == "off"
    assert (record.status is Status.DONE) is enough, record.said
    if enough:
        assert barrier.sufficient(plan.step("db.fence"), record.evidence) is None  # type: ignore[arg-type]
    else:
        assert state.waiting, "a human is asked"


# ---- the rule broken


def test_one_device_that_lies_behind_two_doors_is_not_believed() -> None:
    last = list(on_the_way(begun(), lying=SAME))[-1]
    assert attempts(last, "db.fence") == [0, 1, 2]
    assert last.world.writable("db") == {"right"}


def test_control_where_one_authority_may_speak_twice_its_lie_splits_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(barrier, "share_no_controller", lambda controllers: len(list(controllers)) > 1)
    with pytest.raises(Broken, match=r"I[12]"):
        list(on_the_way(begun(), lying=SAME))
