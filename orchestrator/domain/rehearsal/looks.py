"""Reads on the model world, and the claim: what comes back from what changes nothing in the world."""

from __future__ import annotations

from orchestrator.domain import ledger
from orchestrator.domain.errors import ProviderError
from orchestrator.domain.ledger import Gone, GroupRecord
from orchestrator.domain.rehearsal.attempts import revoked, unheard
from orchestrator.domain.rehearsal.driving import folded, told
from orchestrator.domain.rehearsal.model import World, observe
from orchestrator.domain.rehearsal.values import Mission, Rehearsal
from orchestrator.domain.state import (
    Check,
    Checked,
    Claimed,
    ClaimRefused,
    ExecutionState,
    Looked,
    LookFor,
    ReadError,
    met,
)
from orchestrator.domain.world import Reading


def checked(now: Rehearsal, check: Check, unread: str | None = None, lasting: bool = False) -> Rehearsal:
    """The check's answer. `unread`: a resource that did not answer; `lasting`: waiting cannot mend that."""
    return told(now, _checked, now.mission, now.world, check, unread, lasting)


def _checked(mission: Mission, world: World, check: Check, unread: str | None, lasting: bool) -> Checked:
    readings: dict[str, Reading] = {}
    errors: dict[str, ReadError] = {}
    for name in mission.plan.step(check.step).looks_at:
        if name == unread:
            errors[name] = ReadError(error="Fault", why="no answer", lasting=lasting)
            continue
        try:
            readings[name] = observe(world, mission.plan.resources[name])
        except ProviderError as error:
            errors[name] = ReadError(error=type(error).__name__, why=str(error), lasting=not error.retryable)
    return Checked(step=check.step, readings=readings, errors=errors, at=world.clock)


def looked(now: Rehearsal, look: LookFor, blind: bool = False) -> Rehearsal:
    """The look's answer: the reading, and why it is not enough."""
    event = now.memory.of(_looked, now.mission, now.world, look, blind)
    spec = now.plan.resources[look.resource]
    if ledger.lifts(now.plan.step(look.step).kind, event.why) and spec.site:
        now = now._replace(journal=now.memory.of(ledger.release, now.journal, spec.component, spec.site))
    return folded(now, event)


def _looked(mission: Mission, world: World, look: LookFor, blind: bool) -> Looked:
    reading, why = None, "no answer"
    if not blind:
        try:
            reading = observe(world, mission.plan.resources[look.resource])
            why = "" if met(look.condition, reading) else "not reached in time"
        except ProviderError as error:
            why = str(error)
    return Looked(step=look.step, resource=look.resource, reading=reading, why=why, at=world.clock)


def claimed(now: Rehearsal, answered: bool = True) -> Rehearsal:
    """The claim's answer. Not `answered`: it may stand in the journal, but the execution never learns of it."""
    found = now.memory.of(_open, now.mission, now.journal, now.state)
    if isinstance(found, str):
        return told(now, _refused, found, now.world.clock)
    now = revoked(now._replace(journal=found))
    if answered:
        return unheard(told(now, _claimed, found, now.world.clock))
    return told(now, _refused, "no answer", now.world.clock)


def _open(mission: Mission, journal: GroupRecord, state: ExecutionState) -> GroupRecord | str:
    settled = ledger.settle_all(journal, mission.plan, state.asked_at)
    gone = Gone(execution=journal.execution.id, why="it was terminated") if journal.execution else None
    return ledger.open_execution(settled, state.execution, gone=gone, seen=state.record.epoch)


def _claimed(record: GroupRecord, at: float) -> Claimed:
    return Claimed(record=record, at=at)


def _refused(why: str, at: float) -> ClaimRefused:
    return ClaimRefused(why=why, at=at)
