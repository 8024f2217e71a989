"""A fault point on the way from the worker to a database server, where one request is seen and its answer decided on.

The worker's connections are redirected, in the server's own network, to a relay that passes everything on, until it
sees the request. That still reaches the server; what becomes of its answer, and of the connections that come later, is
the fault's to say. Nothing in the program under test is configured for it.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal

from tests.e2e.lab.network import inside

PORT = 15432
End = Literal["reset", "silence", "deliver", "refuse"]
"""The worker's connection is reset, or falls silent, instead of the answer; or the answer is delivered, and with
`refuse` no connection of the worker's is taken any more."""

Moment = Literal["request", "answer"]
"""Before the server can see the request; or when it has answered and the worker does not know it."""

Strikes = Mapping[Moment, Callable[[], None]]
"""What happens at a moment."""


class Interception:
    """Relays until `match` passes on its way to the server. `hit`: it passed. `answered`: the server has answered it.

    `strikes` are called once, each at its moment.
    """

    def __init__(self, namespace: str, server: str, match: bytes, end: End, strikes: Strikes) -> None:
        self._namespace, self._server, self._match, self._end = namespace, server, match, end
        self._strikes = dict(strikes)
        self.hit, self.answered = threading.Event(), threading.Event()
        self.connections = 0
        self._open: list[socket.socket] = []
        with inside(namespace):
            self._listener = socket.create_server(("0.0.0.0", PORT), backlog=64)  # noqa: S104 -- in the namespace
        self._thread = threading.Thread(target=self._accept, daemon=True, name="interception")
        self._thread.start()

    def close(self) -> None:
        """Nothing is relayed any more, and every connection is closed."""
        for end in (self._listener, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._thread.join(timeout=2)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                with inside(self._namespace):
                    server = socket.create_connection((self._server, 5432), timeout=2)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            self._open += [client, server]
            taken = threading.Event()
            for relay in (self._requests, self._answers):
                threading.Thread(target=relay, args=(client, server, taken), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, taken: threading.Event) -> None:
        seen = b""
        with suppress(OSError):
            while data := client.recv(65536):
                seen = (seen + data)[-65536:]
                if not self.hit.is_set() and self._match in seen:
                    taken.set()
                    self._at("request")
                    self.hit.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answers(self, client: socket.socket, server: socket.socket, taken: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if taken.is_set() and not self.answered.is_set():
                    self._at("answer")
                    if self._end == "refuse":
                        self._refuse()
                    self.answered.set()
                if taken.is_set() and self._end in ("reset", "silence"):
                    if self._end == "reset":
                        _reset(client)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def _at(self, moment: Moment) -> None:
        if strike := self._strikes.pop(moment, None):
            strike()

    def _refuse(self) -> None:
        """Nobody listens where the worker's connections are redirected to."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _reset(connection: socket.socket) -> None:
    """The far side sees a reset, not an orderly end."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # sends nothing, and wakes the thread that would keep the socket open
    connection.close()
