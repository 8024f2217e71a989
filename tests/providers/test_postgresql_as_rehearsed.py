"""A server of rehearsal's model does what PostgreSQL does: from whatever it is, to whatever is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import NamedTuple

import pytest

from orchestrator.domain.errors import Rejected
from orchestrator.domain.plan import Plan
from orchestrator.domain.rehearsal.model import World, at_rest, changed, observe
from orchestrator.domain.rehearsal.nature import crashed, returned
from orchestrator.domain.world import Reading, Role, State
from tests.domain import runbooks
from tests.postgres import Pair
from tests.providers.postgresql_pair import PRIMARY, STANDBY, STOPPED, change, crash

pytest_plugins = ["tests.providers.postgresql_pair"]

PLAN: Plan = runbooks.planned(runbooks.demo(), "planned", "right")
IN_THE_MODEL = {"az-a": "left", "az-b": "right"}


class Turn(NamedTuple):
    """What befalls a server, really and in the model."""

    really: Callable[[Pair, str], object]
    in_the_model: Callable[[World, str], World]


def _asked(world: World, site: str, desired: State) -> World:
    return changed(world, PLAN.resources[f"db@{site}"], desired, None)


TURNS = {
    "stopped": Turn(lambda pair, at: change(pair.resource(at), STOPPED), lambda w, site: _asked(w, site, STOPPED)),
    "killed": Turn(crash, crashed),
    "started": Turn(lambda pair, at: pair.at(at).start(), returned),
}
"""Stopped by us, killed with all its processes, started as an init system would."""

WAYS = (
    (),
    ("stopped",),
    ("killed",),
    ("killed", "stopped"),
    ("stopped", "started"),
    ("stopped", "started", "stopped"),
    ("stopped", "started", "killed"),
)

Read = tuple[State | None, bool, set[str]]
"""The role, whether it is latched, and which positions in the log are known."""


def _read(reading: Reading) -> Read:
    assert reading.replication
    known = reading.replication.model_dump(include={"received", "replayed", "written"}, exclude_none=True)
    return reading.state("role"), reading.latched, set(known)


def _really(pair: Pair, at: str, way: Iterable[str], goal: Role) -> tuple[Read, Read | str]:
    for turn in way:
        TURNS[turn].really(pair, at)
    before = _read(pair.resource(at).observe())
    try:
        return before, _read(change(pair.resource(at), goal))
    except Rejected:
        return before, "refused"


def _in_the_model(site: str, way: Iterable[str], goal: Role) -> tuple[Read, Read | str]:
    world, spec = at_rest(PLAN, "left", "right"), PLAN.resources[f"db@{site}"]
    for turn in way:
        world = TURNS[turn].in_the_model(world, site)
    before = _read(observe(world, spec))
    try:
        return before, _read(observe(_asked(world, site, goal), spec))
    except Rejected:
        return before, "refused"


CASES = [
    (at, way, goal)
    for at, way, goal in product(IN_THE_MODEL, WAYS, (PRIMARY, STANDBY, STOPPED))
    if _in_the_model(IN_THE_MODEL[at], way, goal)[0][0] != goal
]


def _told(part: object) -> str:
    return ("-".join(part) or "untouched") if isinstance(part, tuple) else str(part)


@pytest.mark.parametrize(("at", "way", "goal"), CASES, ids=_told)
def test_the_model_does_what_postgresql_does(pair: Pair, at: str, way: tuple[str, ...], goal: Role) -> None:
    assert _in_the_model(IN_THE_MODEL[at], way, goal) == _really(pair, at, way, goal)
