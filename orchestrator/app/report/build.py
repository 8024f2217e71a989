"""The report of a record: what each part says is decided in its own module and put together here."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.app.report.data_loss import data_loss
from orchestrator.app.report.facts import Facts, gather
from orchestrator.app.report.model import DataLoss, Decision, Doubt, Provenance, Recovery, Report, Verdict
from orchestrator.app.report.recovery import recovery
from orchestrator.app.report.story import story
from orchestrator.app.report.tries import evidence, found, steps, strength, tries, undos
from orchestrator.app.report.wording import seconds
from orchestrator.domain.barrier import sufficient
from orchestrator.domain.checks import judge
from orchestrator.domain.commands import Approve, Attest, Command, Retry, Skip
from orchestrator.domain.ledger import Request
from orchestrator.domain.plan import CUTS
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.state import End, Human, Issued, Status


def build(record: ExecutionRecord, *, authenticated: bool = False) -> Report:
    """The report of one execution; pure.

    `authenticated`: whoever spoke is known for certain, as in the demo. Else `by` is a claim and is marked as one.
    """
    facts = gather(record)
    plan, state, finish = record.plan, facts.state, facts.state.finish
    time, loss = recovery(facts), data_loss(facts)
    decisions = tuple(_decisions(facts, authenticated))
    return Report(
        group=plan.group,
        mode=plan.mode,
        source=plan.source,
        target=plan.target,
        reason=record.reason,
        started_by=record.execution.who,
        started_at=record.execution.since,
        ended_at=facts.ended_at,
        end=finish.end if finish else None,
        why=finish.why if finish else "it has not ended yet",
        protected=finish.protected if finish else False,
        recovery=time,
        loss=loss,
        decisions=decisions,
        weakest_link=_weakest_link(facts),
        caveats=tuple(_caveats(facts, time, loss, decisions)),
        next_commands=finish.next_commands if finish else (),
        story=story(facts, time.last_sign_of_life),
        barrier_at=_barrier_at(facts),
        waits=facts.waits,
        steps=steps(facts),
        tries=tries(facts),
        undos=undos(facts),
        evidence=evidence(facts),
        found=found(facts),
        findings=judge(plan, facts.at_approval),
        doubts=_doubts(facts),
        provenance=Provenance(
            execution=record.execution.id,
            epoch=state.record.epoch if state.claimed else None,
            plan_hash=record.execution.plan[:12],
            plan_digest=record.execution.plan,
            derivation=plan.derivation,
            runbook_digest=plan.runbook_digest,
            journal=plan.journal,
        ),
    )


def _decisions(facts: Facts, authenticated: bool) -> Iterator[Decision]:
    for event in facts.events:
        if not isinstance(event, Human):
            continue
        said = event.command
        approved = {"plan": said.plan, "max_loss": said.max_loss} if isinstance(said, Approve) else {}
        yield Decision.model_validate(
            {"at": event.at, "by": said.by, "authenticated": authenticated, "command": said.command,
             "about": _about(said), **approved}
        )  # fmt: skip


def _about(said: Command) -> str:
    match said:
        case Approve(to=to):
            return f"to {to}"
        case Skip(step=step, reason=reason) | Attest(step=step, reason=reason):
            return f"{step}: {reason}"
        case Retry(step=step):
            return step
        case _:
            return getattr(said, "reason", "")


def _barrier_at(facts: Facts) -> float | None:
    """When the first promotion was requested."""
    promotes = {step.id for step in facts.plan.of_kind("promote")}
    issued = (e.at for e in facts.events if isinstance(e, Issued) and e.attempt.step in promotes and not e.attempt.undo)
    return next(issued, None)


def _weakest_link(facts: Facts) -> str | None:
    """Of all that had to be cut off: what is not confirmed, else who vouched, else the weakest that was read."""
    cut = facts.plan.of_kind(*CUTS)
    if not cut or not facts.changed:
        return None
    records = [(step, facts.state.steps[step.id]) for step in cut]
    for step, record in records:
        if record.evidence is None or record.status is not Status.DONE:
            return f"{step.id} is not confirmed: {record.said or 'it was never reached'}."
        lacking = sufficient(step, record.evidence)
        if lacking:
            return f"{step.id}: {lacking}."
    for step, record in records:
        if record.evidence and record.evidence.attested_by:
            people = " and ".join(record.evidence.attested_by)
            return f"{step.id} stands on the word of {people} (FH): no authority read it back."
    step, weakest = min(((s, r.evidence) for s, r in records if r.evidence), key=lambda pair: pair[1].strength)
    latched = ", latched" if weakest.reading.latched else ""
    return f"{step.id}: {weakest.state} ({strength(weakest)}{latched}), read back by {weakest.authorities}."


def _caveats(facts: Facts, time: Recovery, loss: DataLoss, decisions: tuple[Decision, ...]) -> Iterator[str]:
    finish = facts.state.finish
    if finish and finish.end is End.SUCCEEDED and facts.plan.of_kind("promote") and not finish.protected:
        yield f"There is no standby now: until {facts.plan.source} is rebuilt, the next loss has nowhere to go."
    for step_id, said in facts.state.attestations.items():
        people = " and ".join(dict.fromkeys(one.by for one in said))
        yield f"{step_id} was attested by {people}: humans vouch for it, the device never confirmed it."
    for step in facts.plan.steps:
        if facts.state.steps[step.id].status is Status.SKIPPED:
            yield f"{step.id} was skipped: {facts.state.steps[step.id].said}."
    for doubt in _doubts(facts):
        since = " by an earlier execution" if doubt.inherited else ""
        yield f"In doubt: {doubt.request} was requested{since} ({doubt.attempt}) and may still take effect."
    if time.at_least:
        yield "The outage was longer than what is counted: nobody knows when the old primary was last alive."
    if time.verdict is Verdict.MISSED and time.achieved is not None and time.target is not None:
        yield f"The RTO of {seconds(time.target)} was missed by {seconds(time.achieved - time.target)}."
    if loss.verdict is Verdict.UNPROVEN:
        yield f"That no more than the RPO of {seconds(loss.target)} was lost is not proven."
    if any(not decision.authenticated for decision in decisions):
        people = " and ".join(dict.fromkeys(decision.by for decision in decisions))
        yield f"UNAUTHENTICATED: that it was {people} who spoke is a claim; nothing here proves it."


def _doubts(facts: Facts) -> tuple[Doubt, ...]:
    return tuple(_doubt(facts, request) for request in facts.state.record.doubts)


def _doubt(facts: Facts, request: Request) -> Doubt:
    inherited = not facts.state.claimed or request.attempt.epoch != facts.state.record.epoch
    return Doubt(request=str(request.want), attempt=str(request.attempt), at=request.at, inherited=inherited)
