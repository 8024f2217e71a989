"""What `tideover rehearse` searches of the demo, with two faults. TIDEOVER_FAULT_PAIRS=1: from every start."""

from __future__ import annotations

import pytest

from orchestrator.app.registry import catalog
from orchestrator.domain.rehearsal.driving import origin
from orchestrator.domain.rehearsal.model import Place
from orchestrator.domain.rehearsal.scenarios import Scenario, scenarios
from orchestrator.domain.rehearsal.values import Past
from tests.domain import runbooks
from tests.domain.test_engine import ALL_PAIRS

Fact = tuple[Place | str, str]
ALL = tuple(scenarios(runbooks.demo(), catalog()))
QUICK = (ALL[0], ALL[-1])


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", ALL if ALL_PAIRS else QUICK, ids=str)
def test_no_pair_of_faults_breaks_an_invariant(scenario: Scenario) -> None:
    one, two = scenario.search(1).run(), scenario.search(2).run()
    assert one.schedules < two.schedules
    assert one.ends.keys() <= two.ends.keys()


def test_what_was_so_before_is_kept_for_what_is_left_unfinished_alone() -> None:
    """A name was to be moved, and never was; meanwhile the old primary was rebuilt as a standby, cleanly."""
    before: set[Fact] = {(("db", "left"), "primary"), (("db", "right"), "standby"), ("name", "left")}
    since: set[Fact] = {(("db", "left"), "standby"), (("db", "right"), "primary"), ("name", "right")}
    past = Past(3, {"db": "right"}, found=frozenset(since), origin=frozenset(before))
    assert origin(past, {"name"}) == {*(fact for fact in since if fact[0] != "name"), ("name", "left")}
    machine: set[Fact] = {(("db", "left"), "primary"), (("db", "right"), "primary"), ("name", "right")}
    assert origin(past, {"db@left:ipmi"}) == machine
    assert origin(past, set()) == since
