"""The report as Markdown, for a ticket or a pull request."""

from __future__ import annotations

import re

from orchestrator.app.report import tables
from orchestrator.app.report.model import Moment, Report
from orchestrator.app.report.summary import WHAT, numbers, outcome, title
from orchestrator.app.report.tables import Table
from orchestrator.app.report.wording import clean, moment, precise

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")


def markdown(report: Report) -> str:
    """The whole report."""
    word, _ = outcome(report)
    top = [
        f"# {_text(title(report))}: {word}",
        "",
        f"{WHAT[report.mode]} of {moment(report.started_at)}, started by {_text(report.started_by)}"
        + (f": {_text(report.reason)}" if report.reason else ""),
        "",
        f"**{word}**: {_text(report.why)}.",
        "",
        "| | | | |",
        "|---|---|---|---|",
        *(f"| {n.label} | **{n.value}** | {_text(n.note)} | {n.verdict} |" for n in numbers(report)),
        "",
    ]
    details = [line for make in tables.DETAILS for line in _table(make(report))]
    parts = [*top, *_notes(report), *_story(report), *_table(tables.phases(report)), *_text_block(report)]
    return "\n".join([*parts, *_table(tables.evidence(report)), *details]).rstrip() + "\n"


def _notes(report: Report) -> list[str]:
    lines: list[str] = []
    if report.weakest_link:
        lines += [f"Weakest link: {_text(report.weakest_link)}", ""]
    if report.caveats:
        lines += ["## Keep in mind", "", *(f"- {_text(caveat)}" for caveat in report.caveats), ""]
    if report.next_commands:
        lines += ["## Go on with", "", *(f"    {clean(command)}" for command in report.next_commands), ""]
    return lines


def _story(report: Report) -> list[str]:
    return ["## What happened", "", "All times are UTC.", "", *(_sentence(one) for one in report.story), ""]


def _sentence(one: Moment) -> str:
    return f"- `{precise(one.at)}` {_text(one.text)}"


def _text_block(report: Report) -> list[str]:
    return [_text(report.recovery.explained), "", _text(report.loss.explained), ""]


def _table(table: Table) -> list[str]:
    lines = [f"## {table.title}", ""]
    if not table.rows:
        return [*lines, table.empty, ""] if table.empty else []
    lines += ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    for row in table.rows:
        cells = [_code(cell) if i in table.code else _text(cell) for i, cell in enumerate(row)]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", *([table.note, ""] if table.note else [])]


def _text(value: str) -> str:
    return _SPECIAL.sub(r"\\\1", clean(value))


def _code(value: str) -> str:
    """An identifier as code; one that could end the code or the cell is written as text."""
    shown = clean(value)
    return f"`{shown}`" if shown and "`" not in shown and "|" not in shown else _text(shown)
