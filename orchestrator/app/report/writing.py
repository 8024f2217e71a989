"""The report as files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from orchestrator.app.report.build import build
from orchestrator.app.report.markdown import markdown
from orchestrator.app.report.model import Report
from orchestrator.app.report.page import page
from orchestrator.domain.base import Frozen
from orchestrator.domain.record import ExecutionRecord


class ReportPaths(Frozen):
    """Where the report stands."""

    json_file: Path
    markdown_file: Path
    html_file: Path


def write(
    record: ExecutionRecord, folder: Path, *, name: str | None = None, authenticated: bool = False
) -> ReportPaths:
    """`<name>.json`, `.md` and `.html` stand in `folder`, which is made where it is missing.

    `name`: by default the group and when the execution started; writing again replaces. `authenticated`: see `build`.
    """
    report = build(record, authenticated=authenticated)
    stem = name or default_name(report)
    if Path(stem).name != stem:
        msg = f"{stem!r} is no name of a file: leave out the folders"
        raise ValueError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    paths = ReportPaths(
        json_file=folder / f"{stem}.json", markdown_file=folder / f"{stem}.md", html_file=folder / f"{stem}.html"
    )
    paths.json_file.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    paths.markdown_file.write_text(markdown(report), encoding="utf-8")
    paths.html_file.write_text(page(report), encoding="utf-8")
    return paths


def default_name(report: Report) -> str:
    """`demo-20261121T013627Z-forced-right`."""
    started = datetime.fromtimestamp(report.started_at, UTC)
    return f"{report.group}-{started:%Y%m%dT%H%M%SZ}-{report.mode}-{report.target}".replace("/", "-")
