"""`lint`, `plan`, `checklist` and `schema`: what a reviewer needs. No cloud SDK and no Temporal is imported here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from orchestrator.app.cli.exits import ExitCode, Stopped, of_error
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.terminal import Output, data, out, say
from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import Located, RunbookText, read
from orchestrator.domain.errors import JournalUnavailable, NotFoundLocally
from orchestrator.domain.plan import NO_JOURNAL, Plan, PlanMode

if TYPE_CHECKING:
    from orchestrator.domain.runbook import Runbook


def lint(files: Annotated[list[Path], Parameter(negative="")], /, *, output: Output = "text") -> ExitCode:
    """Find what is wrong in runbooks: `file:line:col: CODE message`, one line for each finding.

    A warning begins its message with `warning:`; the runbook can be used all the same, and the exit code is 0.

    Parameters
    ----------
    files
        Runbooks to look at.
    output
        How to print the findings.
    """
    texts, unread = list[RunbookText](), list[NotFoundLocally]()
    for file in files:
        try:
            texts.append(read(file, catalog()))
        except NotFoundLocally as why:
            unread.append(why)
    findings = [finding for text in texts for finding in text.findings]
    warnings = [warning for text in texts for warning in text.warnings]
    if output == "json":
        data(json.dumps([_as_json(text) for text in texts], indent=2))
    for finding in (*findings, *warnings) if output != "json" else ():
        data(_as_markdown(finding) if output == "markdown" else str(finding))
    count = _count(findings, "finding") + (f", {_count(warnings, 'warning')}" if warnings else "")
    if texts:
        say(f"{_count(texts, 'runbook')}: {count}")
    for error in unread:
        say(f"tideover: {error}")
    if unread:
        return of_error(unread[0])
    return ExitCode.FINDINGS if findings else ExitCode.DONE


def plan(
    runbook: str,
    /,
    *,
    to: str | None = None,
    mode: PlanMode = "forced",
    output: Literal["table", "json", "markdown", "mermaid"] = "table",
    flags: Flags = NO_FLAGS,
) -> ExitCode:
    """Show what an execution would do: every step, its order, the barrier, and the hash that an approval names.

    Parameters
    ----------
    runbook
        A file, or the name of a runbook in the library.
    to
        The site to move to, or to rebuild; the standby site where it is not given.
    mode
        The kind of execution.
    output
        How to print it.
    """
    from orchestrator.app import plan_view

    text = valid_runbook(runbook, flags, undone="planned")
    made = _planned(text.valid(), to, mode, flags)
    told = warned(text, output)
    if output == "json":
        data(json.dumps({"hash": made.hash, **made.model_dump(mode="json")}, indent=2))
    elif output == "markdown":
        data("\n".join((plan_view.markdown(made), *told)))
    elif output == "mermaid":
        data(plan_view.mermaid(made))
    else:
        _print_table(made)
    return ExitCode.DONE


def checklist(
    runbook: str, /, *, to: str | None = None, mode: PlanMode = "forced", flags: Flags = NO_FLAGS
) -> ExitCode:
    """Print a plan for a person with no tool at all, as Markdown: print it on paper before the night it is needed.

    It needs no Temporal, no journal and no network, and holds no secret.

    Parameters
    ----------
    runbook
        A file, or the name of a runbook in the library.
    to
        The site to move to, or to rebuild; the standby site where it is not given.
    mode
        The kind of execution.
    """
    from orchestrator.app import checklist as checklists

    text = valid_runbook(runbook, flags, undone="planned")
    data(
        "\n".join((checklists.markdown(_planned(text.valid(), to, mode, flags), catalog()), *warned(text, "markdown")))
    )
    return ExitCode.DONE


def schema() -> ExitCode:
    """Print the JSON Schema of the runbook language, with the keys of every provider."""
    from orchestrator.app import runbook_schema

    data(runbook_schema.text(catalog()).rstrip("\n"))
    return ExitCode.DONE


def _as_markdown(finding: Located) -> str:
    place, _, told = str(finding).partition(f" {finding.finding.code} ")
    return f"- `{place.rstrip(':')}` **{finding.finding.code}** {told}"


def _as_json(text: RunbookText) -> dict[str, object]:
    findings, warnings = (
        [{"line": f.line, "column": f.column, "code": f.finding.code, "message": f.finding.message} for f in found]
        for found in (text.findings, text.warnings)
    )
    return {"file": text.file, "findings": findings, "warnings": warnings}


def _count(found: Sequence[object], name: str) -> str:
    return f"{len(found) or 'no'} {name}{'' if len(found) == 1 else 's'}"


def warned(text: RunbookText, output: str) -> list[str]:
    """The runbook's warnings as lines to add to what is printed as Markdown; else they are told on stderr."""
    if output != "markdown":
        for warning in text.warnings:
            say(str(warning))
    if output != "markdown" or not text.warnings:
        return []
    return ["", "**`tideover lint` warns:**", "", *map(_as_markdown, text.warnings)]


def valid_runbook(name: str, flags: Flags, undone: str) -> RunbookText:
    """The text of the runbook in the file of this name, else the library's. Its findings are printed as `lint` does.

    `undone`: what was not done where it has any.
    """
    from orchestrator.app.library import RunbookLibrary

    path = Path(name)
    looks_like_a_file = path.suffix in (".yaml", ".yml") or "/" in name
    file = path if looks_like_a_file else RunbookLibrary(flags.settings().runbooks, catalog()).path(name)
    text = read(file, catalog())
    if text.runbook is None or text.findings:
        for finding in text.findings:
            say(str(finding))
        raise Stopped(ExitCode.FINDINGS, f"{file} has findings: nothing was {undone}")
    return text


def _planned(found: Runbook, to: str | None, mode: PlanMode, flags: Flags) -> Plan:
    """The plan; where the journal is not there it is said that the hash is not the one that a worker would show."""
    from orchestrator.domain.derivation import derive

    target = to or (found.direction[0] if mode in ("reprotect", "unfence") else found.direction[1])
    journal, trouble = _journal_id(flags)
    if trouble:
        say(f"the journal's identity is part of the hash, so an execution's will be another one: {trouble}")
    return derive(found, catalog(), target, mode, journal)


def _journal_id(flags: Flags) -> tuple[str, str]:
    """The journal's identity, or what stands for it and why."""
    from orchestrator.app.journals import open_journal

    try:
        return open_journal(flags.settings()).id, ""
    except JournalUnavailable as error:
        return NO_JOURNAL, str(error)


def _print_table(made: Plan) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from orchestrator.app import plan_view
    from orchestrator.domain.durations import show

    console = out()
    console.print(f"[bold]{escape(plan_view.title(made))}[/]   plan [bold cyan]{made.hash}[/]   "
                  f"[dim]{plan_view.objectives(made)}[/]")  # fmt: skip
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for name in ("#", "step", "what it does, and the state it reads back", "waits for", "within", "undo"):
        table.add_column(name, overflow="fold")
    fenced = plan_view.barrier(made)
    for row in plan_view.rows(made):
        if fenced and row.step.id in fenced[1]:
            table.add_section()
            table.add_row("", "[bold red]BARRIER[/]", f"[bold red]{plan_view.barrier_text(made)}[/]")
            table.add_section()
            fenced = None
        what = "\n".join((escape(row.step.summary), *(f"[dim]{escape(text)}[/]" for text in row.ensures)))
        after, within = "\n".join(row.step.after), show(plan_view.within(row.step))
        table.add_row(str(row.rank), f"[bold]{row.step.id}[/]", what, after, within, row.undo)
    console.print(table)
    console.print("[dim]Steps with the same number may run at the same time.[/]")
