"""Small looks at processes and ports, and the wait until one holds."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from tests.e2e.lab.network import LabBroken


def within(seconds: float, holds: Callable[[], bool], what: str) -> None:
    """It holds. Raises LabBroken saying `what` did not come about in that time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            msg = f"not within {seconds} s: {what}"
            raise LabBroken(msg)
        time.sleep(0.005)


def send(number: signal.Signals, processes: Iterable[int]) -> None:
    """Each process that is still there has the signal."""
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def connects(address: str, port: int) -> bool:
    """Somebody listens there."""
    with suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def refuses(address: str, port: int) -> bool:
    """The connection is definitely refused; silence is no refusal."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def greets(address: str, port: int) -> bool:
    """The server speaks first, soon: the kernel alone would only take the connection."""
    with suppress(OSError), socket.create_connection((address, port), timeout=0.5) as connection:
        return bool(connection.recv(16))
    return False
