"""The story in sentences, generated from facts: what happened, when, and who says so."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.app.report.facts import Facts
from orchestrator.app.report.model import Moment, Try
from orchestrator.app.report.tries import strength, tries
from orchestrator.app.report.wording import loss_bound, loss_text, position, seconds
from orchestrator.domain.checks import judge
from orchestrator.domain.commands import Abort, Approve, Attest, Command, Escalate, Pause, Resume, Retry, Skip
from orchestrator.domain.plan import CHANGES, Step
from orchestrator.domain.state import Claimed, ClaimRefused, End, Human, TimerFired
from orchestrator.domain.world import Evidence

_DONE = {
    "fence": "{c} at {s} was fenced",
    "stop": "{c} at {s} was stopped cleanly",
    "catch_up": "{c} at {s} had replayed all of the stopped source's log",
    "promote": "{c} at {s} was promoted",
    "start": "{c} at {s} was started",
    "switch": "{c} was pointed to {target}",
    "announce": "{c} was announced at {target} again",
    "isolate": "{c} at {s} was made unable to accept writes",
    "rebuild": "{c} at {s} was rebuilt from {source}",
    "release": "{c} at {s} was seen to be a standby again, and its fence was lifted",
}
_ENDED = {
    "failed": "had surely no effect",
    "refused": "was not allowed to act",
    "unknown": "ended unknown: it may still take effect",
    "open": "never answered",
}


def story(facts: Facts, last_sign_of_life: float | None) -> tuple[Moment, ...]:
    """Every moment worth a sentence, oldest first."""
    told = [*_beginning(facts, last_sign_of_life), *_steps(facts), *_humans(facts), *_waits(facts), *_ending(facts)]
    return tuple(sorted(told, key=lambda moment: moment.at))


def _beginning(facts: Facts, last_sign: float | None) -> Iterator[Moment]:
    plan, execution = facts.plan, facts.record.execution
    if last_sign is not None:
        text = f"The old primary at {plan.source} gives its last known sign of life."
        yield Moment(at=min(last_sign, execution.since), text=text, tone="bad")
    what = {
        "planned": f"the planned switchover of {plan.group} from {plan.source} to {plan.target}",
        "forced": f"the forced failover of {plan.group} from {plan.source} to {plan.target}",
        "reprotect": f"the reprotection of {plan.group}: {plan.target} shall become a standby of {plan.source}",
        "unfence": f"lifting the fence of {plan.group} at {plan.target}",
    }[plan.mode]
    reason = f" The reason given: {facts.record.reason.rstrip('.')}." if facts.record.reason else ""
    yield Moment(at=execution.since, text=f"{execution.who} starts {what}.{reason}")
    state = facts.at_approval
    if state.checked_at is not None:
        findings = judge(plan, state)
        count = f"{len(state.found)} of {len(state.found) + len(state.errors)} resources were read"
        blocking = [str(finding) for finding in findings if finding.level == "blocks"]
        stops = f" This stops it: {'; '.join(blocking)}." if blocking else ""
        warnings = len(findings) - len(blocking)
        warned = f", with {warnings} warning{'' if warnings == 1 else 's'}" if warnings else ""
        text = f"The checks are done: {count}{warned}.{stops}"
        yield Moment(at=state.checked_at, text=text, tone="bad" if blocking else "plain")


def _steps(facts: Facts) -> Iterator[Moment]:
    for one in tries(facts):
        if one.kind in ("check", "approve"):
            continue
        at = facts.ended_at if one.ended is None else one.ended
        if one.outcome != "done" or one.insufficient:
            yield Moment(at=at, text=_failed(one), tone="bad")
        elif one.undo:
            yield Moment(at=at, text=f"{one.resource} was put back to {one.desired} ({one.said}).", tone="good")
        elif one.kind == "measure":
            yield Moment(at=at, text=_measured(facts, at), tone="plain")
        elif one.kind == "recheck":
            yield Moment(at=at, text=f"Nothing contradicts the fence: {one.said}.", tone="plain")
        else:
            yield Moment(at=at, text=_done(facts, one), tone="good" if one.kind in CHANGES else "plain")


def _failed(one: Try) -> str:
    what = f"the undo of {one.step}" if one.undo else one.step
    through = f" through {one.method}" if one.method else ""
    if one.insufficient:
        return f"The attempt at {what}{through} is not enough: {one.said}."
    if one.attempt is None:
        return f"{one.step} did not succeed: {one.said}."
    return f"The attempt at {what}{through} {_ENDED[one.outcome]} ({one.said})."


def _measured(facts: Facts, at: float) -> str:
    after = next((state for state in facts.states if state.now >= at and state.loss_measured), facts.state)
    return f"The loss was measured again, after the fence: {loss_text(after.loss_measured)}."


def _done(facts: Facts, one: Try) -> str:
    plan, step = facts.plan, facts.plan.step(one.step)
    pattern = _DONE.get(step.kind)
    if pattern is None:
        return f"{_verified(step)} ({one.said})."
    text = pattern.format(c=step.component, s=step.site, source=plan.source, target=plan.target)
    through = f" through {one.method}" if one.method else ""
    proof = _evidence_at(facts, one)
    if proof is None or step.kind in ("catch_up", "release"):
        return f"{text}{through}."
    if step.kind == "promote" and proof.reading.replication:
        new = proof.reading.replication
        return f"{text}: timeline {new.timeline}, log at {position(new.written)}, says {proof.reading.authority}."
    latched = ", latched" if proof.reading.latched else ""
    return f"{text}{through}: {proof.state} ({strength(proof)}{latched}), says {proof.authorities}."


def _verified(step: Step) -> str:
    return f"Verified {step.summary}" if step.site is None else f"Verified: {step.summary}"


def _evidence_at(facts: Facts, one: Try) -> Evidence | None:
    """What the try read back, by the state just after it."""
    state = next((s for s in facts.states if s.now >= (one.ended or 0.0) and s.steps[one.step].evidence), None)
    return state.steps[one.step].evidence if state else None


def _humans(facts: Facts) -> Iterator[Moment]:
    for event, before in zip(facts.events, facts.states, strict=False):
        match event:
            case Human(command=command, at=at):
                yield Moment(at=at, text=_said(facts, command), tone="human")
            case Claimed(record=record, at=at):
                doubts = len(record.doubts)
                inherited = f" It inherits {doubts} request{'s' if doubts > 1 else ''} in doubt." if doubts else ""
                yield Moment(at=at, text=f"The group is claimed: epoch {record.epoch} begins.{inherited}")
            case ClaimRefused(why=why, at=at):
                yield Moment(at=at, text=f"The group could not be claimed: {why}.", tone="bad")
            case TimerFired(at=at) if before.finish is None and facts.ended_at == at:
                yield Moment(at=at, text="The time for a human to decide is over.", tone="bad")
            case _:
                pass


def _said(facts: Facts, command: Command) -> str:
    match command:
        case Approve(by=by, plan=plan, to=to, max_loss=accepted):
            limit = "" if accepted is None else f" and accepts a loss of up to {seconds(accepted)}"
            known = facts.state.loss_shown
            told = f" What could be lost, as shown then: {loss_bound(known)}." if facts.plan.mode == "forced" else ""
            return f"{by} approves plan {plan[:12]} to {to}{limit}.{told}"
        case Abort(by=by, reason=reason):
            return f"{by} aborts{_because(reason)}."
        case Escalate(by=by, reason=reason):
            return f"{by} ends it and hands over to humans{_because(reason)}."
        case Attest(by=by, step=step, reason=reason):
            return f"{by} vouches for {step}{_because(reason)}."
        case Retry(by=by, step=step):
            return f"{by} has {step} tried again."
        case Skip(by=by, step=step, reason=reason):
            return f"{by} goes on without {step}{_because(reason)}."
        case Pause(by=by):
            return f"{by} pauses it."
        case Resume(by=by):
            return f"{by} lets it go on."


def _because(reason: str) -> str:
    return f": {reason.rstrip('.')}" if reason else ""


def _waits(facts: Facts) -> Iterator[Moment]:
    for wait in facts.waits:
        if wait.kind == "decision":
            lasted = seconds(wait.ended - wait.began)
            yield Moment(at=wait.began, text=f"It is stuck and waits {lasted} for a human: {wait.why}.", tone="bad")
    if facts.undo_at is not None:
        yield Moment(at=facts.undo_at, text=f"What was done is put back: {facts.state.undoing}.", tone="bad")


def _ending(facts: Facts) -> Iterator[Moment]:
    finish = facts.state.finish
    if finish is None:
        return
    good = finish.end in (End.SUCCEEDED, End.ROLLED_BACK, End.ABORTED_SAFE)
    text = f"It ends as {finish.end}: {finish.why}."
    yield Moment(at=facts.ended_at, text=text, tone="good" if good else "bad")
