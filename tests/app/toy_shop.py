"""A group on the toy world whose executions run without Temporal: in this process, in one of its own, at a terminal.

A test module takes it in with `pytest_plugins` and uses the fixture `shop`.
"""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app.break_glass.opening import Order
from orchestrator.app.cli.breaking_glass import broken_glass
from orchestrator.app.cli.exits import ExitCode
from orchestrator.domain.derivation import derive
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.plan import Plan, PlanMode
from orchestrator.domain.record import ExecutionRecord
from orchestrator.runtime import archive, audit
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal
from tests.processes import is_frozen
from tests.workflows.stage import RUNBOOK
from tests.workflows.toy.provider import CATALOG
from tests.workflows.toy.worker import composition
from tests.workflows.toy.world import VARIABLE, World

GROUP = "shop"
PATIENCE = 60.0
Move = tuple[PlanMode, str]
FORCED: Move = ("forced", "az-b")


@dataclass
class Shop:
    """A group, its world and its journal. No Temporal answers anywhere near."""

    directory: Path
    world: World

    @property
    def journal(self) -> SqliteJournal:
        return SqliteJournal(self.directory / "journal.db")

    @property
    def ledger(self) -> GroupRecord:
        return Group(self.journal, GROUP).record()

    @property
    def plan(self) -> Plan:
        return self.planned(FORCED)

    def planned(self, move: Move) -> Plan:
        runbook = composition(self.directory).library.runbook(GROUP)
        mode, to = move
        return derive(runbook, CATALOG, to, mode, self.journal.id)

    @property
    def record(self) -> ExecutionRecord:
        return archive.find(self.journal, GROUP)

    def failover(self, approve: str | None = None, **more: str) -> ExitCode:
        """A forced failover in this process, approved by its hash."""
        order = Order(GROUP, "az-b", "forced", "ann", "INC-42", **more)
        return broken_glass(composition(self.directory).actor, order, approve or self.plan.hash)

    @contextmanager
    def process(self, approve: str | None = None, move: Move = FORCED) -> Iterator[subprocess.Popen[str]]:
        """The same in a process of its own; what it says stands in `said`. Nobody can type there."""
        with self._typed(subprocess.DEVNULL, approve, move) as process:
            yield process

    def freeze(self, process: subprocess.Popen[str]) -> None:
        """None of its threads runs, and it was not looking at the world just then."""
        with self.world.left_alone():
            process.send_signal(signal.SIGSTOP)
            until(lambda: is_frozen(process.pid), lambda: f"{process.pid} runs")

    @contextmanager
    def at_a_terminal(self, *more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
        """The same with a terminal that can be typed at. `more`: the plan's hash, or nothing, and the loss accepted."""
        ours, theirs = pty.openpty()
        try:
            with self._typed(theirs, None, FORCED, *more) as process:
                yield process, ours
        finally:
            os.close(ours)
            os.close(theirs)

    @contextmanager
    def _typed(self, stdin: int, approve: str | None, move: Move, *more: str) -> Iterator[subprocess.Popen[str]]:
        argv = [sys.executable, "-m", "tests.app.break_glass_process", str(self.directory), GROUP, *move]
        argv += [approve] if approve else more
        with (self.directory / "said").open("a") as said:
            process = subprocess.Popen(
                argv, stdin=stdin, stdout=said, stderr=said, text=True, cwd=Path(__file__).parents[2]
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    def ended(self, process: subprocess.Popen[str]) -> int:
        """The exit code of the process, which ends by itself."""
        until(lambda: process.poll() is not None, self.said)
        return process.wait()

    def killed_at(self, resource: str, point: str, move: Move = FORCED) -> str:
        """A process was killed with SIGKILL when it had come to this point; the execution that it left behind."""
        self.world.break_(resource, point, "hang")
        already = len(self.world.reached(resource, point))
        with self.process(self.planned(move).hash, move) as process:
            until(lambda: len(self.world.reached(resource, point)) > already, self.said)
            process.kill()
            assert process.wait() == -signal.SIGKILL
        self.world.mend()
        holder = self.ledger.execution
        assert holder is not None  # the control: it did not end by itself
        return holder.id

    def said(self) -> str:
        return (self.directory / "said").read_text()

    def audited(self, what: str) -> list[audit.AuditEntry]:
        return [entry for entry in audit.entries(self.journal) if entry.what == what]


def until(holds: Callable[[], Any], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    world = World.create(tmp_path / "world.db")
    SqliteJournal.create(tmp_path / "journal.db")
    (tmp_path / f"{GROUP}.yaml").write_text(RUNBOOK.format(group=GROUP))
    (tmp_path / "credentials.toml").write_text('[toy-db]\npassword = "secret"\n')
    settings = {
        VARIABLE: str(world.path), "TEMPORAL_ADDRESS": "127.0.0.1:1", "TIDEOVER_JOURNAL": str(tmp_path / "journal.db"),
        "TIDEOVER_REPORTS": str(tmp_path / "reports"),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return Shop(tmp_path, world)
