"""Names looked up, and who answers there, within a bounded time: the system's resolver may take half a minute when its
servers are lost."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from threading import Thread

QUICK = 0.5
"""Seconds for a name whose addresses are known from before: then these will do."""


class Lookup:
    """Names to addresses; what a name had last is used where it cannot be looked up now. Safe in threads."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}

    def addresses(self, host: str, timeout: float) -> tuple[str, ...]:
        """The addresses of the host, which may be one itself. Raises OSError, or ValueError for what is no name."""
        known = self._known.get(host, ())
        try:
            self._known[host] = look_up(host, min(timeout, QUICK) if known else timeout)
        except OSError:
            if not known:
                raise
        return self._known[host]


def look_up(host: str, timeout: float) -> tuple[str, ...]:
    """The addresses that the host has now, found out within so many seconds; else as `Lookup.addresses`."""
    try:
        return _asked(host, socket.AI_NUMERICHOST)  # asks nobody, so it needs no thread
    except socket.gaierror:
        pass
    answers: SimpleQueue[tuple[str, ...] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_asked(host, 0))
        except (OSError, ValueError) as error:
            answers.put(error)

    Thread(target=ask, daemon=True, name=f"looks up {host}").start()
    try:
        answer = answers.get(timeout=max(timeout, 0.001))
    except Empty:
        msg = f"{host} could not be looked up in time"
        raise OSError(msg) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def knock(addresses: Iterable[str], port: int, timeout: float) -> None:
    """A TCP connection to one of them came about, each given so many seconds. Raises the last one's OSError."""
    failed = OSError("it has no address")
    for address in addresses:
        try:
            socket.create_connection((address, port), timeout=timeout).close()
        except OSError as error:
            failed = error
        else:
            return
    raise failed


def _asked(host: str, flags: int) -> tuple[str, ...]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
