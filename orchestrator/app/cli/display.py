"""An execution on the screen: redrawn where a person looks at a terminal, line by line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestrator.app import plan_view
from orchestrator.app.cli import what_next
from orchestrator.app.cli.terminal import err, is_live
from orchestrator.app.executions import Seen
from orchestrator.domain.checks import current_loss, judge
from orchestrator.domain.durations import show
from orchestrator.domain.plan import Plan
from orchestrator.domain.state import ExecutionState, Status, StepRecord
from workflows.details import phase
from workflows.messages import Snapshot

MARKS = {
    Status.PENDING: ("·", "dim"),
    Status.RUNNING: ("●", "cyan"),
    Status.DONE: ("✔", "green"),
    Status.SKIPPED: ("»", "yellow"),
    Status.FAILED: ("✘", "bold red"),
    Status.UNKNOWN: ("?", "bold yellow"),
}
PHASES = {
    "SUCCEEDED": "bold green", "RUNNING": "bold cyan", "WAITING": "bold yellow", "AWAITING_APPROVAL": "bold yellow",
    "NEEDS_HUMAN": "bold red", "ROLLED_BACK": "bold yellow", "REFUSED": "bold red", "UNDOING": "bold yellow",
}  # fmt: skip


class Display(Protocol):
    """Shows what was seen of an execution."""

    def show(self, seen: Seen) -> None:
        """What was seen stands on the screen."""

    def __enter__(self) -> Self:
        """The screen is ours."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What was shown last stays on the screen."""


class LiveDisplay:
    """A table that is redrawn in place."""

    def __init__(self, console: Console, link: str, *, asked: bool) -> None:
        self._link, self._asked = link, asked
        self._live = Live(console=console, refresh_per_second=8, transient=False, vertical_overflow="ellipsis")
        self._spinner = Spinner("dots", style="cyan")

    def show(self, seen: Seen) -> None:
        """The newest state is drawn."""
        self._live.update(screen(seen, self._link, self._spinner, asked=self._asked))

    def __enter__(self) -> Self:
        """Drawing begins."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drawing ends; the last picture stays."""
        self._live.stop()


class LineDisplay:
    """One line for everything new, for logs and pipes."""

    def __init__(self, console: Console, link: str, *, asked: bool) -> None:
        self._console, self._link, self._asked = console, link, asked
        self._told: set[str] = set()
        self._began = time.monotonic()

    def show(self, seen: Seen) -> None:
        """Every line that was not there before is printed."""
        for key, line in news(seen, asked=self._asked):
            if key not in self._told:
                self._told.add(key)
                passed = f"{time.monotonic() - self._began:6.1f}s"
                self._console.print(f"{passed}  {line}", markup=False, soft_wrap=True)

    def __enter__(self) -> Self:
        """Where to look at it stands first."""
        self._console.print(self._link, markup=False, soft_wrap=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to do."""


def display(link: str, *, asked: bool = True) -> Display:
    """The display that fits where stderr goes. `asked`: a person has to approve."""
    return LiveDisplay(err(), link, asked=asked) if is_live() else LineDisplay(err(), link, asked=asked)


def screen(seen: Seen, link: str, spinner: Spinner | None = None, *, asked: bool = True) -> RenderableType:
    """The whole picture of an execution. `asked`: a person has to approve."""
    snapshot = seen.snapshot
    parts: list[RenderableType] = []
    if snapshot is None or snapshot.plan is None or snapshot.state is None:
        parts.append(Text(seen.trouble or "planning …", style="yellow" if seen.trouble else "dim"))
    else:
        plan, state = snapshot.plan, snapshot.state
        parts += [_heading(plan, state), Text(), _steps(plan, state, spinner)]
        parts += [Text(f"⚠ {seen.trouble}", style="yellow")] if seen.trouble else []
        for block in (_found(plan, state), _question(state), _commands(snapshot, asked=asked)):
            parts += [Text(), *block] if block else []
    return Group(*parts, Text(), Text(link, style="dim", overflow="fold"), Text())


def findings(plan: Plan, state: ExecutionState) -> Iterator[tuple[str, str]]:
    """(level, text) of what the checks found and of what may be lost. Level: `blocks`, `warns` or `tells`."""
    if phase(plan, state) in ("CHECKING", "PLANNING"):
        return
    if not state.claimed:
        yield from ((finding.level, str(finding)) for finding in judge(plan, state))
    loss = (state.loss_shown or current_loss(plan, state)) if plan.mode == "forced" else None
    if loss:
        yield "tells", f"data loss by a promotion now: {loss}; objective {show(plan.objectives.rpo)}"
    if state.loss_measured:
        yield "tells", f"data loss measured before the promotion: {state.loss_measured}"


def news(seen: Seen, *, asked: bool = True) -> Iterator[tuple[str, str]]:
    """(key, line) of all that can be told; what has the same key is told once. `asked`: a person has to approve."""
    if seen.trouble:
        yield seen.trouble, f"! {seen.trouble}"
    snapshot = seen.snapshot
    if snapshot is None or snapshot.plan is None or snapshot.state is None:
        return
    plan, state = snapshot.plan, snapshot.state
    yield "title", f"{plan_view.title(plan)}, plan {plan.hash}, started by {state.execution.who}"
    for step in plan.steps:
        yield from _step_news(step.id, step.summary, state.steps[step.id])
    for undo in state.undos:
        record = state.undone.get(undo.want.resource, StepRecord())
        yield from _step_news(f"undo {undo.want.resource}", str(undo.want), record)
    for level, text in findings(plan, state):
        yield text.partition(":")[0] + level, f"{'✘' if level == 'blocks' else '!'} {text}"
    now = phase(plan, state)
    if now in ("WAITING", "PAUSED", "UNDOING") or (now == "AWAITING_APPROVAL" and asked and "approve" in snapshot.may):
        why = f": {state.waiting.why}" if state.waiting else ""
        yield f"{now}{why}", f"{now}{why}"
        yield from (
            (f"{now}{why}{command}", f"    {command}   {what}") for command, what in what_next.commands(snapshot)
        )


def _step_news(name: str, summary: str, record: StepRecord) -> Iterator[tuple[str, str]]:
    if record.status is Status.PENDING and not record.said:
        return
    mark, _ = MARKS[record.status]
    told = record.said or summary
    seconds = f" ({took})" if (took := _took(record)) else ""
    yield f"{name}{record.status}{record.tries}{record.method}{record.said}", f"{mark} {name}: {told}{seconds}"


def _heading(plan: Plan, state: ExecutionState) -> RenderableType:
    now = phase(plan, state)
    until = state.now if state.finish else time.time()
    passed = show(max(0, round(until - state.execution.since)))
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right", no_wrap=True)
    title = f"[bold]{escape(plan_view.title(plan))}[/]   [{PHASES.get(now, 'bold')}]{now.replace('_', ' ')}[/]"
    head.add_row(title, f"[dim]{passed}[/]")
    head.add_row(f"[dim]plan[/] [cyan]{plan.hash}[/] [dim]· started by {escape(state.execution.who)}[/]", "")
    return head


def _steps(plan: Plan, state: ExecutionState, spinner: Spinner | None) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=2, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    fenced = plan_view.barrier(plan)
    for row in plan_view.rows(plan):
        if fenced and row.step.id in fenced[1]:
            table.add_row("", "[dim]── barrier[/]", f"[dim]{plan_view.barrier_text(plan)}[/]", "")
            fenced = None
        _add(table, row.step.id, row.step.summary, state.steps[row.step.id], spinner)
    for undo in state.undos:
        record = state.undone.get(undo.want.resource, StepRecord())
        _add(table, f"undo {undo.step}", f"put back: {undo.want}", record, spinner)
    return table


def _add(table: Table, name: str, summary: str, record: StepRecord, spinner: Spinner | None) -> None:
    mark, style = MARKS[record.status]
    running = record.status is Status.RUNNING
    told = summary if running or not record.said else record.said
    quiet = "dim" if record.status is Status.PENDING else ""
    cell: RenderableType = spinner if running and spinner else Text(mark, style=style)
    bad = style if record.status in (Status.FAILED, Status.UNKNOWN) else quiet
    table.add_row(cell, Text(name, style=quiet), Text(told, style=bad), Text(_took(record), style="dim"))


def _found(plan: Plan, state: ExecutionState) -> list[RenderableType]:
    marks = {"blocks": ("✘", "bold red"), "warns": ("!", "yellow"), "tells": (" ", "")}
    return [Text(f" {marks[level][0]} {text}", style=marks[level][1]) for level, text in findings(plan, state)]


def _question(state: ExecutionState) -> list[RenderableType]:
    if not state.waiting or state.finish:
        return []
    left = show(max(0, round(state.waiting.deadline - time.time())))
    return [Text(f" Waiting for a human, {left} left:", style="bold yellow"), Text(f" {state.waiting.why}")]


def _commands(snapshot: Snapshot, *, asked: bool) -> list[RenderableType]:
    found = what_next.commands(snapshot) if asked or "approve" not in snapshot.may else []
    if not found:
        return []
    table = Table.grid(padding=(0, 2))
    for command, what in found:
        table.add_row(Text(f" {command}", style="cyan"), Text(what, style="dim"))
    return [table]


def _took(record: StepRecord) -> str:
    if record.took is not None:
        return f"{record.took:.1f}s"
    return f"{max(0, time.time() - record.started_at):.0f}s" if record.started_at else ""
