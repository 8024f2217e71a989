"""Positive controls of rehearsal: rules broken one at a time, each found with exactly so many faults.

The search goes through all schedules with fewer faults first, so the number is the least that it takes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.plan import PlanMode
from orchestrator.domain.rehearsal.model import Server, World, passed
from orchestrator.domain.rehearsal.search import Counterexample
from orchestrator.domain.runbook import Runbook
from orchestrator.domain.world import Power
from tests.domain import runbooks
from tests.domain.seeded_bugs import (
    Sabotage,
    in_ensure,
    in_plans,
    in_the_engine,
    in_the_ledger,
    in_undo,
    in_what_people_say,
)
from tests.domain.test_engine import (
    BACK,
    FORCED,
    FORCED_BACK,
    PLANNED,
    REBUILD,
    STRICT,
    UNFENCE,
    Scenario,
    bare,
    dark,
    dead,
    healthy,
    partitioned,
    scenarios,
)

ABORT = ("abort",)
VOUCH = ("attest", "retry", "abort")


def gated() -> Runbook:
    """Only bob and carol may approve the move."""
    return runbooks.runbook(runbooks.BARE + "gates:\n  - {before: fence, approvers: [bob, carol], timeout: 2m}\n")


def two_fences() -> Runbook:
    return runbooks.runbook(runbooks.TWO_FENCES)


def strong_machine() -> Runbook:
    return runbooks.runbook(runbooks.STRONG_MACHINE)


def generous() -> Runbook:
    """Its objective allows for more than a human accepts by name."""
    return runbooks.runbook(runbooks.BARE.replace("rpo: 10s", "rpo: 5m"))


def just_started(world: World) -> World:
    """The source is cut off, and a stale reading shows its machine as off."""
    return replace(
        partitioned(world), earlier={f"{name}@left": Power(power="off") for name, site in world.power if site == "left"}
    )


def untold(world: World) -> World:
    """The source commits alone, and the standby was started again: it cannot tell what it lacks."""
    servers = {place: replace(server, fresh=place[1] == "right") for place, server in world.servers.items()}
    return passed(partitioned(replace(world, servers=servers)), 300.0)


def replaced_and_started(world: World) -> World:
    """The service runs at the right. What it replaced was started since, follows nothing, and is cut off."""
    old, new = Server("standby", 10_000, signal=True, last="standby"), Server("primary", 10_000)
    return partitioned(replace(world, servers={place: old if place[1] == "left" else new for place in world.servers}))


def standby_crashed(world: World) -> World:
    """The service runs at the right, and the standby at the left was not shut down cleanly."""
    crashed = Server("down", 10_000, signal=True, last="standby", upstream="right")
    return replace(world, servers={p: crashed if p[1] == "left" else Server("primary", 10_000) for p in world.servers})


def _small(name: str, text: str, *missions: tuple[PlanMode, str, str | None]) -> Scenario:
    return Scenario(name, lambda: runbooks.runbook(text), missions, healthy, ABORT, frozenset())


SMALL = (
    _small("bare, forced twice", runbooks.BARE, FORCED, FORCED),
    _small("bare, rebuilt", runbooks.BARE, FORCED, REBUILD),
    _small("bare, unfenced", runbooks.BARE, FORCED, UNFENCE),
    _small("shop, gated", runbooks.SHOP + "gates:\n  - {before: promote}\n", FORCED),
    _small("bare, moved and rebuilt", runbooks.BARE, PLANNED, REBUILD),
    _small("bare, moved and unfenced", runbooks.BARE, PLANNED, UNFENCE),
    _small("bare, moved and forced back", runbooks.BARE, PLANNED, FORCED_BACK),
    _small("machine, forced", runbooks.MACHINE, FORCED),
    _small("machine, forced twice", runbooks.MACHINE, FORCED, FORCED),
    _small("machine, unfenced", runbooks.MACHINE, FORCED, UNFENCE),
    _small("strong machine, planned", runbooks.STRONG_MACHINE, PLANNED),
    _small("machine, there and back", runbooks.MACHINE, FORCED, REBUILD, BACK),
    Scenario("bare, just started and cut off", bare, (FORCED,), just_started, ABORT, frozenset()),
    Scenario("bare, rebuilt unseen", bare, (REBUILD,), replaced_and_started, ABORT, frozenset()),
    Scenario("bare, its standby crashed", bare, (REBUILD,), standby_crashed, ABORT, frozenset()),
    Scenario("bare, rebuilt while it serves", bare, (REBUILD,), healthy, ABORT, frozenset()),
    Scenario("bare, its rebuild skipped", bare, (FORCED, REBUILD), healthy, ("skip", "skip"), frozenset()),
    Scenario("bare, its loss unknown", bare, (FORCED,), untold, ABORT, frozenset()),
    Scenario("bare, humans vouch for all", bare, (FORCED,), healthy, ("attest",), frozenset()),
    Scenario("strong machine, humans vouch", strong_machine, (FORCED, FORCED_BACK), dark, VOUCH, frozenset()),
    Scenario("two fences, humans vouch", two_fences, (FORCED,), dark, ("attest", "abort"), frozenset()),
    Scenario("gated, cut off", gated, (STRICT,), partitioned, ("accept", "accept"), frozenset()),
    Scenario("generous, cut off", generous, (STRICT,), partitioned, ABORT, frozenset()),
    Scenario("bare, little accepted", bare, (STRICT,), healthy, ABORT, frozenset()),
    _small("shop, there and back", runbooks.SHOP, FORCED, REBUILD, BACK),
    Scenario("demo planned, aborted", runbooks.demo, (PLANNED, FORCED), healthy, ABORT, frozenset()),
    Scenario("demo back again", runbooks.demo, (FORCED, REBUILD, BACK), dead, ("retry", "abort"), frozenset()),
)

FORCED_ALIVE = "demo forced, source healthy"

FOUND: list[tuple[Sabotage, str, int]] = [
    (in_the_engine.a_stuck_execution_asks_nobody, "demo forced, fence dark", 0),
    (in_the_engine.a_lost_worker_is_replaced_for_ever, "demo forced, fence dark", 0),
    (in_the_engine.events_after_the_end_count, FORCED_ALIVE, 0),
    (in_the_engine.a_step_is_started_while_it_runs, "shop forced, source cut off", 0),
    (in_plans.clients_are_moved_before_the_promotion_is_seen, FORCED_ALIVE, 0),
    (in_plans.the_old_primary_is_started_before_it_is_isolated, "demo back again", 0),
    (in_the_ledger.an_unfence_starts_a_machine_beside_its_twin, "machine, unfenced", 0),
    (in_the_ledger.an_unfence_does_not_ask_who_has_served, "bare, unfenced", 0),
    (in_the_engine.what_could_not_be_read_is_verified, FORCED_ALIVE, 0),
    (in_the_engine.nobody_is_asked, FORCED_ALIVE, 0),
    (in_what_people_say.one_word_is_enough, "demo forced, humans vouch", 0),
    (in_what_people_say.one_person_counts_as_two, "demo forced, humans vouch", 0),
    (in_what_people_say.the_second_witness_is_made_up, "demo forced, humans vouch", 0),
    (in_what_people_say.a_word_for_one_fence_counts_for_another, "two fences, humans vouch", 0),
    (in_what_people_say.anybody_may_approve, "pair forced, source dead", 0),
    (in_what_people_say.an_approval_counts_for_any_plan, FORCED_ALIVE, 0),
    (in_what_people_say.a_gate_is_left_out, "pair forced, source dead", 0),
    (in_what_people_say.an_approval_that_names_no_plan_counts, FORCED_ALIVE, 0),
    (in_what_people_say.half_a_hash_is_enough, FORCED_ALIVE, 0),
    (in_what_people_say.half_a_name_is_enough, "gated, cut off", 0),
    (in_what_people_say.one_approval_counts_for_every_gate, "shop, gated", 0),
    (in_ensure.an_isolation_takes_the_fast_path, "bare, moved and rebuilt", 0),
    (in_ensure.an_announcement_takes_the_fast_path, "shop planned", 0),
    (in_plans.an_isolation_takes_no_server_along, "bare, rebuilt unseen", 0),
    (in_undo.a_fence_by_hand_is_not_noted, "demo forced, humans vouch", 0),
    (in_undo.what_people_have_switched_off_is_as_before, "demo forced, humans vouch", 1),
    (in_undo.what_had_crashed_is_as_before_once_it_was_shut_down, "bare, its standby crashed", 1),
    (in_undo.what_was_switched_at_one_door_was_so_at_another, "strong machine, humans vouch", 1),
    (in_undo.the_checks_do_not_ask_who_serves, "bare, rebuilt while it serves", 0),
    (in_undo.a_rebuild_can_be_skipped, "bare, its rebuild skipped", 1),
    (in_undo.what_was_skipped_is_not_told, "demo forced, humans skip", 1),
    (in_plans.what_needs_it_is_stopped_afterwards, "pair planned", 1),
    (in_plans.a_name_leads_to_a_machine_that_is_not_up, "shop forced, source healthy", 1),
    (in_plans.a_dependent_starts_on_what_is_not_there, "shop forced, source healthy", 0),
    (in_the_engine.what_nobody_knows_to_be_lost_is_not, "bare, its loss unknown", 0),
    (in_the_engine.a_handshake_counts_as_a_contact, "bare, its loss unknown", 0),
    (in_the_engine.success_without_the_outside_view, FORCED_ALIVE, 0),
    (in_what_people_say.a_name_in_other_letters_is_somebody_else, "demo forced, humans vouch", 0),
    (in_plans.what_a_name_answers_is_believed_for_minutes, FORCED_ALIVE, 0),
    (in_plans.an_address_moves_before_the_source_is_stopped, "shop planned", 0),
    (in_plans.the_name_is_pointed_to_where_the_service_comes_from, FORCED_ALIVE, 0),
    (in_plans.the_name_is_left_where_it_was, FORCED_ALIVE, 0),
    (in_plans.a_fence_needs_less_than_the_runbook_says, "strong forced, source cut off", 0),
    (in_the_engine.two_doors_of_one_device_are_two, "strong forced, source cut off", 0),
    (in_plans.a_machine_is_not_fenced, "shop forced, source healthy", 0),
    (in_plans.a_machine_is_stopped_with_less_than_it_is_fenced_with, "strong machine, planned", 0),
    (in_the_engine.no_loss_is_told, "demo forced, source cut off", 0),
    (in_the_engine.every_end_says_protected, FORCED_ALIVE, 0),
    (in_what_people_say.an_approval_that_nobody_gave_in_time_counts_as_given, "shop forced, source healthy", 1),
    (in_what_people_say.anybody_may_accept_more_loss, "gated, cut off", 1),
    (in_what_people_say.the_objective_counts_beside_what_was_named, "generous, cut off", 1),
    (in_what_people_say.a_gate_expires_though_it_was_approved, FORCED_ALIVE, 1),
    (in_the_engine.an_old_deadline_ends_a_new_wait, "demo forced, fence dark", 1),
    (in_the_ledger.a_fence_in_doubt_does_not_hinder, "demo back again", 1),
    (in_the_ledger.what_was_stopped_stays_fenced_beyond_an_unfence, "bare, moved and unfenced", 1),
    (in_the_ledger.a_fence_ends_with_its_execution, "bare, moved and forced back", 1),
    (in_what_people_say.what_is_no_fence_can_be_attested, "bare, humans vouch for all", 1),
    (in_the_engine.a_pause_stops_nothing, FORCED_ALIVE, 1),
    (in_ensure.what_was_not_seen_in_time_has_failed, FORCED_ALIVE, 1),
    (in_plans.a_fence_needs_no_latch, FORCED_ALIVE, 1),
    (in_plans.an_isolation_needs_no_proof, "demo back again", 1),
    (in_the_engine.a_request_without_an_answer_counts_for_a_strong_fence, "strong forced, source cut off", 1),
    (in_the_engine.what_is_not_latched_counts_for_a_strong_fence, "strong forced, source cut off", 1),
    (in_the_engine.an_unfence_looks_only_once, "bare, unfenced", 1),
    (in_the_engine.the_loss_of_one_database_is_told_for_all, "pair forced, source healthy", 1),
    (in_the_engine.the_fence_of_what_was_replaced_is_proposed_to_be_lifted, "bare, forced twice", 1),
    (in_the_engine.any_loss_is_accepted, "demo forced, source cut off", 1),
    (in_the_engine.barrier_is_always_open, FORCED_ALIVE, 1),
    (in_the_engine.any_evidence_will_do, FORCED_ALIVE, 1),
    (in_the_engine.unlatched_will_do, FORCED_ALIVE, 1),
    (in_the_engine.unknown_counts_as_done, FORCED_ALIVE, 1),
    (in_ensure.accepted_counts_as_done, FORCED_ALIVE, 1),
    (in_the_ledger.every_doubt_ends_as_early_as_the_quickest, "shop, there and back", 1),
    (in_the_ledger.a_rebuild_forgets_what_it_is_not_about, "shop, there and back", 1),
    (in_ensure.no_answer_counts_as_done, FORCED_ALIVE, 1),
    (in_ensure.no_answer_counts_as_not_sent, FORCED_ALIVE, 1),
    (in_ensure.what_could_not_be_looked_at_is_changed, "demo planned", 1),
    (in_ensure.whoever_answers_is_the_one_meant, "demo planned", 1),
    (in_ensure.whoever_answers_afterwards_has_done_it, "demo planned", 1),
    (in_ensure.it_toggles, FORCED_ALIVE, 1),
    (in_the_ledger.an_unknown_closes_its_doubt, FORCED_ALIVE, 1),
    (in_undo.an_unknown_is_not_undone, FORCED_ALIVE, 1),
    (in_the_ledger.the_last_outcome_wins, FORCED_ALIVE, 1),
    (in_the_engine.a_lost_worker_is_clean, FORCED_ALIVE, 1),
    (in_the_ledger.doubts_are_not_inherited, FORCED_ALIVE, 1),
    (in_undo.nothing_is_undone, FORCED_ALIVE, 1),
    (in_undo.undo_forgets_what_a_fence_took_along, FORCED_ALIVE, 1),
    (in_undo.what_was_found_done_was_never_asked_for, "shop forced, source healthy", 1),
    (in_the_engine.a_look_finds_what_it_waits_for, "demo planned", 1),
    (in_plans.a_switchover_does_not_wait_for_the_standby, "demo planned", 1),
    (in_undo.what_was_not_confirmed_is_not_undone, "demo planned", 1),
    (in_the_ledger.the_guard_lets_an_old_epoch_through, "demo back again", 1),
    (in_undo.rollback_after_the_promotion_was_issued, "demo planned, aborted", 1),
    (in_undo.an_abort_undoes_after_the_promotion, "demo planned, aborted", 1),
    (in_undo.rolled_back_with_a_doubt, "demo planned, aborted", 1),
    (in_the_ledger.power_on_does_not_count_as_activating, "demo planned, aborted", 1),
    (in_the_ledger.a_doubt_ends_before_its_time, "demo planned, aborted", 1),
    (in_the_engine.the_measured_loss_is_ignored, "demo forced, source cut off", 1),
    (in_the_engine.safety_steps_can_be_skipped, "demo forced, humans skip", 1),
    (in_the_ledger.a_promotion_in_doubt_binds_its_own_component_only, "shop forced, source cut off", 1),
    (in_ensure.what_is_read_answers_for_the_request, "demo back again", 1),
    (in_the_ledger.the_guard_lets_old_attempts_through, "demo back again", 1),
    (in_ensure.nothing_is_compared_before_it_is_set, "demo back again", 1),
    (in_the_ledger.a_release_in_doubt_is_ignored, "demo back again", 1),
    (in_undo.undo_switches_everything_on, "demo back again", 1),
    (in_undo.what_may_still_come_is_not_told, "demo back again", 1),
    (in_the_ledger.a_doubt_that_was_answered_since_is_none, "machine, there and back", 1),
    (in_undo.undo_starts_a_machine_beside_its_twin, "machine, forced twice", 1),
    (in_ensure.a_fence_takes_the_fast_path, "bare, forced twice", 1),
    (in_the_ledger.a_doubt_counts_from_when_it_was_handed_out, "bare, rebuilt", 2),
    (in_the_ledger.anybodys_word_ends_any_doubt, FORCED_ALIVE, 2),
    (in_the_ledger.a_doubt_that_was_answered_before_the_claim_is_none, "machine planned, then unfenced", 2),
    (in_undo.doubts_are_forgotten_at_the_end, "bare, forced twice", 2),
    (in_undo.what_people_have_cut_off_is_given_back, "bare, humans vouch for all", 2),
    (in_ensure.undo_takes_the_fast_path, "machine, forced", 2),
    (in_undo.what_the_checks_read_was_so_before_all, "bare, forced twice", 2),
    (in_undo.what_an_unfinished_execution_took_down_is_left_so, "bare, forced twice", 2),
    (in_the_ledger.promotions_of_earlier_executions_are_forgotten, "bare, forced twice", 2),
    (in_undo.what_was_to_be_switched_off_again_is_believed_to_be_off, "machine, forced twice", 2),
    (in_the_engine.the_loss_counts_until_it_is_measured, "bare, little accepted", 2),
    (in_the_ledger.who_has_served_is_not_noted_at_the_end, "bare, unfenced", 2),
    (in_ensure.a_stale_reading_back_counts, "bare, just started and cut off", 2),
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
    public = {
        bug
        for module in (in_ensure, in_plans, in_the_engine, in_the_ledger, in_undo, in_what_people_say)
        for name, bug in vars(module).items()
        if getattr(bug, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    tried = Counter(broken for broken, _, _ in FOUND)
    assert set(tried) == public
    assert set(tried.values()) == {1}


def listed() -> str:
    """The table of docs/rehearsal.md."""
    rows = [f"| {broken.__name__.replace('_', ' ')} | {name} | {faults} |" for broken, name, faults in FOUND]
    return "\n".join(["| Broken on purpose | Scenario | Faults |", "|---|---|---:|", *rows])


def test_the_list_in_the_documents_is_this_one() -> None:
    assert (Path(__file__).parents[2] / "docs" / "rehearsal.md").read_text().endswith(f"\n\n{listed()}\n")
