"""What `tideover rehearse` searches of the demo, with two faults. TIDEOVER_FAULT_PAIRS=1: from every start."""

from __future__ import annotations

import pytest

from orchestrator.app.registry import catalog
from orchestrator.domain.rehearsal.scenarios import Scenario, scenarios
from tests.domain import runbooks
from tests.domain.test_engine import ALL_PAIRS

ALL = tuple(scenarios(runbooks.demo(), catalog()))
QUICK = (ALL[0], ALL[-1])


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", ALL if ALL_PAIRS else QUICK, ids=str)
def test_no_pair_of_faults_breaks_an_invariant(scenario: Scenario) -> None:
    one, two = scenario.search(1).run(), scenario.search(2).run()
    assert one.schedules < two.schedules
    assert one.ends.keys() <= two.ends.keys()
