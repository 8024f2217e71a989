"""`demo`: a real failover on this machine, there and back, told as it happens."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from orchestrator.app.cli import what_next
from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.app.cli.following import Conclusion, follow
from orchestrator.app.cli.reporting import written
from orchestrator.app.cli.terminal import err, out
from orchestrator.app.demo.cluster import PORT
from orchestrator.app.demo.verdict import Verdict
from orchestrator.app.demo.world import DIRECTORY, SITES, DemoWorld
from orchestrator.app.executions import Executions, Handle
from orchestrator.app.journals import make_journal, open_journal
from orchestrator.app.settings import Settings, load
from orchestrator.app.temporal_binary import ServerBinary, find_binary
from orchestrator.app.temporal_server import EmbeddedServer, ServerOptions, start_embedded
from orchestrator.app.worker import Composition, build_worker
from orchestrator.domain.admission import loss_to_accept
from orchestrator.domain.durations import show
from orchestrator.runtime import archive
from workflows import search_attributes
from workflows.messages import FailoverRequest, SiteRequest, Snapshot
from workflows.plugin import TASK_QUEUE

GROUP = "demo"
CALM = 1.0
"""Seconds of undisturbed commits before and after each act."""


def demo(
    *,
    keep: bool = False,
    directory: Annotated[Path, Parameter(name="--dir")] = DIRECTORY,
    port: int = PORT,
    ui_port: int | None = None,
) -> ExitCode:
    """A real failover on this machine: kill -9 the primary, fail over, rebuild it, move back.

    Parameters
    ----------
    keep
        Leave everything running afterwards, to start the next one by hand.
    directory
        Where the demo's databases live; removed afterwards.
    port
        The databases' port, where it is free.
    ui_port
        The port of the Temporal UI; a free one where it is not given.
    """
    console = err()
    console.print("[bold]Tideover demo[/]: a real failover on this machine, there and back.")
    console.print("[dim]It approves each execution by itself, as `demo`; in real life a person does.[/]\n")
    binary = find_binary(_step)
    with DemoWorld(directory, _step, port) as world:
        os.environ.update(world.environment)  # where this process, which is the worker, finds Route 53
        _log_to(world.directory / "worker.log")
        settings = _settings(world)

        try:
            return asyncio.run(_told(world, binary, settings, ui_port, keep=keep))
        except KeyboardInterrupt:  # what the demo started ends with the block
            err().print("\n[bold]interrupted[/]: all that the demo started has ended")
            return ExitCode.ABORTED


async def _told(
    world: DemoWorld, binary: ServerBinary, settings: Settings, ui_port: int | None, *, keep: bool
) -> ExitCode:
    """The story told on a server and a worker of its own; with `keep` they stay until Ctrl-C."""
    options = ServerOptions(ui_port=ui_port, search_attributes=search_attributes.ALL)
    async with start_embedded(binary, options) as server:
        client, worker = await build_worker(Composition.of(settings), server.address)
        async with worker:
            _step(f"Temporal answers; its UI is at {server.ui}")
            told = Story(world, Executions(client, server.ui), settings)
            code = await told.tell()
            if keep:
                await told.ready_again()
                await _kept(world, server, settings)
            return code


@dataclass
class Story:
    """The three acts, and what the writer saw of each. `ended`: the executions so far."""

    world: DemoWorld
    executions: Executions
    settings: Settings
    ended: list[Conclusion] = field(default_factory=list)
    seen: list[Verdict] = field(default_factory=list)

    async def tell(self) -> ExitCode:
        """Failover, reprotect, failback; then everything on one page."""
        home, away = SITES
        await self._failover(away)
        await self._act(
            f"2  {home} becomes a standby of {away} again",
            "Reprotect",
            SiteRequest(runbook=GROUP, at=home, by="demo", reason="the old primary is to be a standby"),
        )
        await self._failback(home)
        return self._summary()

    async def ready_again(self) -> None:
        """The other site is a standby again, so that the next failover can be started by hand."""
        home, away = SITES
        request = SiteRequest(runbook=GROUP, at=away, by="demo", reason="ready for the next one")
        await self._act(f"4  {away} becomes a standby of {home}, ready for the next one", "Reprotect", request)

    async def _failover(self, to: str) -> None:
        _act_title("1  The primary is lost")
        since = time.time()
        await asyncio.sleep(CALM)
        killed = await asyncio.to_thread(self.world.kill_primary)
        _tell(f"every process of {killed} was killed with SIGKILL, and its port is closed")
        request = FailoverRequest(runbook=GROUP, to=to, mode="forced", by="demo", reason="the primary was killed")
        await self._act("", "Failover", request)
        await self._judge(since)

    async def _failback(self, to: str) -> None:
        since = time.time()
        await asyncio.sleep(CALM)
        request = FailoverRequest(runbook=GROUP, to=to, mode="planned", by="demo", reason="back home")
        await self._act(f"3  Back to {to}, planned", "Failover", request)
        await self._judge(since)

    async def _act(self, title: str, workflow: str, request: FailoverRequest | SiteRequest) -> None:
        if title:
            _act_title(title)
        handle = await self.executions.start(workflow, request)
        ended = await follow(self.executions, handle, self.settings, _Approves())
        self.ended.append(ended)
        if ended.result.end != "SUCCEEDED":
            raise Stopped(ended.code, f"{ended.result.end}: {ended.result.why}; see {ended.link}")

    async def _judge(self, since: float) -> None:
        """Once the writer is served again, what it saw."""
        await asyncio.to_thread(self.world.wait_for_ack, time.time())
        await asyncio.sleep(CALM)
        verdict = await asyncio.to_thread(self.world.verdict, since)
        self.seen.append(verdict)
        lost = f"[bold red]{verdict.lost} lost[/]" if verdict.lost else "[bold green]none lost[/]"
        err().print(
            f"  [bold]The writer saw[/] an outage of [bold]{verdict.outage:.2f} s[/]; "
            f"{verdict.acknowledged} commits acknowledged, {lost}"
        )

    def _summary(self) -> ExitCode:
        console = out()
        journal = open_journal(self.settings)
        forced, planned = self.seen
        rpo = archive.find(journal, self.ended[0].result.report).plan.objectives.rpo
        err().print()
        console.rule("[bold]What the writer saw[/]", align="left", style="dim")
        for name, verdict in (("failover (kill -9)", forced), ("failback (planned)", planned)):
            console.print(
                f"  {name:20} outage [bold]{verdict.outage:5.2f} s[/]   {verdict.acknowledged:5} commits acknowledged"
                f"   [bold]{verdict.lost}[/] lost"
            )
        within = forced.lost_seconds <= rpo and planned.lost == 0
        console.print("  [dim]The client honours the name's TTL of 1 s: that is part of each outage.[/]")
        console.print(f"  objective            RPO {show(rpo)}: [bold]{'met' if within else 'MISSED'}[/]\n")
        for ended in self.ended:
            page = written(archive.find(journal, ended.result.report), self.settings.reports, authenticated=True)
            console.print(f"  {ended.result.report:8} report  {page}", soft_wrap=True)
            console.print(f"  {'':8} UI      {ended.link}", soft_wrap=True, style="dim")
        return ExitCode.DONE if within else ExitCode.OBJECTIVE_MISSED


@dataclass
class _Approves:
    """The demo approves itself, as `demo`; it says so in the table of steps."""

    asks: bool = field(default=False, init=False)

    async def answer(self, executions: Executions, handle: Handle, seen: Snapshot) -> None:
        """Approved, with the loss that the checks have shown."""
        if seen.plan and seen.state:
            accepted = loss_to_accept(seen.plan, seen.state)
            await executions.say(handle, what_next.approve("demo", seen.plan, accepted))


def _log_to(file: Path) -> None:
    """What Temporal's SDK says stands in `file`, and not between the lines of the story."""
    logging.basicConfig(filename=file, level=logging.WARNING)
    forwarded = LogForwardingConfig(logger=logging.getLogger("temporalio.core"))
    config = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarded)
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=config)))


def _settings(world: DemoWorld) -> Settings:
    """Settings of the demo's own; its reports stay where the user's are."""
    journal = world.directory / "journal.db"
    for leftover in world.directory.glob("journal.db*"):
        leftover.unlink()
    settings = Settings(
        runbooks=[world.directory], journal=str(journal), credentials=world.credentials, reports=load().reports
    )
    make_journal(settings)
    return settings


async def _kept(world: DemoWorld, server: EmbeddedServer, settings: Settings) -> None:
    """Everything stays until Ctrl-C; how to start the next one by hand is on the screen."""
    console = out()
    variables = {
        **world.environment,
        "TEMPORAL_ADDRESS": server.address,
        "TIDEOVER_RUNBOOKS": json.dumps([str(world.directory)]),
        "TIDEOVER_JOURNAL": settings.journal,
        "TIDEOVER_CREDENTIALS": str(settings.credentials),
        "TIDEOVER_UI": server.ui,
    }
    file = world.directory / "environment"
    own_command = f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n'
    file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()) + own_command)
    request = {"runbook": GROUP, "to": SITES[1], "mode": "forced", "reason": "tried by hand", "by": "me"}
    console.rule("[bold]Start the next one yourself[/]", align="left", style="dim")
    for name, value in (
        ("UI", f"{server.ui}/namespaces/{server.namespace}/workflows/start-workflow"),
        ("Workflow ID", f"failover/{GROUP}"),
        ("Task Queue", TASK_QUEUE),
        ("Workflow Type", "Failover"),
        ("Input (JSON)", json.dumps(request)),
        ("or in a shell", f". {shlex.quote(str(file))}; tideover status {GROUP}"),
    ):
        console.print(f"  [dim]{name:14}[/] {escape(value)}", soft_wrap=True)
    console.print("\n  Everything runs until you press Ctrl-C.")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _act_title(text: str) -> None:
    console = err()
    console.print()
    console.rule(f"[bold]{text}[/]", align="left", style="dim")


def _step(line: str) -> None:
    err().print(f"  [green]✔[/] {escape(line)}", soft_wrap=True)


_tell: Callable[[str], None] = _step
