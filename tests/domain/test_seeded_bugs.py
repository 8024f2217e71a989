"""Positive controls of rehearsal: rules broken one at a time, each found with exactly so many faults.

The search goes through all schedules with fewer faults first, so the number is the least that it takes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.plan import PlanMode
from orchestrator.domain.rehearsal.model import World
from orchestrator.domain.rehearsal.search import Counterexample
from orchestrator.domain.runbook import Runbook
from orchestrator.domain.world import Power
from tests.domain import runbooks, seeded_bugs
from tests.domain.seeded_bugs import Sabotage
from tests.domain.test_engine import (
    BACK,
    FORCED,
    PLANNED,
    REBUILD,
    UNFENCE,
    Scenario,
    dead,
    healthy,
    partitioned,
    scenarios,
)

ABORT = ("abort",)


def bare() -> Runbook:
    return runbooks.runbook(runbooks.BARE)


def just_started(world: World) -> World:
    """The source is cut off, and a stale reading shows its machine as off."""
    return replace(
        partitioned(world), earlier={f"{name}@left": Power(power="off") for name, site in world.power if site == "left"}
    )


def _small(name: str, text: str, *missions: tuple[PlanMode, str, str | None]) -> Scenario:
    return Scenario(name, lambda: runbooks.runbook(text), missions, healthy, ABORT, frozenset())


SMALL = (
    _small("bare, forced twice", runbooks.BARE, FORCED, FORCED),
    _small("machine, forced", runbooks.MACHINE, FORCED),
    _small("machine, forced twice", runbooks.MACHINE, FORCED, FORCED),
    _small("machine, unfenced", runbooks.MACHINE, FORCED, UNFENCE),
    _small("machine, there and back", runbooks.MACHINE, FORCED, REBUILD, BACK),
    Scenario("bare, just started and cut off", bare, (FORCED,), just_started, ABORT, frozenset()),
    Scenario("demo planned, aborted", runbooks.demo, (PLANNED, FORCED), healthy, ABORT, frozenset()),
    Scenario("demo back again", runbooks.demo, (FORCED, REBUILD, BACK), dead, ("retry", "abort"), frozenset()),
)

FORCED_ALIVE = "demo forced, source healthy"

FOUND: list[tuple[Sabotage, str, int]] = [
    (seeded_bugs.a_stuck_execution_asks_nobody, "demo forced, fence dark", 0),
    (seeded_bugs.a_lost_worker_is_replaced_for_ever, "demo forced, fence dark", 0),
    (seeded_bugs.events_after_the_end_count, FORCED_ALIVE, 0),
    (seeded_bugs.a_step_is_started_while_it_runs, "shop forced, source cut off", 0),
    (seeded_bugs.clients_are_moved_before_the_promotion_is_seen, FORCED_ALIVE, 0),
    (seeded_bugs.the_old_primary_is_started_before_it_is_isolated, "demo back again", 0),
    (seeded_bugs.an_unfence_starts_a_machine_beside_its_twin, "machine, unfenced", 0),
    (seeded_bugs.barrier_is_always_open, FORCED_ALIVE, 1),
    (seeded_bugs.any_evidence_will_do, FORCED_ALIVE, 1),
    (seeded_bugs.unlatched_will_do, FORCED_ALIVE, 1),
    (seeded_bugs.unknown_counts_as_done, FORCED_ALIVE, 1),
    (seeded_bugs.accepted_counts_as_done, FORCED_ALIVE, 1),
    (seeded_bugs.no_answer_counts_as_done, FORCED_ALIVE, 1),
    (seeded_bugs.no_answer_counts_as_not_sent, FORCED_ALIVE, 1),
    (seeded_bugs.it_toggles, FORCED_ALIVE, 1),
    (seeded_bugs.an_unknown_closes_its_doubt, FORCED_ALIVE, 1),
    (seeded_bugs.an_unknown_is_not_undone, FORCED_ALIVE, 1),
    (seeded_bugs.the_last_outcome_wins, FORCED_ALIVE, 1),
    (seeded_bugs.a_lost_worker_is_clean, FORCED_ALIVE, 1),
    (seeded_bugs.doubts_are_not_inherited, FORCED_ALIVE, 1),
    (seeded_bugs.nothing_is_undone, FORCED_ALIVE, 1),
    (seeded_bugs.undo_forgets_what_a_fence_took_along, FORCED_ALIVE, 1),
    (seeded_bugs.a_look_finds_what_it_waits_for, "demo planned", 1),
    (seeded_bugs.a_switchover_does_not_wait_for_the_standby, "demo planned", 1),
    (seeded_bugs.what_was_not_confirmed_is_not_undone, "demo planned", 1),
    (seeded_bugs.the_guard_lets_an_old_epoch_through, "demo back again", 1),
    (seeded_bugs.rolled_back_with_a_doubt, "demo planned, aborted", 1),
    (seeded_bugs.power_on_does_not_count_as_activating, "demo planned, aborted", 1),
    (seeded_bugs.a_doubt_ends_before_its_time, "demo planned, aborted", 1),
    (seeded_bugs.the_measured_loss_is_ignored, "demo forced, source cut off", 1),
    (seeded_bugs.safety_steps_can_be_skipped, "demo forced, humans skip", 1),
    (seeded_bugs.a_promotion_in_doubt_binds_its_own_component_only, "shop forced, source cut off", 1),
    (seeded_bugs.what_is_read_answers_for_the_request, "demo back again", 1),
    (seeded_bugs.the_guard_lets_old_attempts_through, "demo back again", 1),
    (seeded_bugs.nothing_is_compared_before_it_is_set, "demo back again", 1),
    (seeded_bugs.a_release_in_doubt_is_ignored, "demo back again", 1),
    (seeded_bugs.undo_switches_everything_on, "demo back again", 1),
    (seeded_bugs.what_may_still_come_is_not_told, "demo back again", 1),
    (seeded_bugs.a_doubt_that_was_answered_since_is_none, "machine, there and back", 1),
    (seeded_bugs.doubts_are_forgotten_at_the_end, "bare, forced twice", 2),
    (seeded_bugs.a_fence_takes_the_fast_path, "bare, forced twice", 2),
    (seeded_bugs.undo_takes_the_fast_path, "machine, forced", 2),
    (seeded_bugs.rollback_after_the_promotion_was_issued, "demo planned, aborted", 2),
    (seeded_bugs.an_abort_undoes_after_the_promotion, "demo planned, aborted", 2),
    (seeded_bugs.undo_starts_a_machine_beside_its_twin, "machine, forced twice", 2),
    (seeded_bugs.a_stale_reading_back_counts, "bare, just started and cut off", 2),
]


@pytest.mark.parametrize(("broken", "name", "faults"), FOUND, ids=[broken.__name__ for broken, _, _ in FOUND])
def test_rehearsal_finds_the_broken_rule(
    broken: Sabotage, name: str, faults: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    scenario = next(scenario for scenario in (*SMALL, *scenarios()) if scenario.name == name)
    with pytest.raises(Counterexample) as found:
        scenario.explored(faults)
    assert found.value.faults == faults
    assert len(found.value.story) > 3


@pytest.mark.parametrize("scenario", SMALL, ids=lambda scenario: scenario.name)
def test_control_where_no_rule_is_broken_nothing_is_found(scenario: Scenario) -> None:
    needed = max(faults for _, name, faults in FOUND if name == scenario.name)
    assert scenario.explored(needed).states


def test_every_seeded_bug_is_tried_once() -> None:
    public = {name for name, bug in vars(seeded_bugs).items() if getattr(bug, "__module__", "") == seeded_bugs.__name__}
    tried = Counter(broken.__name__ for broken, _, _ in FOUND)
    assert set(tried) == {name for name in public if not name.startswith("_")} - {"nothing"}
    assert set(tried.values()) == {1}


def listed() -> str:
    """The table of docs/rehearsal.md."""
    rows = [f"| {broken.__name__.replace('_', ' ')} | {name} | {faults} |" for broken, name, faults in FOUND]
    return "\n".join(["| Broken on purpose | Scenario | Faults |", "|---|---|---:|", *rows])


def test_the_list_in_the_documents_is_this_one() -> None:
    assert (Path(__file__).parents[2] / "docs" / "rehearsal.md").read_text().endswith(f"\n\n{listed()}\n")
