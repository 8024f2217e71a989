"""`worker`: runs executions on this host until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.terminal import say
from orchestrator.app.connection import when_it_answers
from orchestrator.app.journals import BESIDE, place_of
from orchestrator.app.temporal_binary import ServerBinary, find_binary
from orchestrator.app.temporal_server import EmbeddedServer, ServerOptions, start_embedded
from orchestrator.app.worker import Composition, build_worker
from workflows import search_attributes
from workflows.plugin import TASK_QUEUE

PORT, UI_PORT = 7233, 8233
"""Where the `temporal` command, and our own, look for a server."""


def worker(
    *,
    embedded: bool = False,
    port: int = PORT,
    ui_port: int = UI_PORT,
    database: Path | None = None,
    flags: Flags = NO_FLAGS,
) -> ExitCode:
    """Run executions on this host, until SIGTERM or Ctrl-C. Where no Temporal server answers yet, wait for it.

    Parameters
    ----------
    embedded
        Run a Temporal server too, found or fetched; else the configured one is used.
    port
        The embedded server's port.
    ui_port
        The port of its UI.
    database
        Where the embedded server keeps its executions; beside the journal, or in .tideover, where it is not given.
    """
    settings = flags.settings()
    composition = Composition.of(settings)
    binary = find_binary(say) if embedded else None
    place = place_of(settings.journal)
    kept = database or (place if isinstance(place, Path) else BESIDE).with_name("temporal.db")
    options = ServerOptions(port=port, ui_port=ui_port, database=kept, search_attributes=search_attributes.ALL)
    asyncio.run(_serve(composition, binary, options))
    return ExitCode.DONE


async def _serve(composition: Composition, binary: ServerBinary | None, options: ServerOptions) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as running:
        server = await running.enter_async_context(_server(binary, options))
        address = server.address if server else None
        making = asyncio.ensure_future(when_it_answers(lambda: build_worker(composition, address), say))
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait((making, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            making.cancel()
            return
        client, made = making.result()
        await running.enter_async_context(made)
        ui = server.ui if server else composition.settings.ui
        say(f"a worker polls {TASK_QUEUE!r} on {client.service_client.config.target_host}; UI {ui}")
        say(f"runbooks: {', '.join(composition.library.names()) or 'none'}; journal {composition.settings.journal}")
        await stopped
        say("stopping: what is being done is finished first")


@asynccontextmanager
async def _server(binary: ServerBinary | None, options: ServerOptions) -> AsyncIterator[EmbeddedServer | None]:
    if binary is None:
        yield None
        return
    async with start_embedded(binary, options) as server:
        yield server
