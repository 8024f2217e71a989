"""`doctor`: everything that a failover needs, checked before the night when it is needed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.terminal import Output, data, out
from orchestrator.app.connection import connect
from orchestrator.app.executions import Executions
from orchestrator.app.health import Check, local, temporal
from orchestrator.app.registry import catalog

MARKS = {"ok": "[green]✔[/]", "warn": "[yellow]![/]", "fail": "[bold red]✘[/]"}


def doctor(*, output: Output = "text", flags: Flags = NO_FLAGS) -> ExitCode:
    """Check everything that a failover needs; each line says what was found and the way out.

    Parameters
    ----------
    output
        How to print it.
    """
    settings = flags.settings()

    async def executions() -> Executions:
        return Executions(await connect(), settings.ui)

    checks = [*local(settings, catalog()), *asyncio.run(temporal(executions, settings))]
    if output == "json":
        data(json.dumps([asdict(check) for check in checks], indent=2))
    elif output == "markdown":
        data("\n".join(f"- {check.level} **{check.name}** {check.found} {check.way_out}".rstrip() for check in checks))
    else:
        _print(checks)
    return ExitCode.NOT_READY if any(check.level == "fail" for check in checks) else ExitCode.DONE


def _print(checks: list[Check]) -> None:
    table = Table.grid(padding=(0, 1))
    table.add_column("mark", no_wrap=True)
    table.add_column("name", no_wrap=True)
    table.add_column("found", overflow="fold")
    for check in checks:
        way_out = f"\n[cyan]{escape(check.way_out)}[/]" if check.way_out else ""
        table.add_row(MARKS[check.level], f"[bold]{escape(check.name)}[/]", f"{escape(check.found)}{way_out}")
    out().print(table)
