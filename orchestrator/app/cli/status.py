"""`status`: who is primary and by which evidence, what the ledger knows, and what may be done now. It only reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from temporalio.service import RPCError

from orchestrator.app.break_glass.kept import is_break_glass
from orchestrator.app.break_glass.opening import again
from orchestrator.app.cli import what_next
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.terminal import Output, data, out, say
from orchestrator.app.connection import connect, unavailable
from orchestrator.app.executions import Executions
from orchestrator.app.holders import PATIENCE, Holders, Known, without_temporal
from orchestrator.app.journals import open_journal
from orchestrator.app.library import RunbookLibrary
from orchestrator.app.registry import catalog
from orchestrator.app.settings import Settings
from orchestrator.app.situation import Situation, look
from orchestrator.domain.catalog import Catalog, DnsPlace
from orchestrator.domain.component_types import TYPES
from orchestrator.domain.durations import show
from orchestrator.domain.errors import JournalUnavailable, NotFoundLocally, TideoverError
from orchestrator.domain.holder import Alive
from orchestrator.domain.ledger import Execution, GroupRecord, Request
from orchestrator.domain.plan import NO_JOURNAL, start_command
from orchestrator.domain.resource_ids import instance
from orchestrator.domain.runbook import Runbook
from orchestrator.domain.settling import beyond_a_word
from orchestrator.domain.world import Holder, Reading, Records
from orchestrator.ports import Journal
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.credentials import ProfileCredentials
from orchestrator.runtime.group import Group
from workflows.messages import Snapshot

MEANS = {
    "planned": "move to {to}, losing nothing",
    "forced": "fence the other site and promote {to}",
    "reprotect": "make {to} a standby again",
    "unfence": "give {to} back what was taken from it; nothing has replaced it",
}

WORD = ' --holder-is-gone "..."'


@dataclass(frozen=True)
class Running:
    """What Temporal knows. `link`: the page of what runs; empty where nothing does. `trouble`: why more could not be
    told. `holder`: what is known of who holds the group; None where nobody does."""

    seen: Snapshot | None = None
    link: str = ""
    trouble: str = ""
    holder: Known | None = None


@dataclass(frozen=True)
class Line:
    """One line of the picture. `mark`: ok, warn, bad or plain."""

    mark: str
    name: str
    text: str


def status(runbook: str | None = None, /, *, output: Output = "text", flags: Flags = NO_FLAGS) -> ExitCode:
    """Tell who is primary, by which evidence, how far the standby is behind, and what may be done now.

    Parameters
    ----------
    runbook
        The name of a runbook; every runbook of the library where it is not given.
    output
        How to print it.
    """
    settings = flags.settings()
    library = RunbookLibrary(settings.runbooks, catalog())
    names = [runbook] if runbook else library.names()
    if not names:
        raise NotFoundLocally(f"there is no runbook in {', '.join(map(str, settings.runbooks))}: see `tideover init`")
    pictures = [picture(library.runbook(name), settings, library.catalog) for name in names]
    if output == "json":
        data(json.dumps([_as_json(found, running) for found, running in pictures], indent=2))
    else:
        console = out()
        for found, running in pictures:
            _print_markdown(found, running) if output == "markdown" else _print(console, found, running)
    split = any(len(found.primaries(c)) > 1 for found, _ in pictures for c in _writers(found))
    return ExitCode.HUMAN_NEEDED if split else ExitCode.DONE


def picture(runbook: Runbook, settings: Settings, catalog: Catalog) -> tuple[Situation, Running]:
    """How things stand with one group, and what runs of it."""
    try:
        journal = open_journal(settings)
        record, journal_id = Group(journal, runbook.runbook).record(), journal.id
        held = record.execution
        holder = (held, journal, without_temporal(journal, held)) if held else None
    except JournalUnavailable as error:
        say(str(error))
        record, journal_id, holder = None, NO_JOURNAL, None
    running = asyncio.run(_running(runbook.runbook, settings.ui, holder))
    adapters = Adapters(catalog, ProfileCredentials(settings.credentials))
    return look(runbook, adapters, record, journal_id), running


async def _running(group: str, ui: str, holder: tuple[Execution, Journal, Known] | None) -> Running:
    """`holder`: who holds the group, in which journal, and what is known of it without Temporal."""
    held, journal, known = holder or (None, None, None)
    link = ""
    try:
        async with asyncio.timeout(PATIENCE):
            executions = Executions(await connect(), ui)
            if held and journal:
                known = await Holders(lambda: executions.client, journal).known(held)
            try:
                handle = await executions.find(group)
            except NotFoundLocally:
                return Running(holder=known)
            if not await executions.is_running(handle):
                return Running(holder=known)
            link = executions.link(handle)
            seen = await executions.look(handle, timedelta(seconds=PATIENCE / 2))
            return Running(seen.snapshot, link, seen.trouble, known)
    except TimeoutError:
        return Running(None, link, f"Temporal did not answer within {PATIENCE:g}s", known)
    except RPCError as error:
        return Running(trouble=str(unavailable(error)), holder=known)
    except TideoverError as error:
        return Running(trouble=str(error), holder=known)


def lines(found: Situation, running: Running) -> Iterator[Line]:
    """Everything to tell, in the order in which it matters."""
    for name in _writers(found):
        yield from _servers(found, name)
    for name, spec in found.specs.items():
        if spec.site is None:
            yield _shared(found, name)
    for name in found.specs:
        if ":" in name:
            yield _line(found, name, "fence")
    yield from _ledger(found, running)


def commands(found: Situation, running: Running) -> list[tuple[str, str]]:
    """What may be done now, as (command, meaning)."""
    group = found.runbook.runbook
    if running.seen:
        return [(f"tideover follow {group}", "watch it"), *what_next.commands(running.seen)]
    if running.link:
        return [("tideover worker", "go on with what runs"), (f"tideover follow {group}", "watch it")]
    if found.record is None or (running.holder and running.holder.alive is Alive.YES):
        return [("tideover doctor", "see what stands in the way")]
    allowed = [move for move in found.moves if not move.blocked]
    planned = {move.to for move in allowed if move.mode == "planned"}
    told = list(_going_on(found.record, running))
    begun = bool(told and running.trouble)
    for move in allowed:
        if (move.mode == "forced" and move.to in planned) or (move.mode == "reprotect" and begun):
            continue  # a failback without Temporal goes on with what was begun, and with nothing else
        command = f"{start_command(group, move.mode, move.to)}{_besides(running)}"
        told.append((command, MEANS[move.mode].format(to=move.to)))
    return told


def _going_on(record: GroupRecord, running: Running) -> Iterator[tuple[str, str]]:
    """The command that goes on with what a break-glass process has left."""
    if record.execution and running.holder and is_break_glass(record.execution.id):
        word = WORD if running.holder.alive is Alive.CANNOT_TELL else ""
        yield f"{again(record.group, record.execution)}{word}", "go on with what was begun"


def _besides(running: Running) -> str:
    """What a start must say besides: that it does without Temporal, that the holder is gone where none can tell."""
    word = running.holder and (running.trouble or running.holder.alive is Alive.CANNOT_TELL)
    return f"{' --break-glass' if running.trouble else ''}{WORD if word else ''}"


def _servers(found: Situation, name: str) -> Iterator[Line]:
    primaries = found.primaries(name)
    if len(primaries) > 1:
        yield Line("bad", "SPLIT", f"{name} takes writes at {' and at '.join(primaries)}: stop one of them now")
    for site in found.runbook.direction:
        line = _line(found, instance(name, site), found.role(name, site) or "unknown")
        loss = found.loss(name, site)
        behind = f"; if {found.runbook.other(site)} were lost now: {loss}" if loss else ""
        within = loss is None or loss.within(found.runbook.objectives.rpo)
        yield Line(line.mark if within else "warn", line.name, f"{name} at {site}: {line.text}{behind}")
    if not primaries and found.record and name in found.record.holders:
        yield Line("warn", "last known", f"{name} was last proven primary at {found.record.holders[name]}")


def _shared(found: Situation, name: str) -> Line:
    line = _line(found, name, name)
    reading = found.readings.get(name)
    site = _pointed_at(found, name, reading) if reading else None
    return Line(line.mark, line.name, f"at {site}: {line.text}" if site else line.text)


def _pointed_at(found: Situation, name: str, reading: Reading) -> str | None:
    """The site that a shared resource leads to."""
    for state in reading.states:
        if isinstance(state, Holder):
            return state.site
        if isinstance(state, Records):
            for site, place in found.specs[name].places.items():
                known = {key: value for key, value in place.items() if key in DnsPlace.model_fields}
                if DnsPlace(**known).records(state.ttl).records == state.records:
                    return site
    return None


def _line(found: Situation, resource: str, name: str) -> Line:
    reading, error = found.readings.get(resource), found.errors.get(resource)
    if reading is None:
        return Line("bad", name, f"{_place(resource)}{error.why if error else 'not read'}")
    states = ", ".join(str(state) for state in reading.states) or "nothing"
    warned = "".join(f"; {warning}" for warning in reading.warnings)
    return Line("warn" if warned else "ok", name, f"{_place(resource)}{states}, says {reading.authority}{warned}")


def _place(resource: str) -> str:
    return f"{resource}: " if ":" in resource else ""


def _ledger(found: Situation, running: Running) -> Iterator[Line]:
    record = found.record
    if record is None:
        yield Line("warn", "ledger", "the journal was not read")
    else:
        for resource, site in record.fenced.items():
            yield Line("warn", "fenced", f"{resource} at {site}, until it is rebuilt or unfenced")
        for doubt in record.doubts:
            yield Line("bad", "in doubt", f"{doubt.want} was requested by {doubt.attempt} and {_coming(found, doubt)}")
        held = f"held by {record.execution or 'nobody'}"
        known, gone = running.holder, running.holder is not None and running.holder.alive is not Alive.YES
        left = f"{known.told if known else ''}{': `tideover doctor` says what is left to do' if gone else ''}"
        yield Line("warn" if gone else "plain", "ledger", f"epoch {record.epoch}, {held}{left}")
    if running.trouble:
        yield Line("warn", "Temporal", running.trouble)
    elif running.seen and running.seen.state:
        yield Line("plain", "Temporal", f"{running.seen.state.execution} runs: {running.link}")
    else:
        yield Line("plain", "Temporal", "nothing runs")


def _coming(found: Situation, doubt: Request) -> str:
    """That it may still take effect, and what ends the doubt."""
    spec = found.specs.get(doubt.want.resource)
    by_a_word = (
        f'once you know that it cannot: `tideover settle {found.runbook.runbook} {doubt.want.resource} --reason "..."`'
    )
    return f"may still take effect; {beyond_a_word(doubt, spec.late_effect if spec else None) or by_a_word}"


def _writers(found: Situation) -> list[str]:
    components = found.runbook.components.items()
    return [name for name, component in components if TYPES[component.type].writers == "one"]


def _title(found: Situation) -> str:
    objectives = found.runbook.objectives
    rto = f"RTO {show(objectives.rto)}, " if objectives.rto is not None else ""
    return f"{found.runbook.failover}   {rto}RPO {show(objectives.rpo)}"


def _print(console: Console, found: Situation, running: Running) -> None:
    marks = {"ok": "[green]✔[/]", "warn": "[yellow]![/]", "bad": "[bold red]✘[/]", "plain": " "}
    console.print(f"[bold]{found.runbook.runbook}[/]   [dim]{escape(_title(found))}[/]\n")
    table = Table.grid(padding=(0, 1))
    for column in ("mark", "name"):
        table.add_column(column, no_wrap=True)
    table.add_column("text", overflow="fold")
    for line in lines(found, running):
        text = f"[bold red]{escape(line.text)}[/]" if line.mark == "bad" else escape(line.text)
        table.add_row(marks[line.mark], f"[bold]{escape(line.name)}[/]", text)
    console.print(table)
    possible = commands(found, running)
    console.print("\n[bold]You can[/]" if possible else "\n[bold]Nothing can be started now:[/]")
    for command, meaning in possible:
        console.print(f"  [cyan]{escape(command)}[/]   [dim]{escape(meaning)}[/]", soft_wrap=True)
    for move in () if possible else found.moves:
        more = f" (and {len(move.blocked) - 1} more)" if len(move.blocked) > 1 else ""
        console.print(f"  [dim]{move.mode} to {move.to}:[/] {escape(move.blocked[0])}{more}", soft_wrap=True)
    console.print()


def _print_markdown(found: Situation, running: Running) -> None:
    told = [f"### {found.runbook.runbook}", "", "| | | |", "|---|---|---|"]
    told += [f"| {line.mark} | {line.name} | {line.text} |" for line in lines(found, running)]
    told += ["", "**What you can do now**", ""]
    told += [f"- `{command}` {meaning}" for command, meaning in commands(found, running)]
    data("\n".join(told))


def _as_json(found: Situation, running: Running) -> dict[str, object]:
    return {
        "runbook": found.runbook.runbook,
        "primaries": {name: found.primaries(name) for name in _writers(found)},
        "readings": {name: reading.model_dump(mode="json") for name, reading in found.readings.items()},
        "errors": {name: error.model_dump(mode="json") for name, error in found.errors.items()},
        "ledger": found.record.model_dump(mode="json") if found.record else None,
        "temporal": {"running": bool(running.link), "link": running.link, "trouble": running.trouble},
        "moves": [{"mode": m.mode, "to": m.to, "blocked": list(m.blocked)} for m in found.moves],
        "commands": [command for command, _ in commands(found, running)],
    }
