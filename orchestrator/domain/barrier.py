"""The barrier: what must be proven before a promotion may be requested (I2, I3). This is its only place."""

from __future__ import annotations

from orchestrator.domain.checks import current_loss, unfenced
from orchestrator.domain.ledger import conflict, succeeded
from orchestrator.domain.plan import CUTS, PROVES, VETOES, Kind, Plan, Step, Want
from orchestrator.domain.state import ExecutionState, Status
from orchestrator.domain.twins import replaced, started_elsewhere
from orchestrator.domain.world import PRIMARY, Evidence, Reading, ReplicatesFrom, Strength, share_no_controller


def joined(plan: Plan, step: Step, earlier: Evidence | None, new: Evidence) -> Evidence:
    """The evidence of a step after one more of its methods was confirmed.

    F3 where two of them that share no controller have each read it off, latched: what one device says twice, or two
    doors to one device, is not more than F2 (I2).
    """
    if step.needs_strength < Strength.F3 or earlier is None:
        return new
    of_each = {e.resource: e.model_copy(update={"beside": ()}) for e in (*earlier.beside, earlier, new)}
    strong = [e for e in of_each.values() if min(e.strength, Strength.F2) is Strength.F2 and e.reading.latched]
    last = strong[-1] if strong else new
    f3 = share_no_controller(plan.resources[e.resource].controller for e in strong)
    beside = tuple(e for e in of_each.values() if e.resource != last.resource)
    return last.model_copy(update={"strength": Strength.F3 if f3 else last.strength, "beside": beside})


def sufficient(step: Step, evidence: Evidence) -> str | None:
    """None where the evidence is strong enough for the step; else what is lacking."""
    if evidence.attested_by:
        return None
    if evidence.strength < step.needs_strength:
        if step.needs_strength is Strength.F3:
            said = f"{evidence.authorities} reads it off (F{evidence.strength:d})"
            return f"{said}, and F3 needs two that share no controller"
        said = "; ".join(f"{what}: {text}" for what, text in evidence.reading.facts.items())
        return f"evidence is only F{evidence.strength:d}, F{step.needs_strength:d} is needed" + (said and f" ({said})")
    if step.needs_latch and not evidence.reading.latched:
        return "it is not latched: it could come back writable by itself"
    return None


def closed(plan: Plan, state: ExecutionState, step: Step) -> str | None:
    """Why the step must not be begun now; None where it may.

    Nothing acts at a site while something at the other may still come up by a request that was in doubt when this
    execution began, even if that has been answered since: its effect may be younger than the fence (I1, I2). A
    promotion waits besides until every other possible writer is proven cut off and what would be lost is known.
    """
    if step.kind == "promote" and (unproven := _unproven(plan, state)):
        return unproven
    if step.kind == "start" and step.component in unfenced(plan):
        # Again: between the check and the claim a worker that was thought lost may have promoted or started it.
        found = replaced(plan, state, step.component)
        if found:
            return f"{step.component} at {step.site} {found}"
    return next((why for want in step.wants if (why := conflict(state.record, want))), None)


def no_return(plan: Plan, state: ExecutionState, want: Want) -> str | None:
    """Why undo must not ask for this now; None where it may. As `closed`: what was in doubt may have come since."""
    return conflict(state.record, want) or succeeded(state.record, want) or started_elsewhere(plan, state, want)


def _unproven(plan: Plan, state: ExecutionState) -> str | None:
    for step in plan.of_kind(*PROVES):
        record = state.steps[step.id]
        if record.status is not Status.DONE:
            return f"{step.id} is not {_TO_BE[step.kind].format(source=plan.source)}"
        if step.kind in CUTS:
            lacking = sufficient(step, record.evidence) if record.evidence else "there is no evidence"
            if lacking:
                return f"{step.id}: {lacking} (I2)"
    return None


_TO_BE: dict[Kind, str] = {
    **dict.fromkeys(CUTS, "confirmed (I2)"),
    **dict.fromkeys(("measure", "catch_up"), "done: what would be lost is not known (I3)"),
    "recheck": "done: {source} may still accept commits (I2)",
}
"""What each kind of the barrier has to be, and else why not."""


def veto(plan: Plan, state: ExecutionState, step: Step, reading: Reading) -> str | None:
    """Why a reading made after the fence contradicts it, whatever the device or the people behind it say (I2).

    None where it does not. That nothing was read is no evidence either way: a probe that fails can never count.
    That the standby replicates from the source is read only where the source has confirmed it then (ReplicatesFrom).
    """
    if step.kind == "measure" and reading.state("replicates_from") == ReplicatesFrom(site=plan.source):
        return f"{plan.source} is alive: it streams to the standby and says so itself (I2)"
    if step.kind == "recheck" and reading.state("role") == PRIMARY:
        read = (state.found.get(f"{step.component}@{site}") for site in (plan.source, plan.target))
        known = {found.identity for found in read if found and found.identity}
        if not known or reading.identity in known:
            return (
                f"{plan.source} is alive: it answers as a primary, which accepts commits, at {reading.authority} (I2)"
            )
    return None


def contradicted(plan: Plan, state: ExecutionState) -> dict[str, str]:
    """The fences whose evidence a later reading makes void, each with why (I2)."""
    found: dict[str, str] = {}
    for step in plan.of_kind(*VETOES):
        record, fence = state.steps[step.id], f"{step.component}.fence"
        if record.status is Status.FAILED and record.evidence and fence in state.steps:
            why = veto(plan, state, step, record.evidence.reading)
            found |= {fence: f"{found[fence]}; {why}" if fence in found else why} if why else {}
    return found


def fenced_at(plan: Plan, state: ExecutionState) -> float | None:
    """When the last possible writer was proven cut off, seconds since the epoch; None where one is not."""
    evidence = [state.steps[step.id].evidence for step in plan.of_kind("fence", "stop")]
    times = [e.read_at for e in evidence if e is not None]
    return max(times) if times and len(times) == len(evidence) else None


def accepted_loss(plan: Plan, state: ExecutionState) -> float:
    """The largest loss in seconds that a human, else the runbook's RPO, accepts (I3)."""
    given = [a.max_loss for a in state.approvals.values() if a.max_loss is not None]
    return max(given) if given else plan.objectives.rpo


def too_much_lost(plan: Plan, state: ExecutionState) -> str | None:
    """Why the loss measured after the fence is not accepted; None where it is (I3)."""
    loss = current_loss(plan, state, until=fenced_at(plan, state))
    accepted = accepted_loss(plan, state)
    if loss is None or loss.within(accepted):
        return None
    return f"{loss} would be lost, but only {accepted:g}s are accepted: approve more with `max_loss`, or abort"
