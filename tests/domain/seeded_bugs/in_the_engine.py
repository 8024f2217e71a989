"""Rules of the barrier and of the engine broken: what is enough to go on."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest

from orchestrator.domain import admission, barrier, checks, loss
from orchestrator.domain.engine import actions, advance, steps
from orchestrator.domain.loss import NOTHING_LOST, Loss
from orchestrator.domain.outcome import Failed, Outcome, Unknown
from orchestrator.domain.plan import Plan, Step
from orchestrator.domain.rehearsal import driving, endings
from orchestrator.domain.state import Check, Claim, Claimed, End, Ended, ExecutionState, Status
from orchestrator.domain.world import Evidence, Reading, Strength, share_no_controller
from tests.domain.seeded_bugs import everywhere, nothing

fold = importlib.import_module("orchestrator.domain.engine.fold")  # the package's `fold` is the function


def barrier_is_always_open(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "closed", nothing, barrier, steps, advance)
    patch.setattr(advance, "ROLL_BACK_ON", frozenset())
    patch.setattr(fold.barrier, "sufficient", nothing)
    patch.setattr(steps, "satisfied", lambda record: record.status is not Status.PENDING)


def any_evidence_will_do(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(barrier, "sufficient", nothing)


def unlatched_will_do(patch: pytest.MonkeyPatch) -> None:
    def sufficient(step: Any, evidence: Any) -> str | None:
        return "weak" if evidence.strength < step.needs_strength and not evidence.attested_by else None

    patch.setattr(barrier, "sufficient", sufficient)


def two_doors_of_one_device_are_two(patch: pytest.MonkeyPatch) -> None:
    """F3 by two methods that one controller carries out."""
    patch.setattr(barrier, "share_no_controller", lambda controllers: len(list(controllers)) > 1)


def a_request_without_an_answer_counts_for_a_strong_fence(patch: pytest.MonkeyPatch) -> None:
    """F3 by what one controller has read, and what another was asked for."""
    real = fold._ended

    def ended(plan: Plan, state: ExecutionState, event: Ended) -> ExecutionState:
        after: ExecutionState = real(plan, state, event)
        step = None if event.attempt.undo else plan.step(event.attempt.step)
        if step is None or step.kind != "fence" or not isinstance(event.outcome, Unknown):
            return after
        want = step.wants[event.attempt.method]
        reading = Reading(states=(want.desired,), authority=want.resource, authoritative=True, latched=True)
        believed = Evidence(
            resource=want.resource, state=want.desired, reading=reading, strength=Strength.F2,
            read_at=event.at, requested_at=event.at,
        )  # fmt: skip
        record = after.steps[step.id].model_copy(update={"evidence": believed})
        return after.model_copy(update={"steps": {**after.steps, step.id: record}})

    patch.setattr(fold, "_ended", ended)


def what_is_not_latched_counts_for_a_strong_fence(patch: pytest.MonkeyPatch) -> None:
    """F3 by what two controllers have read, however they have read it."""
    real = barrier.joined

    def joined(plan: Plan, step: Step, earlier: Evidence | None, new: Evidence) -> Evidence:
        found = real(plan, step, earlier, new)
        of_all = [*(earlier.beside if earlier else ()), *([earlier] if earlier else ()), new]
        if not share_no_controller(plan.resources[each.resource].controller for each in of_all):
            return found
        return found.model_copy(update={"beside": tuple(of_all[:-1]), "strength": Strength.F3})

    patch.setattr(barrier, "joined", joined)


def an_unfence_looks_only_once(patch: pytest.MonkeyPatch) -> None:
    """By its checks, and not again when it has claimed the group: a worker that was lost may have promoted since."""
    patch.setattr(barrier, "unfenced", lambda _: ())


def unknown_counts_as_done(patch: pytest.MonkeyPatch) -> None:
    real = steps.event_of

    def event_of(outcome: Outcome) -> str:
        return "done" if isinstance(outcome, Unknown) else real(outcome)

    patch.setattr(fold, "event_of", event_of)
    everywhere(patch, "closed", nothing, barrier, steps, advance)


def a_look_finds_what_it_waits_for(patch: pytest.MonkeyPatch) -> None:
    real = fold._looked
    patch.setattr(fold, "_looked", lambda p, s, e: real(p, s, e.model_copy(update={"why": ""})))


def the_measured_loss_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(barrier, "too_much_lost", nothing)


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
    patch.setattr(Plan, "skippable", lambda *_: True)


def events_after_the_end_count(patch: pytest.MonkeyPatch) -> None:
    real = fold.fold

    def counting(plan: Any, state: Any, event: Any) -> Any:
        return state.model_copy(update={"waits": state.waits + 1}) if state.finish else real(plan, state, event)

    everywhere(patch, "fold", counting, driving, endings)


def a_lost_worker_is_clean(patch: pytest.MonkeyPatch) -> None:
    """What a worker was about to do when it was lost is taken for not done."""
    real = fold._ended

    def ended(plan: Any, state: Any, event: Any) -> Any:
        outcome = event.outcome
        lost = isinstance(outcome, Unknown) and outcome.lost
        return real(plan, state, event.model_copy(update={"outcome": Failed(why="lost")}) if lost else event)

    patch.setattr(fold, "_ended", ended)


def the_loss_counts_until_it_is_measured(patch: pytest.MonkeyPatch) -> None:
    """And not until the source was fenced: what it has committed since the standby was read is left out."""
    real = checks.current_loss
    patch.setattr(barrier, "current_loss", lambda plan, state, until: real(plan, state))  # noqa: ARG005


def any_loss_is_accepted(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "accepted_loss", lambda *_: math.inf, barrier, admission)


def nobody_is_asked(patch: pytest.MonkeyPatch) -> None:
    """The group is claimed once the checks are done, and its claim counts as an approval."""
    real = fold._handled

    def before_the_claim(plan: Any, state: Any) -> Any:
        checks = tuple(Check(step=step.id) for step in steps.ready(plan, state) if step.kind == "check")
        done = all(state.steps[step.id].status is Status.DONE for step in plan.of_kind("check"))
        return checks or ((Claim(),) if done and not state.claim_refused else ())

    def handled(plan: Any, state: Any, event: Any) -> Any:
        after = real(plan, state, event)
        approve = plan.of_kind("approve")[0].id
        agreed = after.steps[approve].model_copy(update={"status": Status.DONE})
        return fold._set(after, approve, agreed) if isinstance(event, Claimed) else after

    patch.setattr(actions, "_before_the_claim", before_the_claim)
    patch.setattr(fold, "_handled", handled)


def what_could_not_be_read_is_verified(patch: pytest.MonkeyPatch) -> None:
    """The look of a verification is over, so it is done."""
    real = fold._looked

    def looked(plan: Any, state: Any, event: Any) -> Any:
        if plan.step(event.step).kind != "verify":
            return real(plan, state, event)
        return fold._set(state, event.step, steps.moved(state.steps[event.step], "done", ended_at=event.at))

    patch.setattr(fold, "_looked", looked)


def the_loss_of_one_database_is_told_for_all(patch: pytest.MonkeyPatch) -> None:
    def current(plan: Any, state: Any, until: Any = None) -> Any:
        first = checks.writers(plan)[:1] if plan.of_kind("promote") else ()
        return next((checks._loss_of(plan, state, component, until) for component in first), None)

    everywhere(patch, "current_loss", current, checks, barrier, admission, advance, fold)


def no_loss_is_told(patch: pytest.MonkeyPatch) -> None:
    real = fold._looked

    def looked(plan: Any, state: Any, event: Any) -> Any:
        after = real(plan, state, event)
        return after.model_copy(update={"loss_measured": NOTHING_LOST}) if after.loss_measured else after

    patch.setattr(fold, "_looked", looked)


def every_end_says_protected(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(advance, "_protected", lambda *_: True)


def the_fence_of_what_was_replaced_is_proposed_to_be_lifted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(advance, "maybe_replaced", nothing)


def a_pause_stops_nothing(patch: pytest.MonkeyPatch) -> None:
    real = actions.next_actions
    patch.setattr(driving, "next_actions", lambda p, s: real(p, s.model_copy(update={"paused": False})))


def what_nobody_knows_to_be_lost_is_not(patch: pytest.MonkeyPatch) -> None:
    """A loss that cannot be told counts as none."""
    patch.setattr(Loss, "within", lambda loss, accepted: (loss.seconds or 0.0) <= accepted)


def a_handshake_counts_as_a_contact(patch: pytest.MonkeyPatch) -> None:
    """A standby that heard from its primary has what that committed until then, though it streams nothing."""
    real = loss.measure

    def measured(source: Any, alive: bool, standby: Any, until: float, earlier: Any) -> Loss:
        return real(source, alive, standby.model_copy(update={"streaming": True}), until, earlier)

    patch.setattr(loss, "measure", measured)


def success_without_the_outside_view(patch: pytest.MonkeyPatch) -> None:
    """What was to be verified is not waited for."""
    real = advance.advance

    def advanced(plan: Plan, state: Any) -> Any:
        done = [steps.satisfied(state.steps[step.id]) for step in plan.steps if step.kind != "verify"]
        if all(done) and state.claimed and not (state.finish or state.undoing):
            return advance.finished(plan, state, End.SUCCEEDED, "it is moved")
        return real(plan, state)

    patch.setattr(fold, "advance", advanced)


def an_old_deadline_ends_a_new_wait(patch: pytest.MonkeyPatch) -> None:
    real = fold._timer

    def timer(plan: Plan, state: Any, event: Any) -> Any:
        waits = state.waiting and event.id.startswith("waiting:")
        return real(plan, state, event.model_copy(update={"id": state.waiting.timer}) if waits else event)

    patch.setattr(fold, "_timer", timer)
