"""Every try of every step, its evidence, and what the checks found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from orchestrator.app.report.facts import Facts
from orchestrator.app.report.model import EvidenceLine, Found, StepLine, Try, UndoLine
from orchestrator.app.report.wording import position
from orchestrator.domain.barrier import sufficient
from orchestrator.domain.engine.steps import satisfied
from orchestrator.domain.ledger import Attempt
from orchestrator.domain.outcome import Done, Failed, Refused, Unknown
from orchestrator.domain.plan import Step
from orchestrator.domain.resource_ids import method_of
from orchestrator.domain.state import Checked, Ended, Issued, Looked, LookStarted, ReadError, StepRecord, Undo
from orchestrator.domain.world import Evidence, Reading


def tries(facts: Facts) -> tuple[Try, ...]:
    """Every look and every attempt, the failed and the unknown ones too, in the order in which they began."""
    return tuple(sorted((*_looks(facts), *_attempts(facts)), key=lambda t: t.began))


def steps(facts: Facts) -> tuple[StepLine, ...]:
    """Every step of the plan, also those that were never reached."""
    made = Counter(one.step for one in tries(facts) if not one.undo)
    return tuple(_step_line(step, facts.state.steps[step.id], made[step.id]) for step in facts.plan.steps)


def undos(facts: Facts) -> tuple[UndoLine, ...]:
    """What was to be put back, in that order."""
    undone = facts.state.undone
    return tuple(_undo_line(undo, undone.get(undo.want.resource, StepRecord())) for undo in facts.state.undos)


def evidence(facts: Facts) -> tuple[EvidenceLine, ...]:
    """What shows each state that was reached, in the order in which it was read."""
    lines = [_evidence_line(facts, step, found, changed) for step, found, changed in _all_evidence(facts)]
    return tuple(sorted(lines, key=lambda line: line.read_at))


def found(facts: Facts) -> tuple[Found, ...]:
    """What the checks read of every resource, by its ID."""
    state = facts.at_approval
    names = sorted({*state.found, *state.errors})
    return tuple(_found(name, state.found.get(name), state.errors.get(name)) for name in names)


def strength(evidence: Evidence) -> str:
    """`F0` to `F3`, or `FH` where humans vouch for it."""
    return "FH" if evidence.attested_by else f"F{evidence.strength:d}"


def _step_line(step: Step, record: StepRecord, tries: int) -> StepLine:
    return StepLine(
        id=step.id, kind=step.kind, component=step.component, site=step.site, summary=step.summary, after=step.after,
        status=record.status, tries=tries, said=record.said, began=record.started_at, ended=record.ended_at,
    )  # fmt: skip


def _undo_line(undo: Undo, record: StepRecord) -> UndoLine:
    want = undo.want
    return UndoLine(
        step=undo.step, resource=want.resource, state=str(want.desired), status=record.status, said=record.said
    )


def _looks(facts: Facts) -> Iterator[Try]:
    started: dict[str, float] = {}
    for event, after in zip(facts.events, facts.states[1:], strict=True):
        match event:
            case LookStarted(step=step, at=at):
                started[step] = at
            case Checked(step=step, at=at, readings=readings, errors=errors):
                said = f"{len(readings)} of {len(readings) + len(errors)} resources read"
                yield _look(facts, step, started.pop(step, at), at, said, failed=False)
            case Looked(step=step, at=at):
                # What was read can be good and what it means not: the step knows.
                record = after.steps[step]
                said = record.said if facts.plan.step(step).kind == "recheck" else event.why or record.said
                yield _look(facts, step, started.pop(step, at), at, said, failed=not satisfied(record))
            case _:
                pass
    for step, at in started.items():
        yield _look(facts, step, at, None, "never answered", failed=False)


def _look(facts: Facts, step_id: str, began: float, ended: float | None, said: str, *, failed: bool) -> Try:
    step = facts.plan.step(step_id)
    looked_at = step.wants[0].resource if step.wants else ", ".join(step.looks_at)
    outcome = "open" if ended is None else "failed" if failed else "done"
    desired = str(step.wants[0].desired) if step.wants else ""
    return Try.model_validate(
        {"step": step_id, "kind": step.kind, "attempt": None, "resource": looked_at, "method": "", "desired": desired,
         "undo": False, "began": began, "ended": ended, "outcome": outcome, "insufficient": False, "said": said}
    )  # fmt: skip


def _attempts(facts: Facts) -> Iterator[Try]:
    answers: dict[tuple[int, int, bool], tuple[Ended, Evidence | None]] = {}
    for event, after in zip(facts.events, facts.states[1:], strict=True):
        if isinstance(event, Ended):
            # What the step has by then: with what its earlier methods have confirmed.
            answers.setdefault(_key(event.attempt), (event, after.steps[event.attempt.step].evidence))
    for event in facts.events:
        if isinstance(event, Issued):
            yield _attempt(facts, event, *answers.get(_key(event.attempt), (None, None)))


def _attempt(facts: Facts, issued: Issued, answer: Ended | None, together: Evidence | None) -> Try:
    step, want = facts.plan.step(issued.attempt.step), issued.want
    lacking = None
    match answer.outcome if answer else None:
        case Done(evidence=proof):
            lacking = None if issued.attempt.undo else sufficient(step, together or proof)
            said = lacking or f"{proof.state}, says {proof.reading.authority}"
        case None:
            said = "never answered"
        case Refused(why=why) | Failed(why=why) | Unknown(why=why):
            said = why
    return Try(
        step=step.id, kind=step.kind, attempt=str(issued.attempt), resource=want.resource,
        method=method_of(want.resource), desired=str(want.desired), undo=issued.attempt.undo, began=issued.at,
        ended=answer.at if answer else None,
        outcome=answer.outcome.kind if answer else "open", insufficient=lacking is not None, said=said,
    )  # fmt: skip


def _key(attempt: Attempt) -> tuple[int, int, bool]:
    return attempt.epoch, attempt.n, attempt.undo


def _all_evidence(facts: Facts) -> Iterator[tuple[str, Evidence, bool | None]]:
    from_attempts = []
    for event in facts.events:
        if isinstance(event, Ended) and isinstance(event.outcome, Done):
            name = f"undo {event.attempt.step}" if event.attempt.undo else event.attempt.step
            from_attempts.append(event.outcome.evidence)
            yield name, event.outcome.evidence, event.outcome.changed
    for step in facts.plan.steps:
        last = facts.state.steps[step.id].evidence
        if last is not None and last not in from_attempts:
            yield step.id, last, None


def _evidence_line(facts: Facts, step_id: str, found: Evidence, changed: bool | None) -> EvidenceLine:
    reading = found.reading
    undo = step_id.startswith("undo ")
    enough = undo or sufficient(facts.plan.step(step_id), found) is None
    return EvidenceLine(
        step=step_id, resource=found.resource, state=str(found.state), strength=strength(found),
        authority=found.authorities, authoritative=reading.authoritative, latched=reading.latched,
        identity=reading.identity, requested_at=found.requested_at, read_at=found.read_at, changed=changed,
        attested_by=found.attested_by, sufficient=enough, facts=dict(sorted(reading.facts.items())),
    )  # fmt: skip


def _found(name: str, reading: Reading | None, unread: ReadError | None) -> Found:
    error = unread.why if unread else ""
    if reading is None:
        return Found(resource=name, states="", authority="", identity=None, position=None, error=error)
    replication = reading.replication
    known = replication and next(
        (at for at in (replication.written, replication.received, replication.replayed) if at is not None), None
    )
    return Found(
        resource=name, states=", ".join(str(state) for state in reading.states), authority=reading.authority,
        identity=reading.identity, position=position(known) if known else None, error=error,
    )  # fmt: skip
