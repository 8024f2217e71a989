"""The connection to Temporal, through the same configuration as the `temporal` command."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client, KeepAliveConfig
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.domain.errors import NotFoundLocally, ServerUnavailable
from workflows import search_attributes
from workflows.plugin import TideoverPlugin

KEEP_ALIVE = KeepAliveConfig(interval_millis=15_000, timeout_millis=5_000)
"""Not more often than every 10 s, the server's own `frontend.keepAliveMinTime`: it ends an idle connection that pings
more often (measured: a client that waited for a result at every 3 s was cut off after 13 s)."""
CONNECT_TIMEOUT = timedelta(seconds=5)
TRY_AGAIN = 1.0
"""Seconds between two tries of a worker that finds no server."""

T = TypeVar("T")


async def connect(plugin: TideoverPlugin | None = None, address: str | None = None) -> Client:
    """A client of the server that envconfig names, or of our own at `address`. Raises ServerUnavailable naming it."""
    config = ClientConnectConfig(target_host=address) if address else _configured()
    target = config.setdefault("target_host", "localhost:7233")
    try:
        return await Client.connect(
            **config, plugins=[plugin or TideoverPlugin()], keep_alive_config=KEEP_ALIVE,
            identity=f"tideover@{os.uname().nodename}",
        )  # fmt: skip
    except (RuntimeError, ValueError, RPCError) as error:
        why = _plainly(error)
        way_out = "start one with `tideover worker --embedded`, or name it with TEMPORAL_ADDRESS or a profile"
        raise ServerUnavailable(f"no Temporal server answers at {target}: {why}; {way_out}") from error


async def when_it_answers(make: Callable[[], Awaitable[T]], tell: Callable[[str], None]) -> T:
    """What `make` returns, once Temporal is there; `tell` has heard each new reason why it was not. Raises
    ServerUnavailable where the configured address cannot be one.

    For what starts with its host, perhaps before its server does: a supervisor that only starts it anew gives up some
    day (systemd, by default, after five times in ten seconds).
    """
    said = ""
    while True:
        try:
            return await make()
        except ServerUnavailable as error:
            if isinstance(error.__cause__, ValueError):  # this is no address, and will never be one
                raise
            if str(error) != said:
                said = str(error)
                tell(f"{said}; trying again until it does")
        await asyncio.sleep(TRY_AGAIN)


def unavailable(error: RPCError) -> ServerUnavailable:
    """The error for a server that does not answer as it should."""
    why = error.message.removesuffix(".")
    return ServerUnavailable(f"Temporal does not answer: {why}; check it with `tideover doctor`")


def _configured() -> ClientConnectConfig:
    """What envconfig names. Raises NotFoundLocally where that cannot be read."""
    try:
        return ClientConfig.load_client_connect_config()
    except RuntimeError as error:
        where = "TEMPORAL_*, and the file of the `temporal` command"
        raise NotFoundLocally(f"the connection to Temporal is not configured ({where}): {_plainly(error)}") from error


def _plainly(error: Exception) -> str:
    """What the operating system said, where the SDK wrapped it into the names of its parts."""
    text = str(error).partition("\n")[0]
    said = re.search(r'(?:message|error): "([^"]+)"', text)
    return said[1] if said else text


async def register_search_attributes(client: Client) -> None:
    """The server knows every search attribute: without it a workflow would hang at its first. Raises
    ServerUnavailable."""
    try:
        missing = dict.fromkeys(await unknown_search_attributes(client), IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD)
        if missing:
            request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            await client.operator_service.add_search_attributes(request, timeout=CONNECT_TIMEOUT)
    except RPCError as error:
        raise unavailable(error) from error


async def unknown_search_attributes(client: Client) -> list[str]:
    """The names of ours that the server does not know; all of them where it cannot be asked."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        known = await client.operator_service.list_search_attributes(request, timeout=CONNECT_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.UNIMPLEMENTED:  # Temporal's time-skipping test server
            return [key.name for key in search_attributes.ALL]
        raise
    return [key.name for key in search_attributes.ALL if key.name not in known.custom_attributes]
