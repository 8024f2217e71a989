"""Folding events into the state: each event has one handler, and `advance` draws the conclusions."""

from __future__ import annotations

from orchestrator.domain import barrier, ledger
from orchestrator.domain.checks import current_loss, promoted_before
from orchestrator.domain.commands import Abort, Approve, Attest, Escalate, Pause, Resume, Retry, Skip, enough, person
from orchestrator.domain.engine.advance import advance, finished, superseded
from orchestrator.domain.engine.steps import awaiting, event_of, looked_anew, moved, stuck, undone_again
from orchestrator.domain.engine.undoing import before_of
from orchestrator.domain.ledger import Execution, GroupRecord, Request
from orchestrator.domain.loss import NOTHING_LOST
from orchestrator.domain.outcome import Done, Refused
from orchestrator.domain.plan import VETOES, Plan, Step
from orchestrator.domain.state import (
    Checked,
    Claimed,
    ClaimRefused,
    End,
    Ended,
    Event,
    ExecutionState,
    Human,
    Issued,
    Looked,
    LookStarted,
    Status,
    StepRecord,
    TimerFired,
)
from orchestrator.domain.world import OFF, PRIMARY, STANDBY, Evidence, Reading, Strength


def start(plan: Plan, execution: Execution, record: GroupRecord) -> ExecutionState:
    """The state of an execution that has done nothing yet. `record`: the group's ledger as read, not yet claimed."""
    return ExecutionState(
        execution=execution, record=record, steps={step.id: StepRecord() for step in plan.steps}, now=execution.since
    )


def fold(plan: Plan, state: ExecutionState, event: Event) -> ExecutionState:
    """The state after `event`. Events after the end change nothing."""
    if state.finish:
        return state
    state = state.model_copy(update={"now": max(state.now, event.at)})
    return advance(plan, _handled(plan, state, event))


def _handled(plan: Plan, state: ExecutionState, event: Event) -> ExecutionState:
    match event:
        case LookStarted() | Checked() | Looked():
            return _look(plan, state, event)
        case Issued():
            return _issued(state, event)
        case Ended():
            return _ended(plan, state, event)
        case Claimed(record=record):
            seen = ledger.settle_all(state.record, plan, state.asked_at)
            return state.model_copy(update={"record": ledger.still_doubted(record, seen), "claimed": True})
        case ClaimRefused(why=why):
            return state.model_copy(update={"claim_refused": why})
        case Human():
            return _human(plan, state, event)
        case TimerFired():
            return _timer(plan, state, event)


def _look(plan: Plan, state: ExecutionState, event: LookStarted | Checked | Looked) -> ExecutionState:
    match event:
        case LookStarted():
            return _look_started(state, event)
        case Checked():
            return _checked(plan, state, event)
        case Looked():
            return _looked(plan, state, event)


def _set(state: ExecutionState, step: str, record: StepRecord) -> ExecutionState:
    return state.model_copy(update={"steps": {**state.steps, step: record}})


def _look_started(state: ExecutionState, event: LookStarted) -> ExecutionState:
    record = state.steps[event.step]
    return _set(state, event.step, moved(record, "issue", started_at=event.at, tries=record.tries + 1))


def _checked(plan: Plan, state: ExecutionState, event: Checked) -> ExecutionState:
    update = {
        "record": ledger.settle_all(state.record, plan, dict.fromkeys((*event.readings, *event.errors), event.at)),
        "found": {**state.found, **event.readings},
        "readings": {**state.readings, **event.readings},
        "read_at": {**state.read_at, **dict.fromkeys(event.readings, event.at)},
        "errors": {**state.errors, **event.errors},
        "checked_at": event.at,
    }
    said = "; ".join([f"{name}: {_states(r)}" for name, r in event.readings.items()])
    record = moved(state.steps[event.step], "done", ended_at=event.at, said=said or "nothing could be read")
    return _set(state.model_copy(update=update), event.step, record)


def _looked(plan: Plan, state: ExecutionState, event: Looked) -> ExecutionState:
    step, record = plan.step(event.step), state.steps[event.step]
    if event.superseded:
        return superseded(plan, state, event.why)
    if step.kind == "recheck":
        return _rechecked(plan, state, event)
    if event.reading is None:
        return _set(state, step.id, moved(record, "failed", ended_at=event.at, said=event.why))
    state = state.model_copy(
        update={
            "readings": {**state.readings, event.resource: event.reading},
            "read_at": {**state.read_at, event.resource: event.at},
        }
    )
    evidence = _seen(step, event.resource, event.reading, event.at)
    if event.why:
        return _set(state, step.id, moved(record, "failed", ended_at=event.at, said=event.why, evidence=evidence))
    if step.kind in ("measure", "catch_up"):
        measured = (
            NOTHING_LOST if step.kind == "catch_up" else current_loss(plan, state, barrier.fenced_at(plan, state))
        )
        state = state.model_copy(update={"loss_measured": measured})
    too_much = _judged(plan, state, step, event.reading)
    said = too_much or _states(event.reading)
    name = "failed" if too_much else "done"
    state = _set(state, step.id, moved(record, name, ended_at=event.at, said=said, evidence=evidence))
    if ledger.lifts(step.kind, event.why) and step.component and step.site:
        released = ledger.release(state.record, step.component, step.site)
        state = state.model_copy(update={"record": released})
    return state


def _judged(plan: Plan, state: ExecutionState, step: Step, reading: Reading) -> str | None:
    """Why a reading that met its condition is still not good enough; None where it is."""
    if step.kind != "measure":
        return None
    served = step.component and step.site and promoted_before(state, step.component, step.site)
    if reading.state("role") != STANDBY and not (served and reading.state("role") == PRIMARY):
        return f"{step.component} at {step.site} is no standby any more: {_states(reading)}"
    return barrier.veto(plan, state, step, reading) or barrier.too_much_lost(plan, state)


def _rechecked(plan: Plan, state: ExecutionState, event: Looked) -> ExecutionState:
    """The old primary was looked at once more: what is read can only contradict the fence, never confirm it (I2)."""
    step, reading = plan.step(event.step), event.reading
    why = barrier.veto(plan, state, step, reading) if reading else None
    said = why or (_states(reading) if reading else f"no answer, which proves nothing: {event.why}")
    evidence = _seen(step, event.resource, reading, event.at) if reading else None
    name = "failed" if why else "done"
    record = moved(state.steps[step.id], name, ended_at=event.at, said=said, evidence=evidence)
    return _set(state, step.id, record)


def _issued(state: ExecutionState, event: Issued) -> ExecutionState:
    attempt, want = event.attempt, event.want
    request = Request(
        attempt=attempt, want=want, before=before_of(state, want.resource, want.desired.kind), at=event.at
    )
    entered = ledger.enter(state.record, request, state.execution.plan)
    # The engine assumes the worst from here on; where the ledger refuses, the real guard will refuse as well.
    record = state.record if isinstance(entered, str) else entered
    attempted = state.attempted | {want.resource}
    state = state.model_copy(update={"record": record, "last_n": attempt.n, "attempted": attempted})
    update = {"attempt": attempt, "started_at": event.at, "outcome": None, "said": ""}
    if attempt.undo:
        tries = state.undone[want.resource].tries if want.resource in state.undone else 0
        undone = StepRecord(status=Status.RUNNING, tries=tries + 1, **update)
        return state.model_copy(update={"undone": {**state.undone, want.resource: undone}})
    old = state.steps[attempt.step]
    update["started_at"] = old.started_at or event.at
    return _set(state, attempt.step, moved(old, "issue", tries=old.tries + 1, **update))


def _ended(plan: Plan, state: ExecutionState, event: Ended) -> ExecutionState:
    attempt, outcome = event.attempt, event.outcome
    if isinstance(outcome, Refused) and outcome.superseded:
        return superseded(plan, state, outcome.why)
    record = ledger.overtaken(state.record, attempt, event.at)
    record = ledger.sent_by(ledger.close_attempt(record, attempt, outcome), attempt, event.at)
    if isinstance(outcome, Done):
        resource = outcome.evidence.resource
        late = plan.resources[resource].late_effect
        record = ledger.settle(record, resource, late, outcome.evidence.read_at)
        readings = {**state.readings, resource: outcome.evidence.reading}
        state = state.model_copy(update={"readings": readings if not attempt.undo else state.readings})
    state = state.model_copy(update={"record": record})
    old = _record_of(state, event)
    if old is None or old.attempt != attempt:
        return state
    evidence, lacking, name = old.evidence, None, event_of(outcome)
    said = "" if isinstance(outcome, Done) else outcome.why
    if isinstance(outcome, Done):
        step = plan.step(attempt.step)
        evidence = outcome.evidence if attempt.undo else barrier.joined(plan, step, old.evidence, outcome.evidence)
        lacking = None if attempt.undo else barrier.sufficient(step, evidence)
        said = lacking or _evidence_text(evidence, outcome.changed)
    name = "failed" if lacking else name
    update = {"outcome": outcome, "evidence": evidence, "ended_at": event.at, "said": said}
    if attempt.undo:
        undone = undone_again(moved(old, name, **update))
        return state.model_copy(update={"undone": {**state.undone, _undone_resource(state, event): undone}})
    return _set(state, attempt.step, moved(old, name, **update))


def _record_of(state: ExecutionState, event: Ended) -> StepRecord | None:
    if event.attempt.undo:
        return state.undone.get(_undone_resource(state, event))
    return state.steps.get(event.attempt.step)


def _undone_resource(state: ExecutionState, event: Ended) -> str:
    return next((r for r, record in state.undone.items() if record.attempt == event.attempt), "")


def _human(plan: Plan, state: ExecutionState, event: Human) -> ExecutionState:
    """What was said takes effect. Whether it may be said is decided in `admission`."""
    state = _said(plan, state, event)
    goes_on = isinstance(event.command, Approve | Resume | Retry | Skip | Attest)
    return _looked_anew(plan, state) if goes_on else state


def _looked_anew(plan: Plan, state: ExecutionState) -> ExecutionState:
    """A human has taken their time: before a promotion that is still to come, what may veto it is read once more (I2).

    A look that has failed waits for a word about itself.
    """
    promoted = (Status.RUNNING, Status.DONE)
    to_come = any(state.steps[step.id].status not in promoted for step in plan.of_kind("promote"))
    if not to_come or any(stuck(state.steps[step.id]) for step in plan.of_kind(*VETOES)):
        return state
    return state.model_copy(update={"steps": looked_anew(plan, state.steps)})


def _said(plan: Plan, state: ExecutionState, event: Human) -> ExecutionState:
    match event.command:
        case Approve() as approve:
            return _approved(plan, state, approve, event.at)
        case Abort(by=by, reason=reason):
            why = f"aborted by {by}" + (f": {reason}" if reason else "")
            return state.model_copy(update={"aborted": why, "waiting": None, "paused": False})
        case Pause():
            return state.model_copy(update={"paused": True})
        case Resume():
            return state.model_copy(update={"paused": False})
        case Retry(step=step):
            return _again(state, step)
        case Skip(step=step, by=by, reason=reason):
            record = moved(state.steps[step], "skip", said=f"skipped by {by}: {reason}", ended_at=event.at)
            return _set(state, step, record).model_copy(update={"waiting": None})
        case Attest() as attest:
            return _attested(plan, state, attest, event.at)
        case Escalate(by=by, reason=reason):
            return finished(plan, state, End.NEEDS_HUMAN, f"escalated by {by}" + (f": {reason}" if reason else ""))


def _approved(plan: Plan, state: ExecutionState, approve: Approve, at: float) -> ExecutionState:
    if state.waiting and state.waiting.loss:
        # More loss is accepted: measure again and go on.
        state = state.model_copy(update={"approvals": {**state.approvals, "approve": approve}})
        for step in state.waiting.steps if state.waiting else ():
            state = _again(state, step)
        return state
    waits_for = awaiting(plan, state)
    if waits_for is None:  # it was said twice: what comes later is approved when its time has come
        return state
    record = state.steps[waits_for.id].model_copy(
        update={"status": Status.DONE, "ended_at": at, "said": f"approved by {approve.by}"}
    )
    update: dict[str, object] = {"approvals": {**state.approvals, waits_for.id: approve}}
    if state.loss_shown is None:
        update["loss_shown"] = current_loss(plan, state)
    return _set(state.model_copy(update=update), waits_for.id, record)


def _again(state: ExecutionState, step: str) -> ExecutionState:
    record = moved(state.steps[step], "again", method=0, tries=0, said="", evidence=None)
    return _set(state, step, record).model_copy(update={"waiting": None})


def _attested(plan: Plan, state: ExecutionState, attest: Attest, at: float) -> ExecutionState:
    said = (*state.attestations.get(attest.step, ()), attest)
    state = state.model_copy(update={"attestations": {**state.attestations, attest.step: said}})
    if not enough(a.by for a in said):
        return state
    step = plan.step(attest.step)
    want = step.wants[0]
    reasons = "; ".join(f"{a.by}: {a.reason}" for a in said if isinstance(a, Attest))
    reading = Reading(states=(want.desired,), authority="humans", latched=True, facts={"reason": reasons})
    evidence = Evidence(
        resource=want.resource,
        state=want.desired,
        reading=reading,
        strength=Strength.F0,
        read_at=at,
        attested_by=tuple({person(a.by): a.by for a in said}.values()),
    )
    record = moved(state.steps[step.id], "attest", evidence=evidence, ended_at=at, said=f"attested: {reasons}")
    return _set(state, step.id, record).model_copy(update={"waiting": None})


def _timer(plan: Plan, state: ExecutionState, event: TimerFired) -> ExecutionState:
    if state.waiting and event.id == state.waiting.timer:
        why = f"nobody decided in time: {state.waiting.why}"
        return finished(plan, state, End.NEEDS_HUMAN, why)
    if event.id.startswith("approval:"):
        return _approval_expired(plan, state, event.id.removeprefix("approval:"))
    return state


def _approval_expired(plan: Plan, state: ExecutionState, step_id: str) -> ExecutionState:
    if step_id in state.approvals:
        return state
    gate = plan.step(step_id).gate
    if gate and gate.on_timeout == "escalate":
        return finished(plan, state, End.NEEDS_HUMAN, "nobody approved in time")
    if not state.claimed:
        return finished(plan, state, End.REFUSED, "nobody approved in time: nothing was changed")
    return state.model_copy(update={"aborted": "nobody approved the promotion in time"})


def _seen(step: Step, resource: str, reading: Reading, at: float) -> Evidence | None:
    """What a look has shown; None where that is no state at all, as of a server that has crashed."""
    state = step.wants[0].desired if step.wants else next(iter(reading.states), None)
    if state is None:
        return None
    strength = Strength.F2 if reading.authoritative else Strength.F1
    return Evidence(resource=resource, state=state, reading=reading, strength=strength, read_at=at)


def _states(reading: Reading) -> str:
    return ", ".join(str(state) for state in reading.states) or "; ".join(reading.warnings) or "no known state"


def _evidence_text(evidence: Evidence, changed: bool) -> str:
    latched = ", latched" if evidence.reading.latched and evidence.state == OFF else ""
    already = "" if changed else ", was so already"
    return f"{evidence.state} (F{evidence.strength:d}{latched}{already}) says {evidence.authorities}"
