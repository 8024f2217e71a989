"""A connected command: the executions on the server, and Ctrl-C that detaches and never cancels."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.service import RPCError

from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.app.cli.terminal import say
from orchestrator.app.connection import connect, unavailable
from orchestrator.app.executions import Executions, Handle
from orchestrator.app.settings import Settings

T = TypeVar("T")


def connected(settings: Settings, work: Callable[[Executions], Awaitable[T]]) -> T:
    """What `work` returns with the executions on the configured server. Raises ServerUnavailable."""

    async def session() -> T:
        try:
            return await work(Executions(await connect(), settings.ui))
        except RPCError as error:
            raise unavailable(error) from error

    return asyncio.run(session())


def detachable(group: str, settings: Settings, work: Callable[[Executions], Awaitable[ExitCode]]) -> ExitCode:
    """As `connected`; Ctrl-C leaves the execution alone and says how to come back to it."""
    try:
        return connected(settings, work)
    except KeyboardInterrupt:
        say("")
        raise Stopped(ExitCode.DETACHED, come_back(group)) from None


def come_back(group: str) -> str:
    """What to say to someone who leaves."""
    return f"detached: the execution goes on; come back with `tideover follow {group}`"


def me() -> str:
    """The name of whoever types: a claim, not an identity."""
    return getpass.getuser()


def group_of(name: str) -> str:
    """The group that `failover/<group>#<run>` or the group's own name leads to."""
    return name.partition("#")[0].rpartition("/")[2]


def shown(executions: Executions, handle: Handle) -> str:
    """The line that names an execution and its page."""
    return f"{handle.id}  {executions.link(handle)}"
