"""How soon an execution goes on when its worker is killed or frozen in the middle of a step.

Real `tideover worker` processes on the embedded Temporal server, two at a time; the one whose step is under way gets
SIGKILL or SIGSTOP, and the clock runs until the start of the next step, as the history tells. The floor is a bare
workflow of two activities under the same time-outs, hit in the same round: what Temporal itself takes to notice.
Prints median, least and greatest of ten; the aims are medians of at most 7 s (killed) and 12 s (frozen).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from orchestrator.app.connection import KEEP_ALIVE, connect
from orchestrator.app.executions import TASK_TIMEOUT, Executions
from orchestrator.app.temporal_binary import find_binary
from orchestrator.app.temporal_server import EmbeddedServer, ServerOptions, start_embedded
from orchestrator.app.worker import STICKY_TIMEOUT
from orchestrator.domain.commands import Approve
from orchestrator.runtime.journal import SqliteJournal
from workflows import search_attributes
from workflows.activities import HEARTBEAT
from workflows.messages import FailoverRequest
from workflows.performing import HEARTBEAT_TIMEOUT

ROUNDS = 10
AIMS = {signal.SIGKILL: 7.0, signal.SIGSTOP: 12.0}
BARE_QUEUE = "bare"
PATIENCE = 120.0
THIS = str(Path(__file__).absolute())

OBSERVE = """#!/bin/sh
cat holder
"""
APPLY = """#!/bin/sh
read question
if [ -e hold ]; then rm hold; echo $PPID > held; exec sleep 600; fi
echo "$question" | sed 's/, "before".*/}/' > holder
"""


@dataclass
class Workers:
    """Two worker processes at any time, each of which has said that it polls."""

    name: str
    argv: list[str]
    directory: Path
    environment: dict[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: int = 0

    def complete(self) -> None:
        """Two run: one for each that was lost has been started."""
        self.running = [process for process in self.running if process.poll() is None]
        while len(self.running) < 2:
            self.started += 1
            log = self.directory / f"{self.name}-{self.started}.log"
            with log.open("wb") as out:
                process = subprocess.Popen(self.argv, stdout=out, stderr=out, env=self.environment, cwd=self.directory)
            self.running.append(process)
            wait_for(lambda log=log: "polls" in log.read_text(), f"a worker of {self.name}, see {log}")  # type: ignore[misc]

    def hit(self, pid: int, how: signal.Signals) -> float:
        """When the process was killed or frozen; it is one of ours."""
        struck = next(process for process in self.running if process.pid == pid)
        struck.send_signal(how)
        return time.time()

    def end(self, *pids: int) -> None:
        """These processes are gone; all of them where none is named."""
        for process in self.running:
            if not pids or process.pid in pids:
                process.kill()
                process.wait()


def wait_for(holds: Callable[[], object], what: str) -> None:
    """It has come true."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not in {PATIENCE:g} s: {what}"  # noqa: S101
        time.sleep(0.01)


async def begun(handle: WorkflowHandle[object, object], activity_input: bytes, after: float) -> float:
    """When the first activity with this in its type or input was started after that time."""
    while True:
        scheduled: set[int] = set()
        async for event in handle.fetch_history_events():
            asked = event.activity_task_scheduled_event_attributes
            if activity_input in asked.SerializeToString():
                scheduled.add(event.event_id)
            at = event.event_time.ToDatetime(UTC).timestamp()
            if event.activity_task_started_event_attributes.scheduled_event_id in scheduled and at > after:
                return at
        await asyncio.sleep(0.2)


# through Tideover


@dataclass
class Chain:
    """Two things of which the second needs the first; the first holds up whoever changes it while `hold` is there."""

    directory: Path
    executions: Executions
    workers: Workers

    @classmethod
    async def build(cls, directory: Path, server: EmbeddedServer) -> Chain:
        """Its runbook and journal are there."""
        components = {name: cls._component(directory / name) for name in ("first", "second")}
        components["second"]["needs"] = ["first"]
        runbook = {
            "runbook": "chain", "sites": {"a": {"provider": "on-prem"}, "b": {"provider": "on-prem"}},
            "failover": "a -> b", "components": components,
        }  # fmt: skip
        (directory / "chain.yaml").write_text(json.dumps(runbook))
        SqliteJournal.create(directory / "journal.db")
        environment = {
            **os.environ, "TEMPORAL_ADDRESS": server.address, "TIDEOVER_JOURNAL": str(directory / "journal.db"),
            "TIDEOVER_RUNBOOKS": json.dumps([str(directory)]),
        }  # fmt: skip
        argv = [sys.executable, "-m", "orchestrator.app.cli", "worker"]
        executions = Executions(await connect(address=server.address), server.ui)
        return cls(directory, executions, Workers("tideover", argv, directory, environment))

    @staticmethod
    def _component(place: Path) -> dict[str, object]:
        place.mkdir()
        for name, text in (("observe", OBSERVE), ("apply", APPLY)):
            (place / name).write_text(text)
            (place / name).chmod(0o755)
        return {
            "type": "command", "observe": [str(place / "observe")], "apply": [str(place / "apply")],
            "directory": str(place),
        }  # fmt: skip

    async def lost(self, how: signal.Signals) -> float:
        """Seconds from the loss of the worker that changes the first thing to the start of the step for the second."""
        held = self.directory / "first" / "held"
        held.unlink(missing_ok=True)
        for name in ("first", "second"):
            (self.directory / name / "holder").write_text('{"holder": "a"}')
        (self.directory / "first" / "hold").touch()
        await asyncio.to_thread(self.workers.complete)
        request = FailoverRequest(runbook="chain", to="b", mode="planned", by="bench")
        handle = await self.executions.start("Failover", request)
        while True:
            seen = (await self.executions.look(handle)).snapshot
            if seen and seen.plan and "approve" in seen.may:
                break
            await asyncio.sleep(0.05)
        await self.executions.say(handle, Approve(by="bench", to="b", plan=seen.plan.hash))
        await asyncio.to_thread(wait_for, lambda: held.exists() and held.read_text(), "the first step is under way")
        pid = int(held.read_text())
        since = self.workers.hit(pid, how)
        started = await begun(handle, b'"second.switch"', since)
        result = await handle.result()
        assert result.end == "SUCCEEDED", result  # noqa: S101
        self.workers.end(pid)
        return started - since


# the floor


@activity.defn
async def hold(place: str) -> None:
    """Heartbeats, and does not end while there is something to hold it up."""
    if not _held_up(Path(place)):
        return
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT)


def _held_up(place: Path) -> bool:
    """True once while there is something to hold it up; who is held up stands in `held`."""
    found = (place / "hold").exists()
    if found:
        (place / "hold").unlink()
        (place / "held").write_text(str(os.getpid()))
    return found


@activity.defn
async def follow() -> None:
    """Does nothing."""


@workflow.defn
class Bare:
    """Two activities, the first again where its worker was lost."""

    @workflow.run
    async def run(self, place: str) -> None:
        """Run them."""
        once = RetryPolicy(maximum_attempts=1)
        limits = {"start_to_close_timeout": timedelta(seconds=90), "heartbeat_timeout": HEARTBEAT_TIMEOUT}
        try:
            await workflow.execute_activity(hold, place, retry_policy=once, **limits)  # type: ignore[arg-type]
        except ActivityError:
            await workflow.execute_activity(hold, place, retry_policy=once, **limits)  # type: ignore[arg-type]
        await workflow.execute_activity(follow, start_to_close_timeout=timedelta(seconds=10))


async def serve_bare(address: str) -> None:
    """A worker for the floor, under the settings of ours."""
    client = await Client.connect(address, keep_alive_config=KEEP_ALIVE)
    worker = Worker(
        client, task_queue=BARE_QUEUE, workflows=[Bare], activities=[hold, follow],
        workflow_runner=UnsandboxedWorkflowRunner(), sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT),
    )  # fmt: skip
    async with worker:
        print("polls", flush=True)
        await asyncio.Event().wait()


@dataclass
class Floor:
    """The same without Tideover."""

    directory: Path
    client: Client
    workers: Workers

    @classmethod
    async def build(cls, directory: Path, server: EmbeddedServer) -> Floor:
        """Its client is connected."""
        argv = [sys.executable, THIS, "bare", server.address]
        client = await Client.connect(server.address)
        return cls(directory, client, Workers("bare", argv, directory, dict(os.environ)))

    async def lost(self, how: signal.Signals) -> float:
        """Seconds from the loss of the first activity's worker to the start of the second."""
        held = self.directory / "held"
        held.unlink(missing_ok=True)
        (self.directory / "hold").touch()
        await asyncio.to_thread(self.workers.complete)
        handle = await self.client.start_workflow(
            Bare.run, str(self.directory), id="bare", task_queue=BARE_QUEUE, task_timeout=TASK_TIMEOUT
        )
        await asyncio.to_thread(wait_for, lambda: held.exists() and held.read_text(), "the activity is under way")
        pid = int(held.read_text())
        since = self.workers.hit(pid, how)
        started = await begun(handle, b"follow", since)
        await handle.result()
        self.workers.end(pid)
        return started - since


async def main(directory: Path, stack: ExitStack) -> None:
    """Print what both took, for each kind of loss."""
    binary = find_binary(lambda line: print(line, file=sys.stderr))
    async with start_embedded(binary, ServerOptions(search_attributes=search_attributes.ALL)) as server:
        (directory / "ours").mkdir()
        (directory / "bare").mkdir()
        chain = await Chain.build(directory / "ours", server)
        floor = await Floor.build(directory / "bare", server)
        stack.callback(chain.workers.end)
        stack.callback(floor.workers.end)
        for how, aim in AIMS.items():
            pairs = [await asyncio.gather(chain.lost(how), floor.lost(how)) for _ in range(ROUNDS)]
            ours, bare = zip(*pairs, strict=True)
            name = "killed" if how is signal.SIGKILL else "frozen"
            print(f"worker {name}   next step {told(ours)}   (aim: a median of at most {aim:g} s)")
            ratio = statistics.median(ours) / statistics.median(bare)
            print(f"worker {name}   floor     {told(bare)}   ratio {ratio:.2f}", flush=True)


def told(taken: Sequence[float]) -> str:
    """Median, least and greatest."""
    return f"{statistics.median(taken):5.2f} s   {min(taken):5.2f} to {max(taken):5.2f} s"


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        asyncio.run(serve_bare(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as found, ExitStack() as at_last:
            asyncio.run(main(Path(found), at_last))
