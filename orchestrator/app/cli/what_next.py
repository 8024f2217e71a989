"""What a person may do now, as commands to copy. Pure."""

from __future__ import annotations

from orchestrator.domain.admission import with_room
from orchestrator.domain.barrier import fenced_at
from orchestrator.domain.checks import current_loss
from orchestrator.domain.commands import Approve
from orchestrator.domain.durations import show
from orchestrator.domain.plan import CUTS, Plan
from orchestrator.domain.state import ExecutionState
from workflows.messages import Snapshot


def commands(seen: Snapshot) -> list[tuple[str, str]]:
    """(command, what it would do) for each command that the execution would take now."""
    plan, state = seen.plan, seen.state
    if plan is None or state is None:
        return []
    found = []
    for name, what in seen.may.items():
        told = what.partition(": {")[0]
        if name in ("retry", "skip", "attest") and state.waiting:
            found += [(_about(name, plan.group, step), told) for step in _steps(name, plan, state)]
        elif name == "approve":
            found.append((approval(plan, state), told))
        else:
            found.append((f"tideover {name} {plan.group}", told))
    return found


def approval(plan: Plan, state: ExecutionState) -> str:
    """The command that approves, with the loss that it has to accept."""
    loss = loss_to_accept(plan, state)
    accepting = f" --max-loss {show(loss)}" if loss is not None else ""
    return f"tideover approve {plan.group} --to {plan.target} --plan {plan.hash}{accepting}"


def approve(by: str, plan: Plan, max_loss: float | None, plan_hash: str | None = None) -> Approve:
    """The approval of this plan; `plan_hash`: the hash that was read, where it was read elsewhere."""
    accepted = None if max_loss is None else show(max_loss)
    return Approve.model_validate({"by": by, "to": plan.target, "plan": plan_hash or plan.hash, "max_loss": accepted})


def loss_to_accept(plan: Plan, state: ExecutionState) -> float | None:
    """The loss in seconds that an approval should accept, with room for a minute of thought; None where none is due."""
    loss = current_loss(plan, state, until=fenced_at(plan, state)) if plan.mode == "forced" else None
    return with_room(loss.seconds) if loss and loss.seconds else None


def _about(name: str, group: str, step: str) -> str:
    reason = "" if name == "retry" else ' --reason "..."'
    return f"tideover {name} {group} {step}{reason}"


def _steps(name: str, plan: Plan, state: ExecutionState) -> list[str]:
    waiting = state.waiting.steps if state.waiting else ()
    if name == "retry":
        return list(waiting)
    if name == "skip":
        return [step for step in waiting if plan.skippable(plan.step(step))]
    return [step for step in waiting if plan.step(step).kind in CUTS]
