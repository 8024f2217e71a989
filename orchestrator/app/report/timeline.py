"""The drawn timeline: a row per step, a bar per try, phases as bands, humans as flags, the barrier as a line."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.app.report.axis import Axis
from orchestrator.app.report.markup import Markup, joined, tag
from orchestrator.app.report.model import Report, Try, Wait
from orchestrator.app.report.wording import seconds

WIDTH, LABELS, RIGHT = 960.0, 168.0, 948.0
BAND, LANE, ROW, BAR, TICKS = 24.0, 20.0, 25.0, 13.0, 26.0
LETTER = 6.6
"""Width of a letter in the timeline's type, on the safe side."""

MARKS = {"failed": "✕", "refused": "✕", "unknown": "?", "open": "…", "done": ""}


@dataclass(frozen=True)
class _Flag:
    at: float
    label: str
    kind: str


@dataclass(frozen=True)
class _Row:
    label: str
    tries: tuple[Try, ...]
    waits: tuple[Wait, ...] = ()


@dataclass(frozen=True)
class _Picture:
    """What all parts of the drawing share: the axis, and where the rows begin and end."""

    report: Report
    axis: Axis
    flags: tuple[tuple[_Flag, int], ...]
    rows: tuple[_Row, ...]

    @property
    def top(self) -> float:
        lanes = 1 + max((lane for _, lane in self.flags), default=-1)
        return BAND + lanes * LANE + 8

    @property
    def bottom(self) -> float:
        return self.top + len(self.rows) * ROW


def timeline(report: Report) -> Markup:
    """The whole drawing."""
    axis = Axis.over(_times(report), LABELS, RIGHT)
    picture = _Picture(report, axis, _in_lanes(_flags(report), axis), _rows(report))
    height = picture.bottom + TICKS
    described = f"{len(report.tries)} tries of {len(report.steps)} steps; the table of attempts below tells the same."
    return tag(
        "svg", tag("title", f"Timeline of {report.group}"), tag("desc", described), _patterns(), _bands(picture),
        _lines(picture), *(_row(picture, i, row) for i, row in enumerate(picture.rows)), _flagged(picture),
        _ticks(picture), viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", class_="timeline",
    )  # fmt: skip


def _times(report: Report) -> list[float]:
    phases = [at for phase in report.recovery.phases for at in (phase.began, phase.ended)]
    tries = [at for one in report.tries for at in (one.began, one.ended or report.ended_at)]
    waits = [at for wait in report.waits for at in (wait.began, wait.ended)]
    return [*phases, *tries, *waits, *(said.at for said in report.decisions), report.started_at, report.ended_at]


def _flags(report: Report) -> list[_Flag]:
    said = [_Flag(one.at, f"{one.by}: {one.command}", "human") for one in report.decisions]
    barrier = [] if report.barrier_at is None else [_Flag(report.barrier_at, "barrier passed", "barrier")]
    return sorted([*said, *barrier], key=lambda flag: flag.at)


def _in_lanes(flags: list[_Flag], axis: Axis) -> tuple[tuple[_Flag, int], ...]:
    """Each flag in the first lane where it hides no other."""
    placed: list[tuple[_Flag, int]] = []
    for flag in flags:
        left, right = _extent(flag, axis)
        lane = 0
        while any(
            other_lane == lane and left < other_right + 6 and other_left < right + 6
            for other, other_lane in placed
            for other_left, other_right in (_extent(other, axis),)
        ):
            lane += 1
        placed.append((flag, lane))
    return tuple(placed)


def _extent(flag: _Flag, axis: Axis) -> tuple[float, float]:
    x, width = axis(flag.at), _width(flag)
    return (x, x + width) if x + width <= RIGHT else (x - width, x)


def _width(flag: _Flag) -> float:
    return len(flag.label) * LETTER + 12


def _rows(report: Report) -> tuple[_Row, ...]:
    human = [_Row("a human", (), report.waits)] if report.waits else []
    forward = [_Row(step.id, _tries(report, step.id, undo=False)) for step in report.steps if step.kind != "approve"]
    undone = dict.fromkeys(one.step for one in report.tries if one.undo)
    back = [_Row(f"undo {step_id}", _tries(report, step_id, undo=True)) for step_id in undone]
    return (*human, *forward, *back)


def _tries(report: Report, step_id: str, *, undo: bool) -> tuple[Try, ...]:
    return tuple(one for one in report.tries if one.step == step_id and one.undo is undo)


def _patterns() -> Markup:
    stripe = tag("path", d="M0 6 L6 0", class_="stripe")
    return tag("defs", tag("pattern", stripe, id="stripes", width=6, height=6, patternUnits="userSpaceOnUse"))


def _bands(picture: _Picture) -> Markup:
    parts: list[Markup] = []
    for phase in picture.report.recovery.phases:
        left, right = picture.axis(phase.began), picture.axis(phase.ended)
        width = right - left
        parts.append(tag("rect", x=left, y=0, width=width, height=picture.bottom, class_=f"band phase-{phase.name}"))
        parts.append(tag("rect", x=left, y=0, width=max(width - 1, 1), height=BAND - 6, class_=f"phase-{phase.name}"))
        for label in (f"{phase.name} {seconds(phase.seconds)}", phase.name):
            if len(label) * LETTER < width - 4:
                parts.append(tag("text", label, x=left + width / 2, y=13, text_anchor="middle", class_="band-text"))
                break
    return joined(*parts)


def _lines(picture: _Picture) -> Markup:
    parts = [tag("line", x1=0, x2=RIGHT, y1=y, y2=y, class_="rule") for y in _edges(picture)]
    for flag, lane in picture.flags:
        x, top = picture.axis(flag.at), BAND + lane * LANE
        parts.append(tag("line", x1=x, x2=x, y1=top, y2=picture.bottom, class_=f"pole-{flag.kind}"))
    return joined(*parts)


def _edges(picture: _Picture) -> list[float]:
    return [picture.top + i * ROW for i in range(len(picture.rows) + 1)]


def _row(picture: _Picture, index: int, row: _Row) -> Markup:
    middle = picture.top + index * ROW + ROW / 2
    reached = bool(row.tries or row.waits)
    label = row.label if len(row.label) <= 24 else f"{row.label[:23]}…"
    parts = [tag("text", label, x=0, y=middle + 4, class_="row-label" if reached else "row-label unreached")]
    spans = [*((t.began, t.ended) for t in row.tries), *((w.began, w.ended) for w in row.waits)]
    starts = sorted(picture.axis(began) for began, _ in spans)
    parts += [_wait(picture, wait, middle) for wait in row.waits]
    parts += [_bar(picture, one, middle, starts) for one in row.tries]
    if not reached:
        parts.append(tag("text", "not reached", x=RIGHT, y=middle + 4, text_anchor="end", class_="quiet"))
    return tag("g", *parts)


def _wait(picture: _Picture, wait: Wait, middle: float) -> Markup:
    left, right = picture.axis(wait.began), picture.axis(wait.ended)
    told = f"{seconds(wait.ended - wait.began)} {'for the approval' if wait.kind == 'approval' else 'for a decision'}"
    room = [told, seconds(wait.ended - wait.began)]
    shown = next((one for one in room if len(one) * LETTER < right - left - 8), None)
    label = shown and tag("text", shown, x=(left + right) / 2, y=middle + 4, text_anchor="middle", class_="bar-text")
    bar = tag("rect", tag("title", f"{wait.kind}: {wait.why}"), x=left, y=middle - BAR / 2 - 1.5, rx=2,
              width=max(right - left, 3), height=BAR + 3, class_=f"wait wait-{wait.kind}")  # fmt: skip
    return joined(bar, label)


def _bar(picture: _Picture, one: Try, middle: float, starts: list[float]) -> Markup:
    left, right = picture.axis(one.began), picture.axis(one.ended or picture.report.ended_at)
    right = max(right, left + 3)
    outcome = "failed" if one.insufficient else one.outcome
    shape = {"x": left, "y": middle - BAR / 2, "width": right - left, "height": BAR, "rx": 2}
    kind = "look" if one.attempt is None else "change"
    told = f"{one.step}{f' through {one.method}' if one.method else ''}: {outcome}: {one.said}"
    bar = tag("rect", tag("title", told), **shape, class_=f"bar {kind} {outcome}")
    stripes = tag("rect", **shape, fill="url(#stripes)") if outcome in ("unknown", "open") else None
    lasted = seconds(one.ended - one.began) if one.ended is not None else "open"
    label = f"{MARKS[outcome]} {lasted}".strip()
    free = min((x for x in starts if x > left), default=RIGHT)
    return joined(bar, stripes, _label(label, left, right, free, middle, outcome))


def _label(label: str, left: float, right: float, free: float, middle: float, outcome: str) -> Markup | None:
    """Beside the bar where there is room, after it or before it; else nowhere: the table has it."""
    width = len(label) * LETTER
    style = f"lasted {outcome}"
    if right + 5 + width <= free:
        return tag("text", label, x=right + 5, y=middle + 4, class_=style)
    if free == RIGHT and left - 5 - width > LABELS:
        return tag("text", label, x=left - 5, y=middle + 4, text_anchor="end", class_=style)
    return None


def _flagged(picture: _Picture) -> Markup:
    parts: list[Markup] = []
    for flag, lane in picture.flags:
        left, right = _extent(flag, picture.axis)
        y = BAND + lane * LANE
        parts.append(tag("rect", x=left, y=y, width=right - left, height=LANE - 4, rx=2, class_=f"flag-{flag.kind}"))
        parts.append(tag("text", flag.label, x=left + 6, y=y + 12, class_=f"flag-text-{flag.kind}"))
    return joined(*parts)


def _ticks(picture: _Picture) -> Markup:
    """The ends of the phases first, then as many of the other moments as there is room for."""
    report, axis = picture.report, picture.axis
    ends = [report.started_at, report.ended_at, *(phase.began for phase in report.recovery.phases)]
    taken: list[tuple[float, float]] = []
    labels: set[str] = set()
    parts: list[Markup] = []
    for at in dict.fromkeys([*ends, *(axis.times)]):
        x, label = axis(at), _since(at - report.started_at)
        half = len(label) * LETTER / 2
        center = min(max(x, LABELS + half - 20), WIDTH - half)
        if label in labels or any(center - half < right + 8 and left - 8 < center + half for left, right in taken):
            continue
        taken.append((center - half, center + half))
        labels.add(label)
        y = picture.bottom
        parts.append(tag("line", x1=x, x2=x, y1=y, y2=y + 5, class_="tick"))
        parts.append(tag("text", label, x=center, y=y + 18, text_anchor="middle", class_="quiet"))
    return joined(*parts)


def _since(offset: float) -> str:
    sign = "-" if offset < 0 else "+"
    return "0" if offset == 0 else f"{sign}{seconds(abs(offset))}"
