"""The time to recover as one bar, true to scale, with the objective on it."""

from __future__ import annotations

from orchestrator.app.report.markup import Markup, tag
from orchestrator.app.report.model import Report
from orchestrator.app.report.wording import exact, seconds

WIDTH, TOP, HEIGHT = 960.0, 6.0, 26.0
_LONGEST = 6.0
"""An objective that is further away than this many times the whole is drawn at the right end, with an arrow."""


def ribbon(report: Report) -> Markup:
    """The bar; where nothing was timed, an empty one."""
    phases, target = report.recovery.phases, report.recovery.target
    began, ended = phases[0].began, phases[-1].ended
    outage = next((phase.began for phase in phases if phase.outage), None)
    objective = None if outage is None or target is None else outage + target
    whole = max(ended - began, 0.001)
    far = objective is not None and objective - began > whole * _LONGEST
    until = ended if objective is None or far else max(ended, objective)
    scale = (WIDTH - (150 if far else 2)) / max(until - began, 0.001)
    parts = [
        tag("rect", x=(phase.began - began) * scale, y=TOP, width=max(phase.seconds * scale, 1.5), height=HEIGHT,
            class_=f"phase-{phase.name}{'' if phase.outage or not report.moves else ' served'}")
        for phase in phases
    ]  # fmt: skip
    mark = [] if objective is None else _objective(began, objective, scale, far, target or 0.0)
    described = ", ".join(f"{phase.name} {exact(phase.seconds)}" for phase in phases)
    box = tag("rect", x=0, y=TOP, width=(until - began) * scale, height=HEIGHT, class_="ribbon-empty")
    return tag("svg", tag("title", f"Time to recover, true to scale: {described}"), box, *parts, *mark,
               viewBox=f"0 0 {WIDTH:g} {TOP + HEIGHT + 22:g}", role="img", class_="ribbon")  # fmt: skip


def _objective(began: float, objective: float, scale: float, far: bool, target: float) -> list[Markup]:
    label = f"objective {seconds(target)}"
    if far:
        return [tag("text", f"{label} ⟶", x=WIDTH, y=TOP + HEIGHT / 2 + 4, text_anchor="end", class_="objective-text")]
    x = min((objective - began) * scale, WIDTH - 1.5)
    anchor = "end" if x > WIDTH - 80 else "start" if x < 80 else "middle"
    line = tag("line", x1=x, x2=x, y1=0, y2=TOP + HEIGHT + 5, class_="objective")
    return [line, tag("text", label, x=x, y=TOP + HEIGHT + 18, text_anchor=anchor, class_="objective-text")]
