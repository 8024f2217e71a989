"""Runbooks that nobody has written: without a fault none of them breaks an invariant, and each ends as it has to."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from orchestrator.app.registry import catalog
from orchestrator.domain.rehearsal.scenarios import scenarios
from orchestrator.domain.rehearsal.search import Counterexample
from orchestrator.domain.runbook import Runbook
from tests.domain.made_runbooks import made_runbooks
from tests.domain.seeded_bugs import Sabotage, in_the_engine, in_what_people_say

ANY = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
FIXED = settings(ANY, phases=[Phase.generate], max_examples=300, derandomize=True, database=None)


@ANY
@given(made_runbooks())
def test_no_runbook_breaks_an_invariant_without_a_fault(made: Runbook) -> None:
    for scenario in scenarios(made, catalog()):
        assert scenario.search(0).run().states


BROKEN = [in_the_engine.two_doors_of_one_device_are_two, in_what_people_say.one_approval_counts_for_every_gate]


@pytest.mark.parametrize("sabotage", BROKEN, ids=lambda broken: broken.__name__)
def test_a_rule_that_is_broken_is_found_in_some_runbook(monkeypatch: pytest.MonkeyPatch, sabotage: Sabotage) -> None:
    """Control."""

    def breaks(made: Runbook) -> bool:
        try:
            for scenario in scenarios(made, catalog()):
                scenario.search(0).run()
        except Counterexample:
            return True
        return False

    sabotage(monkeypatch)
    assert find(made_runbooks(), breaks, settings=FIXED)
