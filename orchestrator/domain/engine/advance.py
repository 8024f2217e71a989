"""What follows from the state without any new event: refusal, rollback, waiting, the end."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain import ledger
from orchestrator.domain.barrier import closed, contradicted, fenced_at, no_return
from orchestrator.domain.checks import current_loss, judge
from orchestrator.domain.engine import undoing
from orchestrator.domain.engine.steps import looked_anew, moved, next_try, ready, running, satisfied, startable, stuck
from orchestrator.domain.ledger import close_execution
from orchestrator.domain.plan import Plan, Step, start_command
from orchestrator.domain.settling import fence_by_hand
from orchestrator.domain.state import End, ExecutionState, Finish, Status, Waiting
from orchestrator.domain.twins import maybe_replaced

ROLL_BACK_ON: frozenset[str] = frozenset({"stop", "catch_up", "promote", "switch", "announce", "start"})
"""Kinds whose definite failure, before the point of doubt, rolls back. A fence or a measure asks a human instead:
on the worst night the way forward (attest, accept more loss) must stay open."""


def advance(plan: Plan, state: ExecutionState) -> ExecutionState:
    """The state with everything concluded that can be."""
    if state.finish:
        return state
    if state.claim_refused:
        return finished(plan, state, End.REFUSED, state.claim_refused)
    if not state.claimed:
        return _before_the_claim(plan, state)
    if state.undoing:
        return _undoing(plan, state)
    state = _automatic(plan, _contradicted(plan, state))
    if all(satisfied(record) for record in state.steps.values()):
        return finished(plan, state, End.SUCCEEDED, _success(plan, state))
    if running(state):
        return state
    if state.aborted:
        return _abort(plan, state)
    return _stuck(plan, state)


def finished(plan: Plan, state: ExecutionState, end: End, why: str) -> ExecutionState:
    """The state at its end, with the commands to go on with."""
    finish = Finish(end=end, why=why, next_commands=_commands(plan, state, end), protected=_protected(plan, state, end))
    record = fence_by_hand(state.record, undoing.by_hand(plan, state))
    record = close_execution(record, plan, record.epoch, end.clean) if state.claimed else record
    return state.model_copy(update={"finish": finish, "waiting": None, "record": record})


def superseded(plan: Plan, state: ExecutionState, why: str) -> ExecutionState:
    """The end of an execution that does not hold the group: what it believes of the world may be long past, so it
    undoes nothing and proposes nothing but to look."""
    told = f"{why}; nothing more was changed, and nothing undone"
    finish = Finish(end=End.NEEDS_HUMAN, why=told, next_commands=(f"tideover status {plan.group}",))
    return state.model_copy(update={"finish": finish, "waiting": None})


def _before_the_claim(plan: Plan, state: ExecutionState) -> ExecutionState:
    if state.aborted:
        return finished(plan, state, End.ABORTED_SAFE, f"{state.aborted}; nothing was changed")
    if not all(state.steps[step.id].status is Status.DONE for step in plan.of_kind("check")):
        return state
    blocking = [str(finding) for finding in judge(plan, state) if finding.level == "blocks"]
    if blocking and "approve" not in state.approvals:
        return finished(plan, state, End.REFUSED, "; ".join(blocking))
    return state


def _contradicted(plan: Plan, state: ExecutionState) -> ExecutionState:
    """Fences that a reading contradicts confirmed no more, so that the next method, or a human, is next (I2).

    What was read after them is to be read anew. So it waits until no look is under way.
    """
    void = contradicted(plan, state)
    if not void or running(state):
        return state
    steps = dict(state.steps)
    for fence, why in void.items():
        steps[fence] = moved(steps[fence], "void", said=f"its evidence is void: {why}", evidence=None)
    vouched = {step: said for step, said in state.attestations.items() if step not in void}
    return state.model_copy(update={"steps": looked_anew(plan, steps), "attestations": vouched})


def _automatic(plan: Plan, state: ExecutionState) -> ExecutionState:
    """Steps that did not succeed set up for their next automatic try, unless we are on the way out."""
    if state.aborted or state.waiting:
        return state
    again = {step.id: record for step in plan.steps if (record := next_try(step, state.steps[step.id]))}
    return state.model_copy(update={"steps": {**state.steps, **again}}) if again else state


def _stuck(plan: Plan, state: ExecutionState) -> ExecutionState:
    """Nothing runs: go on, or roll back, or wait for a human."""
    failed = [step for step in plan.steps if stuck(state.steps[step.id])]
    blocked = [(s, why) for s in ready(plan, state) if (why := closed(plan, state, s))]
    if state.paused or state.waiting or not (failed or blocked):
        return state
    if startable(plan, state):
        return state  # what can still be done is done first
    reasons = [f"{s.id}: {state.steps[s.id].said}" for s in failed] + [f"{s.id}: {why}" for s, why in blocked]
    why = "; ".join(reasons)
    if _rolls_back(plan, state, failed, bool(blocked)):
        return _begin_undo(plan, state, why)
    return _wait(plan, state, why, [s.id for s in failed] or [s.id for s, _ in blocked])


def _rolls_back(plan: Plan, state: ExecutionState, failed: list[Step], blocked: bool) -> bool:
    """True where every failure is definite, nothing is in doubt, inherited or done by hand, and the promotion was not
    requested."""
    mine = [doubt for doubt in state.record.doubts if doubt.attempt.epoch == state.record.epoch]
    kinds = {step.kind for step in failed}
    definite = all(state.steps[step.id].status is Status.FAILED for step in failed)
    alone = not mine and not undoing.inherited(plan, state) and not undoing.by_hand(plan, state)
    return definite and alone and not blocked and kinds <= ROLL_BACK_ON and not ledger.no_way_back(state.record)


def _wait(plan: Plan, state: ExecutionState, why: str, steps: list[str]) -> ExecutionState:
    measuring = any(plan.step(step).kind == "measure" for step in steps)
    loss = current_loss(plan, state, until=fenced_at(plan, state)) if measuring else None
    number = state.waits + 1
    waiting = Waiting(
        why=why, steps=tuple(steps), since=state.now, deadline=state.now + plan.waiting, timer=f"waiting:{number}",
        loss=loss,
    )  # fmt: skip
    return state.model_copy(update={"waiting": waiting, "waits": number})


def _abort(plan: Plan, state: ExecutionState) -> ExecutionState:
    assert state.aborted is not None  # noqa: S101 -- the caller has looked
    if ledger.no_way_back(state.record):
        return _stuck(plan, state.model_copy(update={"aborted": None}))
    return _begin_undo(plan, state, state.aborted)


def _begin_undo(plan: Plan, state: ExecutionState, why: str) -> ExecutionState:
    undos = undoing.undo_list(plan, state)
    return _undoing(plan, state.model_copy(update={"undoing": why, "undos": undos, "waiting": None}))


def _undoing(plan: Plan, state: ExecutionState) -> ExecutionState:
    why = state.undoing or ""
    failed = [(r, record) for r, record in state.undone.items() if stuck(record)]
    if failed:
        said = "; ".join(f"{resource}: {record.said}" for resource, record in failed)
        return finished(plan, state, End.NEEDS_HUMAN, f"{why}; the rollback stopped: {said}")
    going_back = undoing.next_undo(state)
    if going_back and (unsafe := no_return(plan, state, going_back.want)):
        return finished(plan, state, End.NEEDS_HUMAN, f"{why}; the rollback stopped: {unsafe}")
    done = [r for r, record in state.undone.items() if record.status is Status.DONE]
    if len(done) < len(state.undos):
        return state
    lost = undoing.unrestorable(plan, state)
    if lost:
        said = f"what {', '.join(lost)} was before is not known"
        return finished(plan, state, End.NEEDS_HUMAN, f"{why}; not everything could be put back: {said}")
    if off := undoing.by_hand(plan, state):
        said = f"{', '.join(off)} was cut off by hand, and is given back by hand"
        return finished(plan, state, End.NEEDS_HUMAN, f"{why}; everything else is put back, but {said}")
    doubts = [str(d.want) for d in state.record.doubts if d.attempt.epoch == state.record.epoch]
    if doubts:
        said = f"may still take effect: {'; '.join(doubts)}"
        return finished(plan, state, End.NEEDS_HUMAN, f"{why}; put back, but {said}")
    if others := undoing.inherited(plan, state):
        said = f"not what an earlier execution asked for: {'; '.join(others)}"
        return finished(plan, state, End.NEEDS_HUMAN, f"{why}; put back, but {said}")
    end = End.ABORTED_SAFE if state.aborted else End.ROLLED_BACK
    return finished(plan, state, end, f"{why}; everything touched is as it was before")


def _success(plan: Plan, state: ExecutionState) -> str:
    said = {
        "reprotect": f"{plan.target} is a standby of {plan.source} again",
        "unfence": f"the fence at {plan.target} is lifted",
    }.get(plan.mode, f"{plan.group} is served at {plan.target}")
    skipped = [step for step, record in state.steps.items() if record.status is Status.SKIPPED]
    said += f"; skipped, and not confirmed: {', '.join(skipped)}" if skipped else ""
    coming = _opposite_to_come(plan, state)
    return f"{said}; but what was requested before may still take effect: {'; '.join(coming)}" if coming else said


def _opposite_to_come(plan: Plan, state: ExecutionState) -> list[str]:
    """What was requested, may still take effect, and is not what the plan has left the resource in."""
    last = {want.resource: want for step in plan.steps for want in step.wants}
    return [str(doubt.want) for doubt in state.record.doubts if doubt.want != last.get(doubt.want.resource)]


def _protected(plan: Plan, state: ExecutionState, end: End) -> bool:
    return end is End.SUCCEEDED and plan.mode == "reprotect" and not _opposite_to_come(plan, state)


def _commands(plan: Plan, state: ExecutionState, end: End) -> tuple[str, ...]:
    group = plan.group
    match end, plan.mode:
        case End.NEEDS_HUMAN, _:
            return (f"tideover status {group}", *_ways_on(plan, state))
        case End.SUCCEEDED, "reprotect":
            return (start_command(group, "planned", plan.target),)
        case End.SUCCEEDED, "unfence":
            return (f"tideover status {group}",)
        case End.SUCCEEDED, _ if plan.of_kind("promote"):
            return (start_command(group, "reprotect", plan.source), f"tideover failback {group}")
    return (start_command(group, plan.mode, plan.target),) if state.claimed else ()


def _ways_on(plan: Plan, state: ExecutionState) -> Iterator[str]:
    """Forward, and back while nothing was promoted in place of what was fenced."""
    if plan.mode != "unfence":
        yield start_command(plan.group, "forced" if plan.mode == "planned" else plan.mode, plan.target)
    fenced = plan.source if plan.moves else plan.target
    if plan.mode != "reprotect" and not maybe_replaced(state.record, fenced):
        yield start_command(plan.group, "unfence", fenced)
