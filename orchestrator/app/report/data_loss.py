"""Committed data that was lost, against the RPO; and where the logs of both sides stood."""

from __future__ import annotations

from orchestrator.app.report.facts import Facts
from orchestrator.app.report.model import DataLoss, Position, Verdict
from orchestrator.app.report.wording import loss_text, position, seconds
from orchestrator.domain.barrier import accepted_loss
from orchestrator.domain.checks import writers
from orchestrator.domain.outcome import Done
from orchestrator.domain.resource_ids import instance
from orchestrator.domain.state import Ended, Looked, Status
from orchestrator.domain.world import Replication


def data_loss(facts: Facts) -> DataLoss:
    """What was shown, accepted and measured. A bound above the objective proves neither that it was met nor missed."""
    plan, state = facts.plan, facts.state
    promotes = bool(plan.of_kind("promote"))
    approved = facts.approved_at is not None
    return DataLoss(
        target=plan.objectives.rpo,
        accepted=accepted_loss(plan, state) if promotes and approved and plan.mode == "forced" else None,
        shown=state.loss_shown if approved else None,
        measured=state.loss_measured,
        verdict=_verdict(facts) if promotes else Verdict.NOT_APPLICABLE,
        positions=tuple(_position(facts, name) for name in writers(plan)) if promotes else (),
        explained=_explained(facts) if promotes else "Nothing is promoted, so nothing can be lost.",
    )


def _promoted(facts: Facts) -> bool:
    """True where every writer was read back as primary."""
    promotes = facts.plan.of_kind("promote")
    return bool(promotes) and all(facts.state.steps[step.id].evidence is not None for step in promotes)


def _in_doubt(facts: Facts) -> bool:
    """True where a promotion was requested and nobody knows what became of it."""
    promotes = facts.plan.of_kind("promote")
    return any(facts.state.steps[step.id].status in (Status.UNKNOWN, Status.RUNNING) for step in promotes)


def _verdict(facts: Facts) -> Verdict:
    measured = facts.state.loss_measured
    if not _promoted(facts) and not _in_doubt(facts):
        return Verdict.NOT_APPLICABLE
    if _in_doubt(facts) or measured is None or not measured.within(facts.plan.objectives.rpo):
        return Verdict.UNPROVEN
    return Verdict.MET


def _explained(facts: Facts) -> str:
    measured, rpo = facts.state.loss_measured, facts.plan.objectives.rpo
    if _in_doubt(facts):
        return f"Whether the promotion took effect is not known. If it did: {loss_text(measured)}."
    if not _promoted(facts):
        return "Nothing was promoted."
    if measured is None:
        return "The loss was not measured after the source was cut off."
    if measured.seconds == 0:
        return "The new primary had replayed all of the old one's log: nothing was lost."
    over = "" if measured.within(rpo) else f" It is above the objective of {seconds(rpo)}, so that is not proven."
    return (
        f"Measured after the source was cut off: {loss_text(measured)}. This is a bound and no estimate: it counts "
        f"from the newest commit that the standby has to the moment when the old primary was proven cut off.{over}"
    )


def _position(facts: Facts, component: str) -> Position:
    plan, state = facts.plan, facts.state
    last_known, last_known_by = _last_known(facts, component)
    standby = _before_promotion(facts, component)
    promoted = state.steps[f"{component}.promote"].evidence if f"{component}.promote" in state.steps else None
    new = promoted.reading.replication if promoted else None
    return Position(
        component=component,
        source=plan.source,
        target=plan.target,
        last_known=position(last_known),
        last_known_by=last_known_by,
        received=position(standby.received) if standby else None,
        replayed=position(standby.replayed) if standby else None,
        timeline_before=_timeline(facts, component),
        promoted=position(new.written) if new else None,
        timeline_promoted=new.timeline if new else None,
    )


def _last_known(facts: Facts, component: str) -> tuple[int | None, str]:
    """The newest known end of the old primary's log: its own word, the later the better, else its standby's."""
    source, target = facts.plan.source, facts.plan.target
    for event in reversed(facts.events):
        if isinstance(event, Ended) and isinstance(event.outcome, Done) and not event.attempt.undo:
            evidence = event.outcome.evidence
            told = evidence.reading.replication
            if evidence.resource == instance(component, source) and told and told.written is not None:
                return told.written, f"read of {source} after it was stopped"
    found = facts.state.found.get(instance(component, source))
    if found and found.replication and found.replication.written is not None:
        return found.replication.written, f"read of {source} by the check"
    standby = _before_promotion(facts, component)
    if standby and standby.received is not None:
        return standby.received, f"the last that {target} had received of it; {source} itself could not be read"
    return None, "nobody could tell"


def _before_promotion(facts: Facts, component: str) -> Replication | None:
    """The standby's last word about itself before it was promoted."""
    standby = instance(component, facts.plan.target)
    for event in reversed(facts.events):
        if not isinstance(event, Looked) or event.reading is None or event.resource != standby:
            continue
        if facts.plan.step(event.step).kind in ("measure", "catch_up"):
            return event.reading.replication
    found = facts.state.found.get(standby)
    return found.replication if found else None


def _timeline(facts: Facts, component: str) -> int | None:
    """The timeline that the old primary wrote."""
    for site in (facts.plan.source, facts.plan.target):
        found = facts.state.found.get(instance(component, site))
        if found and found.replication:
            return found.replication.timeline
    return None
