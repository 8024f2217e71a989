"""A Temporal server with a database, that can be killed and started again."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from temporalio.client import Client

from orchestrator.app.temporal_binary import ServerBinary
from orchestrator.app.temporal_server import FASTER_TASKS, LOOPBACK, NOTICE_FROZEN_WORKERS
from tests.workflows.stage import until
from workflows import search_attributes


class DurableServer:
    """Keeps its address and its database over its lives."""

    def __init__(self, binary: ServerBinary, database: Path) -> None:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.port = int(probe.getsockname()[1])
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
