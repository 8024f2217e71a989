"""A stage for one test: a world, a journal, a runbook, and a queue of its own on the real Temporal server."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from orchestrator.app.worker import build_worker
from orchestrator.domain.commands import Approve, OperatorInput
from orchestrator.domain.state import End
from orchestrator.runtime import audit
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal
from tests.processes import is_frozen
from tests.workflows.toy.worker import composition
from tests.workflows.toy.world import World
from workflows.messages import FailoverRequest, Result, SiteRequest, Snapshot

Handle = WorkflowHandle[Any, Result]

PATIENCE = 90.0
"""Seconds to wait for what should come at once: generous, since a machine may be busy."""

CANARY = "canary-7f3a91c2"
"""The password in the credentials: it must be found nowhere else (I14)."""

RUNBOOK = """\
runbook: {group}
objectives: {{rto: 5m, rpo: 60s}}
sites:
  az-a: {{provider: toy}}
  az-b: {{provider: toy}}
failover: az-a -> az-b
components:
  db:
    type: postgresql
    credentials: toy-db
    at:
      az-a: {{machine: m-a}}
      az-b: {{machine: m-b}}
  address: {{type: floating-ip, needs: [db]}}
  name:
    type: dns
    needs: [db]
    server: toy
    zone: example.com
    record: db.example.com
    ttl: 30s
    at:
      az-a: {{a: 10.0.1.10}}
      az-b: {{a: 10.0.2.10}}
"""


@dataclass
class Stage:
    """Everything that a scenario needs. `group` is the runbook's name and makes the workflow's ID this test's own."""

    directory: Path
    address: str
    group: str
    client: Client
    world: World

    @property
    def queue(self) -> str:
        """The task queue of this test alone."""
        return f"tideover-{self.group}"

    @property
    def journal(self) -> SqliteJournal:
        """The real journal."""
        return SqliteJournal(self.directory / "journal.db")

    @property
    def ledger(self) -> Group:
        """The group in the journal."""
        return Group(self.journal, self.group)

    def audited(self, what: str) -> list[audit.AuditEntry]:
        """The entries of this kind in the audit trail."""
        return [entry for entry in audit.entries(self.journal) if entry.what == what]

    # Workers

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """A worker in this process."""
        _, worker = await build_worker(composition(self.directory), self.address, self.queue)
        async with worker:
            yield

    @contextmanager
    def process(self, name: str = "worker") -> Iterator[WorkerProcess]:
        """A worker in a process of its own; its log stands in `<name>.log`."""
        argv = [sys.executable, "-m", "tests.workflows.toy.worker", str(self.directory), self.address, self.queue]
        with (self.directory / f"{name}.log").open("w") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        try:
            yield WorkerProcess(process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    # What a person does

    async def failover(self, mode: str = "forced", to: str = "az-b", **options: Any) -> Handle:
        """A failover, started by hand."""
        request = FailoverRequest.model_validate({"runbook": self.group, "to": to, "mode": mode, "by": "ann"})
        return await self.start("Failover", request, **options)

    async def reprotect(self, at: str = "az-a") -> Handle:
        """A reprotect, started by hand."""
        return await self.start("Reprotect", SiteRequest(runbook=self.group, at=at, by="ann"))

    async def start(self, workflow: str, *request: Any, **options: Any) -> Handle:
        """An execution of this type; `request` as the UI would send it."""
        options = {"id": f"failover/{self.group}", "task_timeout": timedelta(seconds=2), **options}
        started = await self.client.start_workflow(workflow, args=list(request), task_queue=self.queue, **options)
        run = started.result_run_id  # an ID can have several runs, and this is about one
        return self.client.get_workflow_handle(started.id, run_id=run, result_type=Result)

    async def shown(self, handle: Handle, when: Callable[[Snapshot], object]) -> Snapshot:
        """What it shows as soon as `when` holds of it."""
        found: list[Snapshot] = []

        async def asked() -> bool:
            found.append(await handle.query("snapshot", result_type=Snapshot))
            return bool(when(found[-1]))

        await until(asked, lambda: f"it shows {_told(found[-1])}" if found else "it shows nothing")
        return found[-1]

    async def may(self, handle: Handle, command: str) -> Snapshot:
        """What it shows as soon as `command` would be taken."""
        return await self.shown(handle, lambda now: command in now.may or _ended_early(now))

    async def approved(self, handle: Handle, **fields: Any) -> Snapshot:
        """What it showed when it was approved."""
        now = await self.may(handle, "approve")
        assert now.plan is not None
        fields = {"by": "ann", "to": now.plan.target, "plan": now.plan.hash, **fields}
        await say(handle, Approve.model_validate(fields))
        return now

    async def waiting(self, handle: Handle) -> str:
        """Why it waits for a human, as soon as it does."""
        now = await self.shown(handle, lambda now: _waits(now) or _ended_early(now))
        assert now.state is not None
        assert now.state.waiting is not None
        return now.state.waiting.why

    async def failed_over(self) -> Result:
        """A forced failover to az-b, from its start to its end."""
        handle = await self.failover()
        await self.approved(handle)
        result = await handle.result()
        assert result.end == End.SUCCEEDED, result.why
        return result


@dataclass(frozen=True)
class WorkerProcess:
    """A worker that can be killed or frozen."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Its process ID, as the world notes it."""
        return self.process.pid

    def command_line(self) -> str:
        """What the process list shows of it."""
        return Path(f"/proc/{self.pid}/cmdline").read_text()

    def kill(self) -> None:
        """It is gone, without a last word."""
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL

    async def freeze(self) -> None:
        """None of its threads runs until `thaw`."""
        self.process.send_signal(signal.SIGSTOP)
        await until(lambda: is_frozen(self.pid))

    def thaw(self) -> None:
        """It goes on where it was."""
        self.process.send_signal(signal.SIGCONT)


def raw(text: str | bytes) -> RawValue:
    """What the UI sends for this text in its form."""
    data = text.encode() if isinstance(text, str) else text
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data))


async def say(handle: Handle, said: OperatorInput) -> None:
    """A person has said it and it was taken."""
    await handle.execute_update(type(said).__name__.lower(), said)


async def refused(handle: Handle, update: str, *said: Any) -> str:
    """The one line by which the update was refused."""
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update(update, args=list(said))
    return one_line(caught.value.cause)


def one_line(error: BaseException | None) -> str:
    """What a person reads of a failure: one line, and no stack trace."""
    assert isinstance(error, ApplicationError)
    assert error.failure is not None
    assert not error.failure.stack_trace
    assert not error.failure.HasField("cause")
    assert error.message.count("\n") == 0
    return error.message


async def until(holds: Callable[[], Any], told: Callable[[], str] = str) -> None:
    """`holds` has come true; it may be a coroutine function."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = holds()
                if await answer if asyncio.iscoroutine(answer) else answer:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"it did not come true in {PATIENCE:g}s: {told()}") from None


def _waits(now: Snapshot) -> bool:
    return bool(now.state and now.state.waiting)


def _ended_early(now: Snapshot) -> bool:
    assert now.finish is None, f"it has ended: {now.finish}"
    return False


def _told(now: Snapshot) -> str:
    steps = {name: f"{step.status} {step.said}" for name, step in now.state.steps.items()} if now.state else {}
    return f"{steps} may {list(now.may)} {now.finish}"
