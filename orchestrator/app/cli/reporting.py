"""`report`: the report of an execution written to a folder, or printed."""

from __future__ import annotations

from pathlib import Path

from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.terminal import Output
from orchestrator.app.report.build import build
from orchestrator.domain.record import ExecutionRecord
from orchestrator.runtime.journal import SqliteJournal


def report(name: str | None = None, /, *, output: Output = "text", flags: Flags = NO_FLAGS) -> ExitCode:
    """Write the report of an execution; without a name, list what there is.

    Parameters
    ----------
    name
        A record such as `shop-3`, or a group for its newest.
    output
        text: write all formats and say where. json, markdown: print that one.
    """
    settings = flags.settings()
    journal = SqliteJournal(settings.journal)
    raise NotImplementedError


def written(record: ExecutionRecord, folder: Path) -> Path:
    """The report's page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "x.json"
    page.write_text(build(record).model_dump_json())
    return page
