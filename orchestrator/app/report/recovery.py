"""The time until the service was served again, split into detect, decide, act and verify."""

from __future__ import annotations

from orchestrator.app.report.facts import Facts
from orchestrator.app.report.model import Phase, PhaseName, Recovery, Verdict
from orchestrator.app.report.wording import clock, seconds
from orchestrator.domain.checks import writers
from orchestrator.domain.plan import CHANGES
from orchestrator.domain.resource_ids import instance
from orchestrator.domain.state import End
from orchestrator.domain.world import PRIMARY, Reading


def recovery(facts: Facts) -> Recovery:
    """The four phases and what they sum up to. Their bounds, by the times of events:

    detect: from the last sign of life of the old primary to the execution's start. Known only where the checks found
    the source dark: then it is the newest commit, or contact, that the standby had seen of it. A commit time comes from
    the old primary's own clock, and an idle database commits nothing: so this is the longest that it can have been.
    decide: from the execution's start to the first accepted approval (the checks run in it), or to the end if nobody
    approved.
    act: from that approval until all is promoted and every client pointed to the target: the last step that changes
    the world has ended. It goes on to the end where not every change was done, or to the first undo.
    verify: from there to the end. `undo`: from its first step to the end, in place of verify.

    What counts as the outage: all of them where the source was dark; where it still served, act and what follows.
    """
    alive = _source_served(facts)
    last_sign = None if alive else _last_sign_of_life(facts)
    phases = _phases(facts, alive, last_sign)
    back = _served_again(facts, alive)
    achieved = sum(phase.seconds for phase in phases if phase.outage) if back else None
    at_least = bool(achieved is not None and not alive and last_sign is None)
    target = facts.plan.objectives.rto
    return Recovery(
        target=target,
        achieved=achieved,
        at_least=at_least,
        verdict=_verdict(facts, target, achieved, at_least),
        phases=phases,
        last_sign_of_life=last_sign,
        explained=_explained(facts, alive, last_sign),
    )


def _moves(facts: Facts) -> bool:
    return facts.plan.moves


def _phases(facts: Facts, alive: bool, last_sign: float | None) -> tuple[Phase, ...]:
    started, ended = facts.record.execution.since, facts.ended_at
    bounds: list[tuple[PhaseName, float]] = [] if last_sign is None else [("detect", min(last_sign, started))]
    bounds.append(("decide", started))
    if facts.approved_at is not None:
        bounds.append(("act", facts.approved_at))
    acted = _acted(facts)
    if facts.undo_at is not None:
        bounds.append(("undo", facts.undo_at))
    elif acted is not None:
        bounds.append(("verify", acted))
    ends = [*(at for _, at in bounds[1:]), ended]
    before_outage = ("detect", "decide") if alive else ()
    return tuple(
        Phase(
            name=name,
            began=began,
            ended=until,
            seconds=until - began,
            outage=_moves(facts) and name not in before_outage,
        )
        for (name, began), until in zip(bounds, ends, strict=True)
    )


def _acted(facts: Facts) -> float | None:
    """When the last change was done; None where one was not, or nothing had to be changed."""
    ends = [facts.state.steps[step.id].ended_at for step in facts.plan.steps if step.kind in CHANGES]
    known = [at for at in ends if at is not None]
    succeeded = facts.state.finish is not None and facts.state.finish.end is End.SUCCEEDED
    return max(known) if succeeded and known and facts.approved_at is not None else None


def _served_again(facts: Facts, alive: bool) -> bool:
    """True where the service was interrupted and is served again, at the target or back at the source."""
    end = facts.state.finish.end if facts.state.finish else None
    put_back = end in (End.ROLLED_BACK, End.ABORTED_SAFE) and alive and facts.changed
    return _moves(facts) and (end is End.SUCCEEDED or put_back)


def _verdict(facts: Facts, target: float | None, achieved: float | None, at_least: bool) -> Verdict:
    end = facts.state.finish.end if facts.state.finish else None
    untouched = end in (End.REFUSED, End.ABORTED_SAFE) and _source_served(facts)
    if not _moves(facts) or (achieved is None and untouched):
        return Verdict.NOT_APPLICABLE
    if achieved is None:
        return Verdict.NOT_REACHED
    if target is None:
        return Verdict.NO_OBJECTIVE
    if achieved > target:
        return Verdict.MISSED
    return Verdict.UNPROVEN if at_least else Verdict.MET


def _source_served(facts: Facts) -> bool:
    """True where the checks read a primary of every writer, wherever; without a writer, where it is planned."""
    plan, found, names = facts.plan, facts.at_approval.found, writers(facts.plan)
    if not names or not _moves(facts):
        return plan.mode != "forced"
    return all(
        any(_is_primary(found.get(instance(name, site))) for site in (plan.source, plan.target)) for name in names
    )


def _last_sign_of_life(facts: Facts) -> float | None:
    """The first of the dark writers to fall silent, as its standby tells; None where no standby knows."""
    found, plan = facts.at_approval.found, facts.plan
    signs = []
    for name in writers(plan):
        standby = found.get(instance(name, plan.target))
        if _is_primary(found.get(instance(name, plan.source))) or standby is None or standby.replication is None:
            continue
        known = (standby.replication.last_commit_at, standby.replication.last_contact_at)
        signs += [max(at for at in known if at is not None)] if any(at is not None for at in known) else []
    return min(signs, default=None)


def _is_primary(reading: Reading | None) -> bool:
    return reading is not None and reading.state("role") == PRIMARY


def _explained(facts: Facts, alive: bool, last_sign: float | None) -> str:
    source, started = facts.plan.source, facts.record.execution.since
    if not _moves(facts):
        return "The service is not interrupted by this."
    if alive:
        return "There was a primary when it was checked: an outage would count from the approval."
    if last_sign is None:
        return f"{source} was dark and nobody knows since when: the outage counts from the start, and was longer."
    ago = seconds(max(0.0, started - last_sign))
    return f"{source} was dark: its last known sign of life is of {clock(last_sign)}, {ago} before the start."
