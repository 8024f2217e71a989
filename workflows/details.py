"""What a person sees on an execution's page in the Temporal UI: a live Markdown table and what may be done now."""

from __future__ import annotations

from orchestrator.domain.admission import admitted
from orchestrator.domain.checks import current_loss, judge
from orchestrator.domain.durations import show
from orchestrator.domain.plan import Plan
from orchestrator.domain.state import ExecutionState, Status, StepRecord

WORDS = {
    Status.PENDING: "",
    Status.RUNNING: "running",
    Status.DONE: "done",
    Status.SKIPPED: "skipped",
    Status.FAILED: "**failed**",
    Status.UNKNOWN: "**unknown**",
}
"""Words, not symbols: not every screen has them, and a word is read aloud as it is."""


def phase(plan: Plan, state: ExecutionState) -> str:
    """One word for where the execution is."""
    if state.finish:
        return str(state.finish.end)
    if state.undoing:
        return "UNDOING"
    if state.waiting:
        return "WAITING"
    if state.paused:
        return "PAUSED"
    if state.claimed:
        return "RUNNING"
    checked = all(state.steps[step.id].status is Status.DONE for step in plan.of_kind("check"))
    return "AWAITING_APPROVAL" if checked else "CHECKING"


def markdown(plan: Plan, state: ExecutionState) -> str:
    """The whole page."""
    where = f"{plan.source} → **{plan.target}**" if plan.moves else f"of **{plan.target}**"
    lines = [
        f"### {plan.group}: {plan.mode} {where}: {phase(plan, state)}",
        f"plan `{plan.hash}` · started by {state.execution.who}",
        "",
        *_conclusion(state),
        *_may(plan, state),
        *_findings(plan, state),
        "| | step | what | said | seconds |",
        "|---|---|---|---|---|",
        *(_row(step.id, step.summary, state.steps[step.id]) for step in plan.steps),
        *(_row(f"undo {u.step}", str(u.want), state.undone.get(u.want.resource, StepRecord())) for u in state.undos),
    ]
    return "\n".join(lines)


def _may(plan: Plan, state: ExecutionState) -> list[str]:
    """The JSON stands as code: a page that prettifies its quotes would make it useless for copying."""
    may = {name: what.partition("{") for name, what in admitted(plan, state).items()}
    if not may:
        return []
    lines = [f"- `{name}` {what}" + (f"`{brace}{rest}`" if brace else "") for name, (what, brace, rest) in may.items()]
    return ["**What you can do now** (More Actions, Send an Update)", "", *lines, ""]


def _conclusion(state: ExecutionState) -> list[str]:
    if state.finish:
        more = [f"- `{command}`" for command in state.finish.next_commands]
        protected = " The service is protected again." if state.finish.protected else ""
        return [
            f"**{state.finish.end}**: {state.finish.why}.{protected}",
            "",
            *(["Go on with:", "", *more] if more else []),
            "",
        ]
    if state.waiting:
        left = show(max(0.0, round(state.waiting.deadline - state.now)))
        return [f"**Waiting for a human**, {left} left: {state.waiting.why}", ""]
    return []


def _findings(plan: Plan, state: ExecutionState) -> list[str]:
    if state.checked_at is None:
        return []
    lines = [f"- **{finding.level}** {finding}" for finding in judge(plan, state)] if not state.claimed else []
    loss = (state.loss_shown or current_loss(plan, state)) if plan.mode == "forced" else None
    lines += [f"- data that a promotion may lose: {loss}; objective {show(plan.objectives.rpo)}"] if loss else []
    lines += [f"- measured after the fence: {state.loss_measured}"] if state.loss_measured else []
    return ["**What the checks found**", "", *lines, ""] if lines else []


def _row(name: str, what: str, record: StepRecord) -> str:
    took = "" if record.took is None else f"{record.took:.1f}"
    said = record.said.replace("|", "\\|").replace("\n", " ")
    return f"| {WORDS[record.status]} | `{name}` | {what} | {said} | {took} |"
