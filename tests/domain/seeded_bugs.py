"""Ways to break the engine, the ledger, `ensure` or a plan, one rule at a time: what rehearsal has to find."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain import admission, barrier, ensure, ledger, twins
from orchestrator.domain.engine import actions, advance, steps, undoing
from orchestrator.domain.ensure import Accepted, InDoubt, Progress, Saw
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Done, Failed, Outcome, Unknown
from orchestrator.domain.plan import Plan, Want
from orchestrator.domain.rehearsal import driving, invariants, model
from orchestrator.domain.state import End, IsReadable, IsState, Status
from orchestrator.domain.world import Power, Reading
from tests.domain import runbooks

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


def a_doubt_ends_before_its_time(patch: pytest.MonkeyPatch) -> None:
    """Whatever is looked at is taken to have nothing more to come."""

    def settle(record: GroupRecord, resource: str, late_effect: float | None, by: float) -> GroupRecord:
        return real(record, resource, late_effect and -by, by)

    real = ledger.settle
    patch.setattr(ledger, "settle", settle)


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

    _everywhere(patch, "fold", counting, driving, invariants)


def power_on_does_not_count_as_activating(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "conflict", nothing)
    patch.setattr(barrier, "conflict", nothing)
    patch.setattr(ledger, "no_way_back", nothing)
    patch.setattr(Want, "activates", property(lambda _: False))


# `ensure`


def _done_unread(patch: pytest.MonkeyPatch, taken: type[Accepted | InDoubt]) -> None:
    """A request with this reply counts as done, and nothing is read back."""
    real = ensure._changing

    def changing(progress: Progress, reply: Any) -> Any:
        if not isinstance(reply, taken):
            return real(progress, reply)
        reading = Reading(states=(progress.goal.desired,), authority="", authoritative=True, latched=True)
        return progress, Done(evidence=ensure._evidence(progress.goal, reading, reply.at, reply.at), changed=True)

    patch.setattr(ensure, "_changing", changing)


def accepted_counts_as_done(patch: pytest.MonkeyPatch) -> None:
    """What an API has accepted is not read back."""
    _done_unread(patch, Accepted)


def no_answer_counts_as_done(patch: pytest.MonkeyPatch) -> None:
    """A request that timed out is taken for done."""
    _done_unread(patch, InDoubt)


def no_answer_counts_as_not_sent(patch: pytest.MonkeyPatch) -> None:
    """A request that timed out is taken for one that never was."""
    real = ensure._changing

    def changing(progress: Progress, reply: Any) -> Any:
        return (progress, Failed(why=reply.why)) if isinstance(reply, InDoubt) else real(progress, reply)

    patch.setattr(ensure, "_changing", changing)


def what_is_read_answers_for_the_request(patch: pytest.MonkeyPatch) -> None:
    """A request without an answer counts as answered once the wanted state is read, whoever brought it about."""
    real = ensure._reading_back

    def reading_back(progress: Progress, reply: Any) -> Any:
        after, said = real(progress, reply)
        return after, said.model_copy(update={"answered": True}) if isinstance(said, Done) else said

    patch.setattr(ensure, "_reading_back", reading_back)


def a_fence_takes_the_fast_path(patch: pytest.MonkeyPatch) -> None:
    """A fence is done where the machine is read off already."""
    real = actions._perform

    def perform(plan: Any, state: Any, step: Any, number: int) -> Any:
        order = real(plan, state, step, number)
        return order.model_copy(update={"may_be_there": True}) if step.kind == "fence" else order

    patch.setattr(actions, "_perform", perform)


def undo_takes_the_fast_path(patch: pytest.MonkeyPatch) -> None:
    """An undo is done where the state is read already, though what it undoes may still come."""
    real = actions._undo
    patch.setattr(actions, "_undo", lambda s, u: real(s, u).model_copy(update={"may_be_there": True}))


def it_toggles(patch: pytest.MonkeyPatch) -> None:
    """A machine's power is switched over instead of set."""
    real = model.powered

    def powered(world: Any, place: Any, power: Any) -> Any:
        return real(world, place, "off" if world.power[place] == "on" else "on")

    patch.setattr(model, "powered", powered)


def nothing_is_compared_before_it_is_set(patch: pytest.MonkeyPatch) -> None:
    """A name is overwritten, whatever it says by now."""
    real = model._set
    patch.setattr(model, "_set", lambda world, spec, desired, _: real(world, spec, desired, None))


def a_stale_reading_back_counts(patch: pytest.MonkeyPatch) -> None:
    """What is read back may have been read before it was asked for."""
    real = ensure._reading_back

    def reading_back(progress: Progress, reply: Any) -> Any:
        seen = reply.model_copy(update={"began": progress.requested_at}) if isinstance(reply, Saw) else reply
        return real(progress, seen)

    patch.setattr(ensure, "_reading_back", reading_back)


# The ledger


def the_last_outcome_wins(patch: pytest.MonkeyPatch) -> None:
    """An attempt that ends well closes the doubts that earlier ones have left on the resource."""
    real = ledger.close_attempt

    def close_attempt(record: GroupRecord, attempt: Any, outcome: Outcome) -> GroupRecord:
        closed = real(record, attempt, outcome)
        if not isinstance(outcome, Done):
            return closed
        resource = outcome.evidence.resource
        return closed.model_copy(update={"doubts": tuple(d for d in closed.doubts if d.want.resource != resource)})

    patch.setattr(ledger, "close_attempt", close_attempt)


def a_lost_worker_is_clean(patch: pytest.MonkeyPatch) -> None:
    """What a worker was about to do when it was lost is taken for not done."""
    real = fold._ended

    def ended(plan: Any, state: Any, event: Any) -> Any:
        outcome = event.outcome
        lost = isinstance(outcome, Unknown) and outcome.lost
        return real(plan, state, event.model_copy(update={"outcome": Failed(why="lost")}) if lost else event)

    patch.setattr(fold, "_ended", ended)


def doubts_are_not_inherited(patch: pytest.MonkeyPatch) -> None:
    """A new execution starts with a clean ledger."""
    real = ledger.open_execution

    def open_execution(record: GroupRecord, execution: Any, holder_is_gone: bool = False) -> GroupRecord | str:
        opened = real(record, execution, holder_is_gone)
        return opened if isinstance(opened, str) else opened.model_copy(update={"doubts": (), "issued": ()})

    patch.setattr(ledger, "open_execution", open_execution)


def a_release_in_doubt_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """A standby is promoted while the old primary's power may still come back on."""
    _everywhere(patch, "conflict", nothing, ledger, barrier)


def a_doubt_that_was_answered_since_is_none(patch: pytest.MonkeyPatch) -> None:
    """Only the journal is asked what is in doubt, and not what was when the execution began."""
    patch.setattr(barrier, "conflict", nothing)


def a_promotion_in_doubt_binds_its_own_component_only(patch: pytest.MonkeyPatch) -> None:
    """What acts beside a database is switched on while the other site's promotion may still take effect."""
    real = ledger.conflict

    def conflict(record: GroupRecord, want: Want) -> str | None:
        mine = tuple(d for d in record.doubts if d.want.component == want.component)
        return real(record.model_copy(update={"doubts": mine}), want)

    _everywhere(patch, "conflict", conflict, ledger, barrier)


def the_guard_lets_an_old_epoch_through(patch: pytest.MonkeyPatch) -> None:
    """A worker of an execution that was terminated may still act."""
    real = ledger.enter

    def enter(record: GroupRecord, request: Any, plan: str) -> GroupRecord | str:
        execution = record.execution and record.execution.model_copy(update={"plan": plan})
        aged = record.model_copy(update={"epoch": request.attempt.epoch, "claims": {}, "execution": execution})
        entered = real(aged, request, plan)
        if isinstance(entered, str):
            return entered
        kept = {"epoch": record.epoch, "claims": record.claims, "execution": record.execution}
        return entered.model_copy(update=kept)

    patch.setattr(ledger, "enter", enter)


def an_unfence_starts_a_machine_beside_its_twin(patch: pytest.MonkeyPatch) -> None:
    """Only databases are looked up before something is unfenced."""
    patch.setattr(twins, "_twin_acts", nothing)


# Undo


def an_abort_undoes_after_the_promotion(patch: pytest.MonkeyPatch) -> None:
    """A human may abort at any time, and then everything is put back."""
    patch.setattr(ledger, "no_way_back", nothing)


def undo_starts_a_machine_beside_its_twin(patch: pytest.MonkeyPatch) -> None:
    """What an execution before this one has started is no matter of undo."""
    patch.setattr(barrier, "started_elsewhere", nothing)


def what_was_not_confirmed_is_not_undone(patch: pytest.MonkeyPatch) -> None:
    """Undo covers the steps that are done, and no others."""
    real = undoing.undo_list
    patch.setattr(
        undoing, "undo_list", lambda p, s: tuple(u for u in real(p, s) if s.steps[u.step].status is Status.DONE)
    )


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


# The plan


def _every_plan(patch: pytest.MonkeyPatch, change: Callable[[Plan], Plan]) -> None:
    real = runbooks.planned
    patch.setattr(runbooks, "planned", lambda *given: change(real(*given)))


def _waiting_for(plan: Plan, step: str, after: tuple[str, ...]) -> Plan:
    steps = tuple(s.model_copy(update={"after": after}) if s.id == step else s for s in plan.steps)
    return plan.model_copy(update={"steps": steps})


def clients_are_moved_before_the_promotion_is_seen(patch: pytest.MonkeyPatch) -> None:
    """The name is pointed to the new site as soon as it is approved."""

    def early(plan: Plan) -> Plan:
        return _waiting_for(plan, "name.switch", ("approve",)) if plan.of_kind("promote") else plan

    _every_plan(patch, early)


def the_old_primary_is_started_before_it_is_isolated(patch: pytest.MonkeyPatch) -> None:
    """Reprotect in the wrong order."""

    def reversed_(plan: Plan) -> Plan:
        if plan.mode != "reprotect":
            return plan
        start, isolate = plan.step("db.start"), plan.step("db.isolate")
        return _waiting_for(_waiting_for(plan, "db.start", isolate.after), "db.isolate", (start.id,))

    _every_plan(patch, reversed_)


def a_switchover_does_not_wait_for_the_standby(patch: pytest.MonkeyPatch) -> None:
    """Up to the shutdown checkpoint will do."""
    patch.setattr(actions, "_condition", lambda _, step: IsState(want=step.wants[0]) if step.wants else IsReadable())
