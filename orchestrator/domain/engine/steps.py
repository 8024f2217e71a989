"""The life of one step, as a table, and what may follow a try that did not succeed."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.barrier import closed
from orchestrator.domain.ledger import promotion_issued
from orchestrator.domain.outcome import Done, Failed, Outcome, Unknown
from orchestrator.domain.plan import SAFETY, VETOES, Kind, Plan, Step
from orchestrator.domain.state import ExecutionState, Status, StepRecord

TABLE: dict[tuple[Status, str], tuple[Status, str]] = {
    (Status.PENDING, "issue"): (Status.RUNNING, "handed to a worker"),
    (Status.RUNNING, "done"): (Status.DONE, "read back, with sufficient evidence"),
    (Status.RUNNING, "failed"): (Status.FAILED, "surely without effect, or not confirmed well enough"),
    (Status.RUNNING, "unknown"): (Status.UNKNOWN, "may still take effect"),
    (Status.FAILED, "again"): (Status.PENDING, "the next method, another try, or a human's retry"),
    (Status.UNKNOWN, "again"): (Status.PENDING, "the same; the doubt stays in the ledger"),
    (Status.FAILED, "skip"): (Status.SKIPPED, "a human goes on without it"),
    (Status.UNKNOWN, "skip"): (Status.SKIPPED, "a human goes on without it"),
    (Status.PENDING, "skip"): (Status.SKIPPED, "a human goes on without it"),
    (Status.FAILED, "attest"): (Status.DONE, "two humans vouch for it (FH)"),
    (Status.UNKNOWN, "attest"): (Status.DONE, "two humans vouch for it (FH)"),
    (Status.DONE, "again"): (Status.PENDING, "a look repeated: more loss was accepted, or a fence was contradicted"),
    (Status.DONE, "void"): (Status.FAILED, "a fence that a later reading contradicts (I2)"),
}
"""(status, event) to (next status, why). A pair that is not here changes nothing."""

AUTOMATIC_TRIES: dict[Kind, int] = {"check": 1, "switch": 3, "announce": 2, "start": 2, "rebuild": 2}
"""How often a step is tried with the same method before a human is asked; 1 where it is not named."""


UNDO_TRIES = 3
"""How often an undo is tried that surely had no effect: there is no other way back, and no human was asked."""

LOST_WORKERS = 3
"""How many workers may be lost on one step before a human is asked."""


def moved(record: StepRecord, event: str, **update: object) -> StepRecord:
    """The record after `event`; unchanged where the table has no such transition."""
    row = TABLE.get((record.status, event))
    return record.model_copy(update={"status": row[0], **update}) if row else record


def event_of(outcome: Outcome) -> str:
    """The table's event for an outcome."""
    match outcome:
        case Done():
            return "done"
        case Unknown():
            return "unknown"
        case _:
            return "failed"


def satisfied(record: StepRecord) -> bool:
    """True where steps that come after may start, as far as this one is concerned."""
    return record.status in (Status.DONE, Status.SKIPPED)


def stuck(record: StepRecord) -> bool:
    """True where the step did not succeed and nothing automatic is left."""
    return record.status in (Status.FAILED, Status.UNKNOWN)


def next_try(step: Step, record: StepRecord) -> StepRecord | None:
    """The record set up for the next automatic try: the next method, or the same again; None where none is left."""
    if not stuck(record):
        return None
    if lost(record):
        return moved(record, "again")
    if record.method + 1 < len(step.wants):
        return moved(record, "again", method=record.method + 1, tries=0)
    definite = isinstance(record.outcome, Failed)
    idempotent = step.kind in ("switch", "announce")
    if record.tries < AUTOMATIC_TRIES.get(step.kind, 1) and (definite or idempotent):
        return moved(record, "again")
    return None


def lost(record: StepRecord) -> bool:
    """True where the worker went silent and a new attempt may go on: it revokes the old one and looks first."""
    return isinstance(record.outcome, Unknown) and record.outcome.lost and record.tries <= LOST_WORKERS


def undone_again(record: StepRecord) -> StepRecord:
    """The record of an undo, set up for its next automatic try where one is left; else as it is."""
    definite = record.status is Status.FAILED and isinstance(record.outcome, Failed) and record.tries < UNDO_TRIES
    return moved(record, "again") if lost(record) or definite else record


def ready(plan: Plan, state: ExecutionState) -> tuple[Step, ...]:
    """Pending steps whose predecessors are satisfied, in plan order."""
    return tuple(
        step
        for step in plan.steps
        if state.steps[step.id].status is Status.PENDING
        and all(satisfied(state.steps[before]) for before in step.after)
    )


def awaiting(plan: Plan, state: ExecutionState) -> Step | None:
    """The approval that is waited for now: where more loss is to be accepted, the first one, given anew."""
    if state.waiting and state.waiting.loss:
        return plan.step("approve")
    return next((step for step in ready(plan, state) if step.kind == "approve"), None)


def looked_anew(plan: Plan, steps: Mapping[str, StepRecord]) -> dict[str, StepRecord]:
    """The steps with every look repeated that may veto a promotion: what it has read is worth nothing by now (I2)."""
    anew = {step.id: moved(steps[step.id], "again", tries=0, evidence=None) for step in plan.of_kind(*VETOES)}
    return {**steps, **anew}


def startable(plan: Plan, state: ExecutionState) -> tuple[Step, ...]:
    """The ready steps that may start. Before the promotion, a safety step that is stuck holds everything back but the
    other fences, so that their methods are used up before a human is asked, once, about all of them; one that only
    points clients somewhere does not keep the service from being promoted."""
    open_now = tuple(step for step in ready(plan, state) if closed(plan, state, step) is None)
    before_promotion = promotion_issued(state.record) is None
    if before_promotion and any(step.kind in SAFETY and stuck(state.steps[step.id]) for step in plan.steps):
        return tuple(step for step in open_now if step.kind == "fence")
    return open_now


def running(state: ExecutionState) -> bool:
    """True while an attempt or a look has not answered."""
    records = (*state.steps.values(), *state.undone.values())
    return any(record.status is Status.RUNNING for record in records)
