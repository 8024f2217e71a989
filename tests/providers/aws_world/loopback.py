"""A guard that lets no test of this process connect anywhere but to loopback."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from typing import Any

import pytest

_watching = False
_attempts: list[str] = []


class NotLoopbackError(BaseException):
    """A connection left for elsewhere. Not an Exception, so that no SDK takes it for a passing trouble."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    # An audit hook sees what a patched socket class would miss; it cannot be taken out again, hence the switch.
    if _watching and event == "socket.connect" and not _is_near(arguments[1]):
        _attempts.append(str(arguments[1]))
        raise NotLoopbackError(str(arguments[1]))


def _is_near(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a path of a Unix socket
    host = str(address[0])
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


sys.addaudithook(_watch)


@pytest.fixture
def only_loopback() -> Iterator[list[str]]:
    """The test fails on any connection that is not loopback; gives the list of attempts."""
    global _watching  # an audit hook is process-wide by nature
    _attempts.clear()
    _watching = True
    try:
        yield _attempts
    finally:
        _watching = False
    assert not _attempts, f"connections that are not loopback: {_attempts}"
