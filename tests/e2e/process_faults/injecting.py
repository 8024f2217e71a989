"""The faults themselves: each strikes when a worker stands at its stop, proves that it holds, and is recovered from."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.domain.plan import Plan
from tests.e2e.lab.between_writes import send_between_writes
from tests.e2e.lab.faults import Fault, Faults
from tests.e2e.lab.network import LabBroken
from tests.e2e.lab.probing import refuses
from tests.e2e.lab.world import HOSTS, Lab
from tests.e2e.operating import Operation, Worker
from tests.e2e.process_faults.operator import PATIENCE, Operator
from tests.e2e.process_faults.schedule import UNDO, Injection
from tests.e2e.process_faults.stops import Stop, Stops
from tests.processes import stands_still
from tests.workflows.durable_server import DurableServer

CUT_SECONDS = 3.0
"""How long a provider cannot be reached."""


@dataclass
class ControlPlane:
    """Temporal with its database, and the workers: all that is killed, frozen and started again here."""

    operation: Operation
    server: DurableServer
    database: Path
    running: ExitStack
    workers: list[Worker] = field(default_factory=list)

    def start_worker(self) -> Worker:
        """One more worker runs, or soon will."""
        worker = self.running.enter_context(self.operation.worker(f"worker-{len(self.workers)}"))
        self.workers.append(worker)
        return worker

    def worker(self, pid: int) -> Worker | None:
        """The worker of this process, where it lives and moves."""
        found = [worker for worker in self.workers if worker.pid == pid and worker.alive and not stands_still(pid)]
        return found[0] if found else None

    async def start_server(self) -> None:
        """The server answers, on what its database holds."""
        self.running.enter_context(self.server.running())
        await self.server.answers()

    def kill_server(self) -> None:
        """The server is gone, without a last word: nobody listens at its address."""
        self.server.kill()
        if not refuses("127.0.0.1", self.server.port):
            raise LabBroken("the Temporal server still listens")

    def lose_database(self) -> None:
        """What the server kept is gone."""
        for part in self.database.parent.glob(f"{self.database.name}*"):
            part.unlink()


@dataclass
class Injecting:
    """The faults of one execution. `struck`: those whose moment came; `overtaken`: those whose worker was already hit
    by another."""

    lab: Lab
    control: ControlPlane
    operator: Operator
    stops: Stops
    plan: Plan
    struck: list[Injection] = field(default_factory=list)
    overtaken: list[Injection] = field(default_factory=list)
    _server: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def inject(self, injection: Injection, stop: Stop) -> None:
        """The fault has struck and was recovered from, or its moment did not come."""
        await self._until(
            lambda: self.operator.ended or stop.reached_by() is not None, f"a worker comes to {injection}"
        )
        if (pid := stop.reached_by()) is None:
            return
        worker = self.control.worker(pid)
        if worker is None:
            self.overtaken.append(injection)
            return
        self.struck.append(injection)
        match injection.fault:
            case "worker-killed":
                worker.kill()
                self.control.start_worker()
            case "worker-frozen":
                await self._freeze(worker, injection, stop)
            case "server-killed":
                await self._kill_server(stop)
            case "provider-cut":
                await self._cut(injection, stop)
            case "database-lost":
                await self._lose_database(worker, stop)

    async def _freeze(self, worker: Worker, injection: Injection, stop: Stop) -> None:
        """It goes on, in the middle of what it did, when another worker has done its work."""
        await self._until(lambda: self._stopped(worker), "the worker stands still, and holds up nobody else")
        self.control.start_worker()
        await self._until(lambda: self.operator.has_passed(injection.step), f"{injection.step} is done by another")
        if not worker.alive:  # another fault has killed it before
            return
        if not stands_still(worker.pid):
            raise LabBroken("the worker did not stand still all along")
        worker.thaw()
        stop.go()
        await self._through(worker, stop)

    def _stopped(self, worker: Worker) -> bool:
        """Stopped, and not while another thread of it wrote the journal: on SQLite that stops every worker there is."""
        journal = self.control.operation.environment["TIDEOVER_JOURNAL"]
        with suppress(sqlite3.OperationalError):
            send_between_writes(journal, worker.pid, signal.SIGSTOP, patience=0.5)
        return stands_still(worker.pid)

    async def _kill_server(self, stop: Stop) -> None:
        """The worker goes on while nobody can be told."""
        async with self._server:
            self.control.kill_server()
            stop.go()
            await self._came(lambda: stop.left, CUT_SECONDS)
            await self.control.start_server()

    async def _lose_database(self, worker: Worker, stop: Stop) -> None:
        """The worker goes on with what it did for an execution that is forgotten, when a new one holds the group."""
        async with self._server:
            self.control.kill_server()
            self.control.lose_database()
            await self.control.start_server()
            await self.operator.begin_anew()
        await self._until(lambda: self.operator.has_claimed, "the new execution claims the group")
        stop.go()
        await self._through(worker, stop)

    async def _cut(self, injection: Injection, stop: Stop) -> None:
        """The provider cannot be reached; where a request is about to be sent, it arrives, and its answer is lost."""
        fault = self._cut_off(injection)
        stop.go()
        await self._came(lambda: stop.left and injection.moment != "ended", CUT_SECONDS)
        fault.heal()

    def _cut_off(self, injection: Injection) -> Fault:
        faults, answers_only = Faults(self.lab), injection.moment in ("guarded", "guarded-again")
        step = self.plan.step(injection.step.removesuffix(UNDO))
        spec = self.plan.resources[step.wants[-1].resource if step.wants else step.looks_at[0]]
        host = next(name for name, (site, _) in HOSTS.items() if site == (spec.site or self.plan.target))
        if spec.type.startswith("fence_agents."):
            return faults.cut_from_worker(f"bmc-{host}", answers_only=answers_only)
        return faults.cut_from_worker("ns1" if spec.type.startswith("rfc2136.") else host, answers_only=answers_only)

    async def _through(self, worker: Worker, stop: Stop) -> None:
        """The worker has come to the end of its step, or another fault has killed it on the way."""
        await self._until(lambda: stop.left or not worker.alive, "the worker comes to the end of its step")

    async def _came(self, holds: Callable[[], bool], seconds: float) -> bool:
        """True as soon as it holds; False where the time is over before it did."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not holds():
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        if not await self._came(holds, PATIENCE):
            raise LabBroken(f"not within {PATIENCE:g} s: {what}")
