"""A Temporal server with a database, that can be killed and started again."""

from __future__ import annotations

import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from temporalio.client import Client

from orchestrator.app.temporal_binary import ServerBinary
from orchestrator.app.temporal_server import FASTER_TASKS, LOOPBACK, NOTICE_FROZEN_WORKERS
from tests.workflows.stage import until
from workflows import search_attributes


class DurableServer:
    """Keeps its address and its database over its lives."""

    def __init__(self, binary: ServerBinary, database: Path) -> None:
        self.port = _port()
        known = [f"--search-attribute={key.name}=Keyword" for key in search_attributes.ALL]
        self._argv = [
            str(binary.path), "server", "start-dev", "--headless", "--log-level", "error", "--ip", LOOPBACK,
            "--port", str(self.port), "--db-filename", str(database), *known, *FASTER_TASKS,
            *NOTICE_FROZEN_WORKERS,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"{LOOPBACK}:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """It runs until `kill`, or until the block is left."""
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            self.kill()

    def kill(self) -> None:
        """It is gone, without a last word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def answers(self) -> None:
        """It has come up."""
        await until(self._connects, lambda: f"no server at {self.address}")

    async def _connects(self) -> bool:
        try:
            client = await Client.connect(self.address)
        except RuntimeError:
            return False
        return await client.service_client.check_health()


def _port() -> int:
    """A free port that stays ours while the server is down: of none that the kernel gives to clients, or a client that
    comes back too early could get the very port that it asks for, and talk to itself."""
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(first_of_clients - 10_000, first_of_clients)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
