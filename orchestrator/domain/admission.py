"""Whether a command of a human may be taken now; if not, one line that says why and what to do instead."""

from __future__ import annotations

import math

from orchestrator.domain import ledger
from orchestrator.domain.barrier import accepted_loss, closed, fenced_at
from orchestrator.domain.checks import current_loss, judge
from orchestrator.domain.commands import (
    Abort,
    Approve,
    Attest,
    Command,
    Escalate,
    Pause,
    Resume,
    Retry,
    Skip,
    person,
)
from orchestrator.domain.durations import show
from orchestrator.domain.engine.steps import awaiting, satisfied, stuck
from orchestrator.domain.findings import did_you_mean
from orchestrator.domain.plan import CUTS, SAFETY, Plan, Step
from orchestrator.domain.state import ExecutionState


def refusal(plan: Plan, state: ExecutionState, command: Command) -> str | None:
    """Why the command is refused; None where it is admitted."""
    if state.finish:
        return f"this execution has ended: {state.finish.end}"
    match command:
        case Approve():
            return _approve(plan, state, command)
        case Abort():
            return _abort(state)
        case Pause():
            return "it is paused already" if state.paused else None
        case Resume():
            return None if state.paused else "it is not paused"
        case Retry() | Skip() | Attest():
            return _about_a_step(plan, state, command)
        case Escalate():
            return None if state.claimed else "nothing was begun yet: use abort"


def admitted(plan: Plan, state: ExecutionState) -> dict[str, str]:
    """The commands that would be taken now, each with what it would do."""
    found: dict[str, str] = {}
    if state.finish:
        return found
    if awaiting(plan, state):
        loss = loss_to_accept(plan, state)
        accepting = f' "max_loss": "{show(loss)}",' if loss is not None else ""
        found["approve"] = (
            f'lets it change the world: {{"by": "you",{accepting} "to": "{plan.target}", "plan": "{plan.hash}"}}'
        )
    for name, (what, more) in _ABOUT_A_STEP.items():
        for step in about(plan, state, name)[:1]:
            found[name] = f'{what}: {{"by": "you", "step": "{step}"{more}}}'
    if _abort(state) is None:
        found["abort"] = "undoes what was done and ends" if state.claimed else "ends; nothing was changed"
    if state.claimed:
        found["escalate"] = "ends now and hands over to humans; nothing is undone"
    found["resume" if state.paused else "pause"] = "goes on" if state.paused else "starts no further step"
    return found


_ABOUT_A_STEP = {
    "retry": ("tries again", ""),
    "skip": ("goes on without it", ', "reason": "..."'),
    "attest": ("two people vouch for it", ', "reason": "..."'),
}


def about(plan: Plan, state: ExecutionState, command: str) -> tuple[str, ...]:
    """The steps, of those that it waits for, about which `retry`, `skip` or `attest` may be said now."""

    def takes(step: Step) -> bool:
        if command == "skip":
            return plan.skippable(step)
        return stuck(state.steps[step.id]) and (command == "retry" or step.kind in CUTS)

    return tuple(name for name in (state.waiting.steps if state.waiting else ()) if takes(plan.step(name)))


def _approve(plan: Plan, state: ExecutionState, approve: Approve) -> str | None:
    asked = awaiting(plan, state)
    if asked is None:
        unchecked = not all(satisfied(state.steps[step.id]) for step in plan.of_kind("check"))
        return "the checks are not done yet" if unchecked else "nothing waits for an approval"
    if approve.to != plan.target:
        return f"`to` is {approve.to!r}, but this execution goes to {plan.target!r}"
    if approve.plan not in (plan.hash, plan.digest):
        return f"`plan` is {approve.plan!r}, but the plan is {plan.hash!r}: read it again before you approve (I7)"
    approvers = asked.gate.approvers if asked.gate else ()
    if approvers and person(approve.by) not in map(person, approvers):
        return f"{approve.by!r} may not approve here: {', '.join(approvers)} may"
    blocking = [str(f) for f in judge(plan, state) if f.level == "blocks"] if not state.claimed else []
    if blocking:
        return "; ".join(blocking)
    return _loss(plan, state, approve)


def _loss(plan: Plan, state: ExecutionState, approve: Approve) -> str | None:
    """Why the loss that is known now is more than this approval accepts (I3)."""
    if plan.mode != "forced":
        return None
    accepted = approve.max_loss if approve.max_loss is not None else accepted_loss(plan, state)
    loss = current_loss(plan, state, until=fenced_at(plan, state))
    if loss is None or loss.within(accepted):
        return None
    name = "`max_loss`" if approve.max_loss is not None else "the runbook's RPO"
    more = f"{loss} would be lost, more than {name} of {show(accepted)}"
    if loss.seconds is None:
        return f"{more}: abort"
    room = show(_with_room(loss.seconds))
    return f'{more}: accept it by name with --max-loss {room} (as JSON: "max_loss": "{room}"), or abort'


def loss_to_accept(plan: Plan, state: ExecutionState) -> float | None:
    """The loss in seconds that an approval should accept, with room for a minute of thought; None where none is due."""
    loss = current_loss(plan, state, until=fenced_at(plan, state)) if plan.mode == "forced" else None
    return _with_room(loss.seconds) if loss and loss.seconds else None


def more_to_accept(plan: Plan, state: ExecutionState, named: float | None) -> tuple[float, float] | None:
    """Where more would be lost than was named, or accepted before: that, and the loss to accept anew; in seconds."""
    accepted = accepted_loss(plan, state) if state.waiting and state.waiting.loss else None
    before = max((given for given in (named, accepted) if given is not None), default=None)
    loss = current_loss(plan, state, until=fenced_at(plan, state)) if plan.mode == "forced" else None
    if before is None or loss is None or loss.seconds is None or loss.within(before):
        return None
    return before, _with_room(loss.seconds)


def _with_room(seconds: float | None) -> float:
    """Seconds with room for a minute of thought: while the source is dark, what may be lost grows until the fence."""
    return float(math.ceil(((seconds or 0.0) + 60.0) / 30.0) * 30)


def _abort(state: ExecutionState) -> str | None:
    if state.undoing:
        return "it is being undone already"
    return ledger.no_way_back(state.record) if state.claimed else None


def _about_a_step(plan: Plan, state: ExecutionState, command: Retry | Skip | Attest) -> str | None:
    names = [step.id for step in plan.steps]
    if command.step not in names:
        return f"there is no step {command.step!r}{did_you_mean(command.step, names)}"
    step, record = plan.step(command.step), state.steps[command.step]
    if state.undoing:
        return "it is being undone"
    if isinstance(command, Attest):
        return _attest(state, step, command)
    if isinstance(command, Skip) and not plan.skippable(step):
        way_out = ": attest it, retry, or abort" if step.kind in CUTS else ": retry, or abort"
        worth = f"a skipped {step.kind} proves nothing (I2)" if step.kind in SAFETY else "it is what this is for (I4)"
        return f"{step.id} cannot be skipped: {worth}{way_out}"
    held_back = state.waiting is not None and step.id in state.waiting.steps
    if held_back and not stuck(record):
        why = None if isinstance(command, Skip) else closed(plan, state, step)
        return why and f"{why}: escalate, and start again once that is no longer so"
    if not stuck(record):
        return f"{step.id} is {record.status}: only a step that has failed or is unknown can be dealt with"
    return None


def _attest(state: ExecutionState, step: Step, attest: Attest) -> str | None:
    if step.kind not in CUTS:
        return f"{step.id} is no fence: only a fence, stop or isolate can be attested"
    if not stuck(state.steps[step.id]):
        return f"{step.id} is {state.steps[step.id].status}: it can be attested once it has failed or is unknown"
    if any(person(earlier.by) == person(attest.by) for earlier in state.attestations.get(step.id, ())):
        return f"{attest.by} has attested {step.id} already: a second person must (FH)"
    return None
