"""`tideover worker` that is started before its Temporal server, as after a reboot of the host they share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.temporal_binary import ServerBinary
from tests.workflows.durable_server import DurableServer
from tests.workflows.stage import until

POLLS = "a worker polls 'tideover'"
AWAY = "Connection refused; start one with `tideover worker --embedded`"


class Started:
    """A worker's process, and what it has said."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log = process, log

    async def says(self, words: str) -> str:
        """All that it has said, once these words are in it."""
        await until(lambda: words in self._log.read_text(), self._log.read_text)
        return self._log.read_text()

    def ends(self, number: signal.Signals) -> int:
        """The exit code after the signal."""
        self._process.send_signal(number)
        return self._process.wait(30)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which `tideover init` was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert run(["init"]) is ExitCode.DONE
    return tmp_path


@contextmanager
def _worker(place: Path, address: str, namespace: str = "default") -> Iterator[Started]:
    argv = [sys.executable, "-m", "orchestrator.app.cli", "worker"]
    environment = {**os.environ, "TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": namespace}
    log = place / "worker.log"
    with log.open("wb") as out:
        process = subprocess.Popen(argv, cwd=place, stdout=out, stderr=out, env=environment)
    try:
        yield Started(process, log)
    finally:
        process.kill()
        process.wait()


async def test_it_waits_for_its_server_and_says_so_once(place: Path, temporal_binary: ServerBinary) -> None:
    server = DurableServer(temporal_binary, place / "temporal.db")
    with _worker(place, server.address) as worker:
        await worker.says(f"no Temporal server answers at {server.address}: {AWAY}")
        with server.running():
            said = await worker.says(POLLS)
            assert said.count(AWAY) == 1
            assert worker.ends(signal.SIGTERM) == ExitCode.DONE


async def test_a_namespace_that_is_not_there_is_waited_for_and_is_no_fault_of_ours(
    place: Path, temporal_binary: ServerBinary
) -> None:
    server = DurableServer(temporal_binary, place / "temporal.db")
    with server.running():
        await server.answers()
        with _worker(place, server.address, namespace="nowhere") as worker:
            said = await worker.says("trying again")
            assert "Temporal does not answer: Namespace nowhere is not found; check it with `tideover doctor`" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_while_it_waits_it_can_be_ended(place: Path, number: signal.Signals) -> None:
    with _worker(place, "127.0.0.1:1") as worker:
        await worker.says(AWAY)
        assert worker.ends(number) == ExitCode.DONE


@pytest.mark.usefixtures("place")
def test_an_address_that_cannot_be_one_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "bad address")
    assert run(["worker"]) is ExitCode.NOT_READY
    assert "no Temporal server answers at bad address: invalid target URL" in capsys.readouterr().err
