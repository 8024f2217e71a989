"""The report as one HTML page that needs nothing from elsewhere: a one-page summary, then the story and the proof."""

from __future__ import annotations

from importlib.resources import files

from orchestrator.app.report import tables
from orchestrator.app.report.markup import Markup, joined, tag
from orchestrator.app.report.model import Report
from orchestrator.app.report.ribbon import ribbon
from orchestrator.app.report.summary import WHAT, Number, numbers, outcome, title
from orchestrator.app.report.tables import Table
from orchestrator.app.report.timeline import timeline
from orchestrator.app.report.wording import exact, moment, precise, seconds

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing is fetched and nothing runs, whatever stands in the text."""

_COMPRESSED = (
    "Time is drawn compressed, so that short steps stay visible beside long waits; the bar in the summary is true to "
    "scale. Bars above each other ran in parallel."
)


_ONE_LINE = 10
"""Letters of a big number that fit on a line; a longer one is set smaller."""

_UNBROKEN = 20
"""Letters of a word in a table that is never broken: a step, a time, a status."""


def page(report: Report) -> str:
    """The whole page; well formed as XML too."""
    style = Markup(files("orchestrator.app.report").joinpath("page.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title(report)}: {outcome(report)[0]}"),
        tag("style", style),
    )
    sections = (_summary(report), _story(report), _timeline(report), _evidence(report), _details(report))
    body = tag("body", tag("main", *sections), _footer(report))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _summary(report: Report) -> Markup:
    word, tone = outcome(report)
    said = f"{report.started_by}: {report.reason}" if report.reason else report.started_by
    return tag(
        "header",
        tag("p", f"Tideover · {WHAT[report.mode]} · {moment(report.started_at)}", class_="kicker"),
        tag("h1", report.group, " ", tag("span", report.direction, class_="direction")),
        tag("p", tag("span", word, class_=f"pill {tone}"), " ", f"{report.why}.", class_="outcome"),
        tag("p", f"Started by {said}", class_="quiet"),
        tag("section", *(_number(number) for number in numbers(report)), class_="numbers", aria_label="In numbers"),
        _split(report),
        _notes(report),
        class_="summary",
    )


def _number(number: Number) -> Markup:
    return tag(
        "div",
        tag("p", number.label, class_="label"),
        tag("p", number.value, class_="value" if len(number.value) <= _ONE_LINE else "value long"),
        tag("p", number.note, class_="quiet"),
        tag("p", tag("span", number.verdict, class_=f"pill small {number.tone}")),
        class_=f"number {number.tone}",
    )


def _split(report: Report) -> Markup:
    outage = f" Outage: {seconds(tables.outage(report))} in all." if report.moves else ""
    cells = [
        tag(
            "div",
            tag("p", tag("span", class_=f"swatch swatch-{phase.name}"), phase.name, class_="phase-name"),
            tag("p", exact(phase.seconds), class_="phase-time"),
            tag("p", meaning + ("" if phase.outage or not report.moves else "; served meanwhile"), class_="quiet"),
        )
        for phase, meaning in zip(report.recovery.phases, tables.meanings(report), strict=True)
    ]
    return tag(
        "section", tag("h2", "Where the time went"), ribbon(report), tag("div", *cells, class_="phases"),
        tag("p", report.recovery.explained + outage, class_="quiet"),
    )  # fmt: skip


def _notes(report: Report) -> Markup:
    caveats = [tag("li", caveat) for caveat in report.caveats]
    commands = [tag("li", tag("code", command)) for command in report.next_commands]
    link = report.weakest_link and tag("p", tag("strong", "Weakest link. "), report.weakest_link)
    keep = tag("div", tag("h2", "Keep in mind"), tag("ul", *caveats)) if caveats else None
    on = tag("div", tag("h2", "Go on with"), tag("ul", *commands, class_="commands")) if commands else None
    return joined(link, tag("section", keep, on, class_="notes") if keep or on else None)


def _story(report: Report) -> Markup:
    items = [
        tag("li", tag("time", precise(one.at)), " ", tag("span", one.text), class_=one.tone) for one in report.story
    ]
    return tag(
        "section", tag("h2", "What happened"), tag("p", "All times are UTC.", class_="quiet"),
        tag("ol", *items, class_="story"),
    )  # fmt: skip


def _timeline(report: Report) -> Markup:
    changed = any(one.attempt for one in report.tries)
    fenced = any(step.kind == "promote" for step in report.steps)
    closed = " The barrier stayed closed: no promotion was requested." if fenced and changed else ""
    caption = _COMPRESSED + (closed if report.barrier_at is None else "")
    drawing = tag("div", timeline(report), class_="scroll", tabindex="0", role="group", aria_label="Timeline")
    return tag("section", tag("h2", "Timeline"), tag("figure", drawing, tag("figcaption", caption, class_="quiet")))


def _evidence(report: Report) -> Markup:
    return tag("section", _table(tables.evidence(report)))


def _details(report: Report) -> Markup:
    loss = tag("p", report.loss.explained)
    parts = [(make(report), loss if make is tables.losses else None) for make in tables.DETAILS]
    return joined(*(tag("section", _table(table), after) for table, after in parts if table.rows or table.empty))


def _table(table: Table) -> Markup:
    heading = tag("h2", table.title)
    if not table.rows:
        return joined(heading, tag("p", table.empty, class_="quiet"))
    head = tag("thead", tag("tr", *(tag("th", column, scope="col") for column in table.columns)))
    rows = [tag("tr", *(_cell(cell, i in table.code) for i, cell in enumerate(row))) for row in table.rows]
    body = tag("table", head, tag("tbody", *rows))
    scroll = tag("div", body, class_="scroll", tabindex="0", role="group", aria_label=table.title)
    return joined(heading, scroll, tag("p", table.note, class_="quiet") if table.note else None)


def _cell(value: str, code: bool) -> Markup:
    short = len(value) <= (_UNBROKEN if " " not in value else _ONE_LINE)
    return tag("td", tag("code", value) if code and value else value, class_="short" if short and value else None)


def _footer(report: Report) -> Markup:
    plan = report.provenance
    return tag(
        "footer",
        tag("p", f"{report.group} · plan {plan.plan_hash} · {plan.execution} · ended {moment(report.ended_at)}"),
    )
