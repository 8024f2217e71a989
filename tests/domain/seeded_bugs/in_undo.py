"""Rules of undo and of ends broken: what is put back, and what is said of it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from orchestrator.domain import barrier, checks, ledger, twins
from orchestrator.domain.engine import advance, steps, undoing
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Done, Outcome, Unknown
from orchestrator.domain.plan import SAFETY, Plan
from orchestrator.domain.rehearsal import driving
from orchestrator.domain.state import End, Status
from orchestrator.domain.world import Power
from tests.domain.seeded_bugs import everywhere, nothing

fold = importlib.import_module("orchestrator.domain.engine.fold")  # the package's `fold` is the function


def rollback_after_the_promotion_was_issued(patch: pytest.MonkeyPatch) -> None:
    an_abort_undoes_after_the_promotion(patch)
    patch.setattr(steps, "promotion_issued", nothing)


def an_abort_undoes_after_the_promotion(patch: pytest.MonkeyPatch) -> None:
    """A human may abort at any time, and then everything is put back."""
    patch.setattr(ledger, "no_way_back", nothing)
    everywhere(patch, "succeeded", nothing, ledger, barrier)


def what_people_have_switched_off_is_as_before(patch: pytest.MonkeyPatch) -> None:
    """An abort says so, with the plug pulled."""
    patch.setattr(undoing, "by_hand", lambda *_: {})


def a_fence_by_hand_is_not_noted(patch: pytest.MonkeyPatch) -> None:
    """The journal hears of it at the end, and of nothing else that people have done."""
    patch.setattr(driving, "by_hand", lambda *_: {})


def doubts_are_forgotten_at_the_end(patch: pytest.MonkeyPatch) -> None:
    def undoing_without_doubts(plan: Any, state: Any) -> Any:
        forgetful = state.model_copy(update={"record": state.record.model_copy(update={"doubts": ()})})
        return real(plan, forgetful)

    real = advance._undoing
    patch.setattr(advance, "_undoing", undoing_without_doubts)


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


def undo_starts_a_machine_beside_its_twin(patch: pytest.MonkeyPatch) -> None:
    """What an execution before this one has started is no matter of undo."""
    patch.setattr(barrier, "started_elsewhere", nothing)


def what_was_to_be_switched_off_again_is_believed_to_be_off(patch: pytest.MonkeyPatch) -> None:
    """That nothing of it comes any more is taken for what it was to bring about."""
    patch.setattr(twins, "_read_off", lambda *_: True)


def what_was_not_confirmed_is_not_undone(patch: pytest.MonkeyPatch) -> None:
    """Undo covers the steps that are done, and no others."""
    real = undoing.undo_list
    patch.setattr(
        undoing, "undo_list", lambda p, s: tuple(u for u in real(p, s) if s.steps[u.step].status is Status.DONE)
    )


def what_was_found_done_was_never_asked_for(patch: pytest.MonkeyPatch) -> None:
    """Whether the last attempt has changed anything decides what undo and the lines of I8 go by."""
    real = ledger.close_attempt

    def close_attempt(record: GroupRecord, attempt: Any, outcome: Outcome, *rest: Any) -> GroupRecord:
        closed = real(record, attempt, outcome, *rest)
        if not isinstance(outcome, Done) or outcome.changed or attempt.undo:
            return closed
        issued = tuple(request for request in closed.issued if request.attempt.step != attempt.step)
        return closed.model_copy(update={"issued": issued})

    patch.setattr(ledger, "close_attempt", close_attempt)


def undo_switches_everything_on(patch: pytest.MonkeyPatch) -> None:
    """Undo restores "on", whatever was before."""
    real = undoing.before_of

    def before_of(state: Any, resource: str, kind: str) -> Any:
        return Power(power="on") if kind == "power" else real(state, resource, kind)

    patch.setattr(undoing, "before_of", before_of)


def rolled_back_with_a_doubt(patch: pytest.MonkeyPatch) -> None:
    """Everything reads as before, so it is called rolled back, whatever may still come."""
    real = advance.finished

    def finished(plan: Any, state: Any, end: Any, why: str) -> Any:
        doubtful = state.undoing and "may still take effect" in why
        return real(plan, state, End.ROLLED_BACK if doubtful else end, why)

    patch.setattr(advance, "finished", finished)


def what_may_still_come_is_not_told(patch: pytest.MonkeyPatch) -> None:
    """SUCCEEDED, and not a word of a request that may still take it back."""
    real = advance._success
    patch.setattr(advance, "_success", lambda p, s: real(p, s).partition(";")[0])


def what_was_skipped_is_not_told(patch: pytest.MonkeyPatch) -> None:
    """SUCCEEDED, and not a word of a step that a human has skipped."""
    real = advance._success
    patch.setattr(advance, "_success", lambda p, s: real(p, s).partition("; skipped")[0])


def what_was_switched_at_one_door_was_so_at_another(patch: pytest.MonkeyPatch) -> None:
    """A machine that an unfinished execution has started is taken to have been on before."""
    patch.setattr(undoing, "_at_another_door", nothing)


def what_people_have_cut_off_is_given_back(patch: pytest.MonkeyPatch) -> None:
    """Undo asks the fence device for what somebody has pulled the plug of."""
    real = undoing._touched

    def touched(plan: Any, state: Any) -> Any:
        steps = {
            name: record.model_copy(update={"evidence": None})
            if record.evidence and record.evidence.attested_by
            else record
            for name, record in state.steps.items()
        }
        return real(plan, state.model_copy(update={"steps": steps}))

    patch.setattr(undoing, "_touched", touched)


def what_had_crashed_is_as_before_once_it_was_shut_down(patch: pytest.MonkeyPatch) -> None:
    """It was down before, and is down now."""
    patch.setattr(undoing, "_was_down", lambda _, resource, step: resource in step.touches)


def a_rebuild_can_be_skipped(patch: pytest.MonkeyPatch) -> None:
    """As can what only points clients somewhere."""
    patch.setattr(Plan, "skippable", lambda _, step: step.kind not in SAFETY)


def the_checks_do_not_ask_who_serves(patch: pytest.MonkeyPatch) -> None:
    """What is to be rebuilt may be the only primary."""
    patch.setattr(checks, "_reprotect_roles", lambda *_: iter(()))


def what_the_checks_read_was_so_before_all(patch: pytest.MonkeyPatch) -> None:
    """What an unfinished execution has changed is taken for what was there before it."""

    def before_of(state: Any, resource: str, kind: str) -> Any:
        reading = state.found.get(resource)
        return reading.state(kind) if reading else None

    everywhere(patch, "before_of", before_of, undoing, fold)


def what_an_unfinished_execution_took_down_is_left_so(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(undoing, "_took_down", lambda *_: False)
