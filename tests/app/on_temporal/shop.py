"""A group on a real Temporal server, with a worker of its own, and the command line beside it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.worker import build_worker
from orchestrator.domain.derivation import derive
from orchestrator.domain.plan import PlanMode
from tests.workflows.toy.provider import CATALOG
from tests.workflows.toy.worker import composition
from tests.workflows.toy.world import World
from workflows.plugin import TASK_QUEUE


@dataclass
class Shop:
    """A group, its worker, and what the command line said last."""

    group: str
    directory: Path
    world: World
    captured: pytest.CaptureFixture[str]
    journal: str
    address: str
    out: str = ""
    err: str = ""

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker in a thread, since the command line runs a loop of its own."""
        loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

        async def work() -> None:
            _, worker = await build_worker(composition(self.directory, self.journal), self.address, TASK_QUEUE)
            async with worker:
                ready.set()
                await stop.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(work(),))
        thread.start()
        assert ready.wait(60)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(60)
            loop.close()

    def tideover(self, *arguments: str) -> ExitCode:
        """The exit code of the command; `out` and `err` hold what it printed."""
        code = run(arguments)
        self.out, self.err = self.captured.readouterr()
        return code

    def hash(self, to: str, mode: PlanMode) -> str:
        """The hash of the plan, as `tideover plan` would show it."""
        made = composition(self.directory, self.journal)
        return derive(made.library.runbook(self.group), CATALOG, to, mode, made.journal.id).hash

    def begun(self) -> None:
        """A forced failover waits for its approval."""
        assert self.tideover("run", self.group, "--to", "az-b", "--mode", "forced", "--detach") is ExitCode.DETACHED
        deadline = time.monotonic() + 60
        while "`plan` is '0'" not in self.err:  # what it says once its checks are done
            assert time.monotonic() < deadline, self.err
            arguments = ("approve", self.group, "--to", "az-b", "--plan", "0")
            assert self.tideover(*arguments) is ExitCode.NOT_APPROVED
