"""A plan as people read it: its steps in order, what runs beside what, and where the barrier stands. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.domain.durations import show
from orchestrator.domain.plan import CHANGES, PROVES, Plan, Step

BARRIER = "barrier"
FORWARD_ONLY = "forward only"

_MARKUP = re.compile(r"([\\`*<|~&])")


@dataclass(frozen=True)
class Row:
    """One step. `rank`: steps of the same rank may run at the same time; it counts from 1. `ensures`: each method and
    the state that it asks for, in the order in which they are tried. `undo`: what a rollback would do about it."""

    rank: int
    step: Step
    ensures: tuple[str, ...]
    undo: str


def within(step: Step) -> float:
    """Seconds that the step may take: for an approval those of its gate."""
    return step.gate.timeout if step.gate else step.timeout


def rows(plan: Plan) -> list[Row]:
    """Every step, by rank, in plan order within a rank."""
    ranks: dict[str, int] = {}
    for step in plan.steps:
        ranks[step.id] = 1 + max((ranks[before] for before in step.after), default=0)
    forward_only = _from_the_promotion_on(plan)
    found = [Row(ranks[step.id], step, _ensures(step), _undo(step, forward_only)) for step in plan.steps]
    return sorted(found, key=lambda row: row.rank)


def barrier(plan: Plan) -> tuple[frozenset[str], frozenset[str]] | None:
    """The steps that must be proven, and those that wait for them: every promotion, and the first start of each machine
    that acts by itself; None where there is nothing to prove."""
    proven = frozenset(step.id for step in plan.steps if step.kind in PROVES)
    starts = [
        step for step in plan.of_kind("start") if not any(before in _started(plan, step) for before in step.after)
    ]
    waiting = frozenset(step.id for step in (*plan.of_kind("promote"), *starts))
    return (proven, waiting) if plan.moves and proven and waiting else None


def barrier_text(plan: Plan) -> str:
    """What the barrier asks, in one line."""
    cut = "stop" if plan.of_kind("stop") else "fence"
    if not plan.of_kind("promote"):
        return f"every {cut} above is proven"
    data = "and the standby has replayed everything" if cut == "stop" else "and the loss is within what was accepted"
    return f"every {cut} above is proven, {data}"


def title(plan: Plan) -> str:
    """What the plan is for, in one line."""
    if not plan.moves:
        return f"{plan.group}: {plan.mode} of {plan.target}"
    return f"{plan.group}: {plan.mode} {plan.source} -> {plan.target}"


def objectives(plan: Plan) -> str:
    """RTO and RPO, in one line."""
    rto = show(plan.objectives.rto) if plan.objectives.rto is not None else "not set"
    return f"RTO {rto}, RPO {show(plan.objectives.rpo)}"


def markdown(plan: Plan) -> str:
    """The plan for a pull request."""
    lines = [f"### {title(plan)}", "", f"plan `{plan.hash}` · {objectives(plan)}", ""]
    lines += ["| # | step | what | after | within | undo |", "|---|---|---|---|---|---|"]
    fenced = barrier(plan)
    for row in rows(plan):
        if fenced and row.step.id in fenced[1]:
            lines.append(f"| | **BARRIER** | **{barrier_text(plan)}** | | | |")
            fenced = None
        what = "<br>".join(map(inline, (row.step.summary, *row.ensures)))
        after = ", ".join(f"`{before}`" for before in row.step.after)
        lines.append(f"| {row.rank} | `{row.step.id}` | {what} | {after} | {show(within(row.step))} | {row.undo} |")
    return "\n".join(lines)


def inline(text: str) -> str:
    """The text on one line of Markdown, a cell of a table as well, where none of it is markup."""
    return _MARKUP.sub(r"\\\1", _one_line(text))


def mermaid(plan: Plan) -> str:
    """The plan as a flowchart. An edge that passes the barrier goes through its node."""
    lines = ["flowchart TD"]
    lines += [f'    {_name(step.id)}["{_label(step)}"]' for step in plan.steps]
    fenced = barrier(plan)
    proven, waiting = fenced or (frozenset[str](), frozenset[str]())
    if fenced:
        lines.append(f'    {BARRIER}{{{{"BARRIER<br/>{barrier_text(plan)}"}}}}')
        ends = {before for step in plan.steps if step.id in waiting for before in step.after} & proven
        lines += [f"    {_name(step_id)} ==> {BARRIER}" for step_id in _in_order(plan, ends or proven)]
        lines += [f"    {BARRIER} ==> {_name(step_id)}" for step_id in _in_order(plan, waiting)]
    for step in plan.steps:
        through = proven if step.id in waiting else frozenset[str]()
        lines += [f"    {_name(before)} --> {_name(step.id)}" for before in step.after if before not in through]
    lines.append("    classDef changes fill:#fde68a,stroke:#92400e,color:#111")
    lines.append("    classDef looks fill:#e0f2fe,stroke:#075985,color:#111")
    for style, members in (("changes", _of(plan, changes=True)), ("looks", _of(plan, changes=False))):
        lines += [f"    class {','.join(members)} {style}"] if members else []
    if fenced:
        lines += [f"    style {BARRIER} fill:#fee2e2,stroke:#b91c1c,stroke-width:3px,color:#111"]
    return "\n".join(lines)


def _started(plan: Plan, step: Step) -> set[str]:
    """The starts of the same machine: one for each of its fence methods that gives back."""
    return {other.id for other in plan.of_kind("start") if other.component == step.component}


def _from_the_promotion_on(plan: Plan) -> set[str]:
    later: set[str] = set()
    for step in plan.steps:
        if step.kind == "promote" or later.intersection(step.after):
            later.add(step.id)
    return later


def _ensures(step: Step) -> tuple[str, ...]:
    return tuple(str(want) for want in step.wants)


def changes(step: Step) -> bool:
    """True for a step that changes the world."""
    return step.kind in CHANGES


def _undo(step: Step, forward_only: set[str]) -> str:
    if step.kind not in CHANGES:
        return ""
    return FORWARD_ONLY if step.id in forward_only else "put back to what it was"


def _in_order(plan: Plan, ids: Iterable[str]) -> list[str]:
    wanted = set(ids)
    return [step.id for step in plan.steps if step.id in wanted]


def _of(plan: Plan, *, changes: bool) -> list[str]:
    return [_name(step.id) for step in plan.steps if (step.kind in CHANGES) is changes]


def _name(step_id: str) -> str:
    """An identifier that Mermaid takes, of this step alone: what it might not take, or take for the dot, is written by
    its code. `end` and the like are its own words, so each gets a prefix."""
    return "s_" + "".join(c if c.isalnum() else "_" if c == "." else f"_{ord(c):x}_" for c in step_id)


def _label(step: Step) -> str:
    shown = _one_line(step.summary)
    for char, entity in (("#", "#35;"), ('"', "#quot;"), ("&", "#amp;"), ("<", "#lt;")):
        shown = shown.replace(char, entity)
    return f"{step.id}<br/>{shown}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
