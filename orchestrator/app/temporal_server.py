"""Chooses the Temporal server to work with, and starts the embedded one."""

from __future__ import annotations

import os
import shlex
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from temporalio.common import SearchAttributeKey
from temporalio.envconfig import ClientConfigProfile
from temporalio.testing import WorkflowEnvironment

from orchestrator.app.temporal_binary import STARTUP_LIMIT, Progress, ServerBinary, cache_directory, find_binary
from orchestrator.domain.errors import NotFoundLocally, ServerUnavailable

# With the default, every activity costs 100 ms instead of 8 (measured on server 1.29.1).
# With the default partitions of a task queue, about one task in two hundred waited 2 s for a poller (likewise).
FASTER_TASKS = (
    "--dynamic-config-value", "history.transferProcessorMaxPollRPS=2000",
    "--dynamic-config-value", "matching.numTaskqueueReadPartitions=1",
    "--dynamic-config-value", "matching.numTaskqueueWritePartitions=1",
)  # fmt: skip
# A frozen worker keeps its connection and swallows the tasks that are handed to it, until the server notices.
NOTICE_FROZEN_WORKERS = (
    "--dynamic-config-value", 'frontend.keepAliveTime="3s"', "--dynamic-config-value", 'frontend.keepAliveTimeout="2s"',
)  # fmt: skip
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ServerAddress:
    """A server that runs elsewhere. Connect with temporalio.envconfig, which also knows its TLS and keys."""

    address: str
    namespace: str
    source: str

    def __str__(self) -> str:
        return f"the Temporal server at {self.address}, namespace {self.namespace}, from {self.source}"


@dataclass(frozen=True)
class ServerOptions:
    """How to run the embedded server. Ports left out are free ones; without a database it forgets all at its end."""

    namespace: str = "default"
    port: int | None = None
    ui_port: int | None = None
    database: Path | None = None
    search_attributes: Sequence[SearchAttributeKey[str]] = ()


@dataclass(frozen=True)
class EmbeddedServer:
    """An embedded server that answers. `ui` is the address of its web pages."""

    address: str
    namespace: str
    ui: str

    def link(self, workflow_id: str) -> str:
        """The page of this workflow's newest run."""
        return f"{self.ui}/namespaces/{quote(self.namespace, safe='')}/workflows/{quote(workflow_id, safe='')}"


def find_server(progress: Progress) -> ServerAddress | ServerBinary:
    """The server that the configuration names, else the means to run one.

    Raises NotFoundLocally where the configuration is wrong, ServerUnavailable naming every way that was tried.
    """
    if found := configured_server():
        progress(f"{found}")
        return found
    return find_binary(progress)


def configured_server() -> ServerAddress | None:
    """What the `temporal` command would connect to, where a profile or TEMPORAL_ADDRESS says so."""
    try:
        profile = ClientConfigProfile.load()
    except RuntimeError as error:
        found = " ".join(str(error).split())
        msg = f"Temporal's configuration cannot be used: {found}; look at TEMPORAL_PROFILE and TEMPORAL_CONFIG_FILE"
        raise NotFoundLocally(msg) from error
    if not profile.address:
        return None
    named = f"profile {os.environ.get('TEMPORAL_PROFILE', 'default')!r} of Temporal's configuration"
    source = "TEMPORAL_ADDRESS" if os.environ.get("TEMPORAL_ADDRESS") else named
    return ServerAddress(profile.address, profile.namespace or "default", source)


@asynccontextmanager
async def start_embedded(
    binary: ServerBinary, options: ServerOptions = ServerOptions()
) -> AsyncIterator[EmbeddedServer]:
    """A server of our own answers on loopback, with its UI, until the block is left."""
    port, ui_port = _port(options.port), _port(options.ui_port)
    with _silent(binary) as command:
        server = await _started(binary, command, options, port, ui_port)
    try:
        yield EmbeddedServer(f"{LOOPBACK}:{port}", options.namespace, f"http://{LOOPBACK}:{ui_port}")
    finally:
        await server.shutdown()


async def _started(
    binary: ServerBinary, command: Path, options: ServerOptions, port: int, ui_port: int
) -> WorkflowEnvironment:
    try:
        return await WorkflowEnvironment.start_local(
            namespace=options.namespace,
            ip=LOOPBACK,
            port=port,
            ui=True,
            ui_port=ui_port,
            search_attributes=options.search_attributes,
            dev_server_existing_path=str(command),
            dev_server_database_filename=str(options.database) if options.database else None,
            dev_server_log_level="error",
            dev_server_extra_args=(*FASTER_TASKS, *NOTICE_FROZEN_WORKERS),
            dev_server_startup_timeout=STARTUP_LIMIT,
        )
    except RuntimeError as error:
        msg = f"{binary} did not start on port {port}: {' '.join(str(error).split())}"
        raise ServerUnavailable(msg) from error


@contextmanager
def _silent(binary: ServerBinary) -> Iterator[Path]:
    """A command that is the binary without its banner: the server inherits our stdout, which is for data."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_directory(), prefix="starting-") as directory:
        command = Path(directory) / "temporal"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(str(binary.path.absolute()))} "$@" >/dev/null\n')
        command.chmod(0o700)
        yield command


def _port(wanted: int | None) -> int:
    """`wanted`, or any port, that nobody listens on: else we would talk to a stranger's server and take it for ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted or 0))
        except OSError as error:
            msg = f"port {wanted} is not free for the embedded Temporal server: {error.strerror}; choose another"
            raise ServerUnavailable(msg) from error
        return int(probe.getsockname()[1])
