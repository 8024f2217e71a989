"""Tideover as it is really run on the lab: workers in processes of their own, a real Temporal server, an operator."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from temporalio.client import WorkflowHandle

from orchestrator.app.executions import CommandRefused, Executions
from orchestrator.app.journals import make_journal, open_journal
from orchestrator.app.settings import Settings
from orchestrator.domain.commands import Approve, OperatorInput
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.state import Waiting
from orchestrator.ports import Journal
from orchestrator.runtime import audit
from orchestrator.runtime.group import Group
from tests.e2e.lab import description
from tests.e2e.lab.world import Lab
from workflows.messages import FailoverRequest, Result, SiteRequest, Snapshot

T = TypeVar("T")
Handle = WorkflowHandle[Any, Any]
ROOT = Path(__file__).parents[2]

PATIENCE = 120.0
"""Seconds to wait for what should come soon: generous, since a machine may be busy."""

AT_DC, AT_CLOUD, FENCE_AT_DC = "db@dc", "db@cloud", "db@dc:fence_agents"
"""The plan's names for the two servers and for the power of the first."""


@dataclass(frozen=True)
class Worker:
    """A worker process, which can be killed or frozen."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """It is gone, without a last word."""
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL

    def thaw(self) -> None:
        """It goes on where it was."""
        self.process.send_signal(signal.SIGCONT)


@dataclass
class Operation:
    """The lab's service in the hands of Tideover and of the people who operate it."""

    lab: Lab
    address: str
    executions: Executions
    environment: dict[str, str] = field(default_factory=dict)
    started: list[Handle] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    program: tuple[str, ...] = ("orchestrator.app.cli", "worker")
    """The module that runs as a worker, and its words."""

    @property
    def group(self) -> str:
        """The name of the lab's runbook."""
        return str(description.runbook(self.lab)["runbook"])

    def describe(self, journal: str = "", **changes: Any) -> None:
        """The lab's runbook is there for workers, `changes` replacing its keys; the journal is there, too.

        `journal`: where it is, if not in a file of the lab.
        """
        self.environment = description.write(self.lab, **changes)
        self.environment["TIDEOVER_JOURNAL"] = journal or self.environment["TIDEOVER_JOURNAL"]
        make_journal(Settings(journal=self.environment["TIDEOVER_JOURNAL"]))

    @contextmanager
    def worker(self, name: str = "worker") -> Iterator[Worker]:
        """`tideover worker`, or another `program`, until the block is left."""
        log = self.lab.directory / f"{name}-process" / "log"
        log.parent.mkdir()
        self.logs.append(log)
        argv = [sys.executable, "-m", *self.program]
        environment = {**os.environ, **self.environment, "TEMPORAL_ADDRESS": self.address}
        with log.open("wb") as out:
            process = subprocess.Popen(
                argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
            )
        try:
            yield Worker(process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    # ---- what a person does

    async def failover(self, mode: str = "forced", to: str = "cloud", by: str = "ann", **more: str) -> Handle:
        """A failover, started by hand; it changes nothing until it is approved. `more`: what is said beside that."""
        return await self._started("Failover", self._request(mode=mode, to=to, by=by, **more))

    async def failover_as(self, workflow_id: str, by: str, **request: Any) -> Handle:
        """A forced failover, started past the product's own client under any ID."""
        handle: Handle = await self.executions.client.start_workflow(
            "Failover", self._request(by=by, **request), id=workflow_id, task_queue=self.executions.queue,
            result_type=Result,
        )  # fmt: skip
        self.started.append(handle)
        return handle

    def _request(self, **fields: Any) -> FailoverRequest:
        return FailoverRequest.model_validate({"runbook": self.group, "to": "cloud", "mode": "forced", **fields})

    async def reprotect(self, at: str, **more: str) -> Handle:
        """A reprotect, started by hand."""
        request = SiteRequest.model_validate({"runbook": self.group, "at": at, "by": "ann", **more})
        return await self._started("Reprotect", request)

    async def approve(self, handle: Handle, **fields: Any) -> Snapshot:
        """It is approved as soon as it asks for it; what it showed then."""
        now = await self.shown(handle, lambda now: "approve" in now.may)
        await self.say(handle, approval(now, **fields))
        return now

    async def say(self, handle: Handle, command: OperatorInput) -> None:
        """A person has said it, and it was taken."""
        await self.executions.say(handle, command)

    async def refused(self, handle: Handle, command: OperatorInput) -> str:
        """The one line by which the command is refused."""
        with pytest.raises(CommandRefused) as caught:
            await self.executions.say(handle, command)
        return str(caught.value)

    # ---- what a person sees

    async def shown(self, handle: Handle, when: Callable[[Snapshot], object]) -> Snapshot:
        """What it shows as soon as `when` holds of it; an end before that is a failure that tells why."""
        last: list[str] = ["nothing"]

        async def look() -> Snapshot | None:
            seen = await self.executions.look(handle)
            last[0] = seen.trouble
            if (now := seen.snapshot) is None:
                return None
            last[0] = told(now)
            if when(now):
                return now
            assert now.finish is None, f"it has ended: {now.finish}"
            return None

        return await until(look, lambda: last[0])

    async def waiting(self, handle: Handle) -> Waiting:
        """The question on which it waits for a human."""
        now = await self.shown(handle, lambda now: now.state and now.state.waiting)
        assert now.state is not None
        assert now.state.waiting is not None
        return now.state.waiting

    async def end(self, handle: Handle) -> Result:
        """How it ended."""
        await self.shown(handle, lambda now: now.finish)
        result: Result = await handle.result()
        return result

    async def succeeds(self, handle: Handle, **approval: Any) -> Snapshot:
        """It is approved and succeeds; what it showed when it was approved."""
        shown = await self.approve(handle, **approval)
        result = await self.end(handle)
        assert result.end == "SUCCEEDED", result.why
        return shown

    # ---- what is kept

    @property
    def journal(self) -> Journal:
        """The journal of the workers."""
        return open_journal(Settings(journal=self.environment["TIDEOVER_JOURNAL"]))

    @property
    def ledger(self) -> GroupRecord:
        """What the journal knows of the group."""
        return Group(self.journal, self.group).record()

    def requests(self, resource: str) -> list[str]:
        """The states that were requested of the resource, as the audit trail tells, in order."""
        effects = [entry.detail["want"] for entry in audit.entries(self.journal) if entry.what == "effect"]
        return [next(v for k, v in w["desired"].items() if k != "kind") for w in effects if w["resource"] == resource]

    async def close(self) -> None:
        """No execution runs on."""
        for handle in self.started:
            if await self.executions.is_running(handle):
                await handle.terminate("the scenario is over")

    async def _started(self, workflow: str, request: FailoverRequest | SiteRequest) -> Handle:
        handle = await self.executions.start(workflow, request)
        self.started.append(handle)
        return handle


def approval(now: Snapshot, **fields: Any) -> Approve:
    """The approval of what is shown, by the name of its target and its plan's hash.

    Of a forced failover a generous loss is accepted, unless `fields` say another: how late the proof of a fence comes
    is up to how busy this machine is.
    """
    assert now.plan is not None
    accepted = {"max_loss": "5m"} if now.plan.mode == "forced" else {}
    return Approve.model_validate({"by": "ann", "to": now.plan.target, "plan": now.plan.hash, **accepted, **fields})


def told(now: Snapshot) -> str:
    """Where an execution is, for the message of a failed test."""
    steps = {name: f"{step.status} {step.said}" for name, step in now.state.steps.items()} if now.state else {}
    return f"it shows {steps}, may {list(now.may)}, {now.finish}"


async def until(look: Callable[[], Awaitable[T | None]], told: Callable[[], str]) -> T:
    """What `look` finds at last."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                if (found := await look()) is not None:
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"it did not come about in {PATIENCE:g} s: {told()}") from None
