"""What a person may do now, as commands to copy. Pure."""

from __future__ import annotations

from orchestrator.domain.admission import about, loss_to_accept
from orchestrator.domain.commands import Approve
from orchestrator.domain.durations import show
from orchestrator.domain.plan import Plan
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
        if name in ("retry", "skip", "attest"):
            found += [(_about(name, plan.group, step), told) for step in about(plan, state, name)]
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


def _about(name: str, group: str, step: str) -> str:
    reason = "" if name == "retry" else ' --reason "..."'
    return f"tideover {name} {group} {step}{reason}"
