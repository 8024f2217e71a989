"""What `tideover rehearse` searches of the demo, with two faults.

Where no other execution follows, and the planned move with the forced ones after it. TIDEOVER_FAULT_PAIRS=1: all of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.app.registry import catalog
from orchestrator.domain import ledger
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.rehearsal.scenarios import Scenario, scenarios
from orchestrator.domain.rehearsal.search import Counterexample
from tests.domain import runbooks
from tests.domain.on_the_way import states_on_the_way
from tests.domain.test_engine import ALL_PAIRS

ALL = tuple(scenarios(runbooks.demo(), catalog()))
_FORCED_AFTER = tuple(mission for mission in ALL[0].origin.mission.then if mission.plan.mode == "forced")
QUICK = (
    replace(ALL[0], origin=ALL[0].origin._replace(mission=replace(ALL[0].origin.mission, then=_FORCED_AFTER))),
    *(scenario for scenario in ALL if not scenario.origin.mission.then),
)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", ALL if ALL_PAIRS else QUICK, ids=str)
def test_no_pair_of_faults_breaks_an_invariant(scenario: Scenario) -> None:
    one, two = scenario.search(1).run(), scenario.search(2).run()
    assert one.schedules < two.schedules
    assert one.ends.keys() <= two.ends.keys()


def test_without_a_fault_the_way_back_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: where the claims of an execution outlive it, no later one can do anything."""
    begun = ledger.open_execution

    def opened(record: GroupRecord, *given: Any, **named: Any) -> GroupRecord | str:
        after = begun(record, *given, **named)
        return after if isinstance(after, str) else after.model_copy(update={"claims": record.claims})

    ended = ledger.close_execution

    def closed(record: GroupRecord, *given: Any, **named: Any) -> GroupRecord:
        return ended(record, *given, **named).model_copy(update={"claims": record.claims})

    alive = next(scenario for scenario in ALL if scenario.returns)
    assert alive.search(0).run().ends["reprotect SUCCEEDED"]
    monkeypatch.setattr(ledger, "open_execution", opened)
    monkeypatch.setattr(ledger, "close_execution", closed)
    with pytest.raises(Counterexample, match="without any fault planned to left does not succeed"):
        alive.search(0).run()


@pytest.mark.parametrize("approvers", ["[Ann, Bob]", "[Eve]"])
def test_an_approver_is_the_same_in_every_spelling(approvers: str) -> None:
    gates = f"gates:\n  - {{before: fence, approvers: {approvers}}}\n"
    for scenario in scenarios(runbooks.runbook(runbooks.BARE + gates), catalog()):
        assert scenario.search(0).run().ends


def test_a_name_may_stand_between_two_databases() -> None:
    """The second one finds the first by it: it leads to what serves, and the second is promoted after it."""
    name = runbooks.SHOP[runbooks.SHOP.index("  name:") :].replace("[app]", "[ledger]")
    between = runbooks.PAIR.replace("needs: [ledger]", "needs: [name]").replace("gates:", f"{name}gates:")
    for scenario in scenarios(runbooks.runbook(between), catalog()):
        assert scenario.search(0).run().ends


def test_humans_are_asked_about_all_fences_at_once() -> None:
    """A machine that can be fenced in two ways, beside a database that can be in one: none of their devices answers."""
    vouched = next(s for s in scenarios(runbooks.runbook(runbooks.TWO_FENCES), catalog()) if "devices" in s.start)
    waiting = next(now.state.waiting for now in states_on_the_way(vouched.origin) if now.state.waiting)
    assert waiting
    assert waiting.steps == ("db.fence", "app.fence")
    assert vouched.search(0).run().ends


def test_a_component_may_be_called_almost_like_a_verification() -> None:
    text = runbooks.BARE.replace("  db:\n", "  verify-db:\n")
    for scenario in scenarios(runbooks.runbook(text), catalog()):
        assert scenario.search(0).run().ends


def test_what_lands_once_everything_is_put_back_was_sent_in_its_order() -> None:
    """Of two machines, the one that the other needs may be switched off late, when both have been started again."""
    queue = runbooks.MACHINE[runbooks.MACHINE.index("  app:") :].replace("  app:", "  queue:").replace("n3", "n5")
    text = runbooks.MACHINE.replace("    type: vm\n", "    type: vm\n    needs: [queue]\n") + queue.replace("n4", "n6")
    vouched = next(s for s in scenarios(runbooks.runbook(text), catalog()) if "devices" in s.start)
    assert vouched.search(1).run().ends
