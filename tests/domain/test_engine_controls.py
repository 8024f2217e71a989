"""Positive controls: one rule of the engine broken at a time, and the search must find it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain import admission, barrier, ledger
from orchestrator.domain.engine import actions, advance, steps, undoing
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Outcome, Unknown
from orchestrator.domain.plan import Want
from orchestrator.domain.rehearsal import folding, search
from orchestrator.domain.rehearsal.search import Counterexample
from orchestrator.domain.state import Status
from tests.domain.test_engine import scenarios

fold = importlib.import_module("orchestrator.domain.engine.fold")  # the package's `fold` is the function
Sabotage = Callable[[pytest.MonkeyPatch], None]


def nothing(*_: Any, **__: Any) -> None:
    """The answer of a rule that finds nothing wrong."""


def _everywhere(patch: pytest.MonkeyPatch, name: str, broken: object, *modules: object) -> None:
    for module in modules:
        patch.setattr(module, name, broken)


def barrier_is_always_open(patch: pytest.MonkeyPatch) -> None:
    _everywhere(patch, "closed", nothing, barrier, steps, advance)
    patch.setattr(advance, "ROLL_BACK_ON", frozenset())
    patch.setattr(fold.barrier, "sufficient", nothing)
    patch.setattr(steps, "satisfied", lambda record: record.status is not Status.PENDING)


def any_evidence_will_do(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(barrier, "sufficient", nothing)


def unlatched_will_do(patch: pytest.MonkeyPatch) -> None:
    def sufficient(step: Any, evidence: Any) -> str | None:
        return "weak" if evidence.strength < step.needs_strength and not evidence.attested_by else None

    patch.setattr(barrier, "sufficient", sufficient)


def unknown_counts_as_done(patch: pytest.MonkeyPatch) -> None:
    real = steps.event_of

    def event_of(outcome: Outcome) -> str:
        return "done" if isinstance(outcome, Unknown) else real(outcome)

    patch.setattr(fold, "event_of", event_of)
    _everywhere(patch, "closed", nothing, barrier, steps, advance)


def rollback_after_the_promotion_was_issued(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "no_way_back", nothing)
    _everywhere(patch, "promotion_issued", nothing, advance, steps)


def doubts_are_forgotten_at_the_end(patch: pytest.MonkeyPatch) -> None:
    def undoing_without_doubts(plan: Any, state: Any) -> Any:
        forgetful = state.model_copy(update={"record": state.record.model_copy(update={"doubts": ()})})
        return real(plan, forgetful)

    real = advance._undoing
    patch.setattr(advance, "_undoing", undoing_without_doubts)


def an_unknown_closes_its_doubt(patch: pytest.MonkeyPatch) -> None:
    def close_attempt(record: GroupRecord, attempt: Any, outcome: Outcome) -> GroupRecord:
        doubts = tuple(d for d in record.doubts if d.attempt != attempt)
        closed = real(record, attempt, outcome)
        return closed.model_copy(update={"doubts": doubts})

    real = ledger.close_attempt
    patch.setattr(ledger, "close_attempt", close_attempt)


def an_unknown_is_not_undone(patch: pytest.MonkeyPatch) -> None:
    def close_attempt(record: GroupRecord, attempt: Any, outcome: Outcome) -> GroupRecord:
        closed = real(record, attempt, outcome)
        if not isinstance(outcome, Unknown):
            return closed
        left = {name: tuple(r for r in getattr(closed, name) if r.attempt != attempt) for name in ("issued", "doubts")}
        return closed.model_copy(update=left)

    real = ledger.close_attempt
    patch.setattr(ledger, "close_attempt", close_attempt)


def nothing_is_undone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(undoing, "undo_list", lambda *_: ())


def undo_forgets_what_a_fence_took_along(patch: pytest.MonkeyPatch) -> None:
    real = undoing.undo_list
    patch.setattr(undoing, "undo_list", lambda p, s: tuple(u for u in real(p, s) if u.want.desired.kind != "role"))


def a_look_finds_what_it_waits_for(patch: pytest.MonkeyPatch) -> None:
    real = fold._looked
    patch.setattr(fold, "_looked", lambda p, s, e: real(p, s, e.model_copy(update={"why": ""})))


def the_measured_loss_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(barrier, "too_much_lost", nothing)


def the_guard_lets_old_attempts_through(patch: pytest.MonkeyPatch) -> None:
    def enter(record: GroupRecord, request: Any, plan: str) -> GroupRecord | str:
        return record.model_copy(update={"doubts": (*record.doubts, request), "issued": (*record.issued, request)})

    patch.setattr(ledger, "enter", enter)


def a_step_is_started_while_it_runs(patch: pytest.MonkeyPatch) -> None:
    real = steps.startable

    def startable(plan: Any, state: Any) -> Any:
        again = tuple(s for s in plan.of_kind("fence") if state.steps[s.id].status is Status.RUNNING)
        return (*real(plan, state), *again)

    patch.setattr(actions, "startable", startable)


def a_stuck_execution_asks_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(advance, "_wait", lambda *given: given[1])


def a_lost_worker_is_replaced_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(advance, "next_try", lambda _, record: steps.moved(record, "again") if steps.stuck(record) else None)


def safety_steps_can_be_skipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "SAFETY", frozenset())


def events_after_the_end_count(patch: pytest.MonkeyPatch) -> None:
    real = fold.fold

    def counting(plan: Any, state: Any, event: Any) -> Any:
        return state.model_copy(update={"waits": state.waits + 1}) if state.finish else real(plan, state, event)

    _everywhere(patch, "fold", counting, search, folding)


def power_on_does_not_count_as_activating(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "conflict", nothing)
    patch.setattr(barrier, "conflict", nothing)
    patch.setattr(ledger, "no_way_back", nothing)
    patch.setattr(Want, "activates", property(lambda _: False))


ABORT = ("abort",)

SABOTAGE: list[tuple[Sabotage, str, tuple[str, ...] | None, int]] = [
    (barrier_is_always_open, "demo forced, source healthy", None, 1),
    (any_evidence_will_do, "demo forced, source healthy", None, 1),
    (unlatched_will_do, "demo forced, source healthy", None, 1),
    (unknown_counts_as_done, "demo forced, source healthy", None, 1),
    (rollback_after_the_promotion_was_issued, "demo forced, servers start at boot", ABORT, 1),
    (doubts_are_forgotten_at_the_end, "demo planned", ABORT, 1),
    (an_unknown_closes_its_doubt, "demo planned", ABORT, 1),
    (an_unknown_is_not_undone, "demo planned", ABORT, 1),
    (nothing_is_undone, "demo planned", None, 1),
    (undo_forgets_what_a_fence_took_along, "demo forced, source healthy", None, 1),
    (a_look_finds_what_it_waits_for, "demo planned", None, 1),
    (the_measured_loss_is_ignored, "demo forced, strict", None, 1),
    (the_guard_lets_old_attempts_through, "demo there and back", None, 1),
    (a_step_is_started_while_it_runs, "demo forced, source healthy", None, 1),
    (a_stuck_execution_asks_nobody, "demo forced, fence dark", None, 0),
    (a_lost_worker_is_replaced_for_ever, "demo forced, fence dark", None, 0),
    (safety_steps_can_be_skipped, "demo forced, humans skip", None, 1),
    (events_after_the_end_count, "demo planned", None, 0),
    (power_on_does_not_count_as_activating, "demo forced, servers start at boot", ABORT, 1),
]


@pytest.mark.parametrize(("broken", "name", "reactions", "faults"), SABOTAGE, ids=lambda v: getattr(v, "__name__", ""))
def test_the_search_finds_a_broken_rule(
    broken: Sabotage, name: str, reactions: tuple[str, ...] | None, faults: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = next(scenario for scenario in scenarios() if scenario.name == name)
    broken(monkeypatch)
    with pytest.raises(Counterexample):
        replace(scenario, reactions=reactions or scenario.reactions).explored(faults)
