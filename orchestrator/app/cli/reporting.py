"""`report`: the report of an execution written to a folder, printed, or found by its name."""

from __future__ import annotations

import json
from pathlib import Path

from rich.markup import escape

from orchestrator.app import report as reports
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.terminal import Output, data, out, say
from orchestrator.app.journals import open_journal
from orchestrator.domain.record import ExecutionRecord
from orchestrator.ports import Journal
from orchestrator.runtime import archive


def report(name: str | None = None, /, *, output: Output = "text", flags: Flags = NO_FLAGS) -> ExitCode:
    """Write the report of an execution as HTML, Markdown and JSON; without a name, list what there is.

    Parameters
    ----------
    name
        A record such as `shop-3`, or a group for its newest.
    output
        text: write all formats and say where. json, markdown: print that one and write nothing.
    """
    settings = flags.settings()
    journal = open_journal(settings)
    if name is None:
        return _list(journal, output)
    record = archive.find(journal, name)
    if output == "json":
        data(reports.build(record).model_dump_json(indent=2))
    elif output == "markdown":
        data(reports.markdown(reports.build(record)))
    else:
        paths = reports.write(record, settings.reports)
        for path in (paths.html_file, paths.markdown_file, paths.json_file):
            data(str(path))
    return ExitCode.DONE


def written(record: ExecutionRecord, folder: Path, *, authenticated: bool = False) -> Path:
    """The page of the report, written beside its other formats. `authenticated`: we know who approved."""
    return reports.write(record, folder, authenticated=authenticated).html_file


def _list(journal: Journal, output: Output) -> ExitCode:
    names = archive.names(journal)
    found = [(name, reports.build(archive.find(journal, name))) for name in names]
    if output == "json":
        told = [{"name": n, "group": r.group, "mode": r.mode, "target": r.target, "end": r.end} for n, r in found]
        data(json.dumps(told, indent=2))
        return ExitCode.DONE
    if not names:
        say("no execution has ended yet")
    for name, one in found:
        out().print(f"{name:16} {one.mode:10} {one.direction:24} {escape(str(one.end))}", soft_wrap=True)
    return ExitCode.DONE
