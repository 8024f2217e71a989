"""A fault point on the way from the worker to a database server: the answer to one request is never delivered.

The worker's connections are redirected, in the server's own network, to a relay that passes everything on, until it
sees the request. That still reaches the server; once the server has answered, the worker's connection is reset or
falls silent. Nothing in the program under test is configured for it.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from tests.e2e.lab.network import inside

PORT = 15432
End = Literal["reset", "silence"]


class Interception:
    """Relays until `match` passes on its way to the server. `hit`: it passed. `answered`: the server has answered it.

    `then` is called once, before the worker can notice anything.
    """

    def __init__(self, namespace: str, server: str, match: bytes, end: End, then: Callable[[], None] | None) -> None:
        self._namespace, self._server, self._match, self._end, self._then = namespace, server, match, end, then
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
                    self.hit.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answers(self, client: socket.socket, server: socket.socket, taken: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if taken.is_set():
                    self._cut(client)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def _cut(self, client: socket.socket) -> None:
        if not self.answered.is_set() and self._then is not None:
            self._then()
        self.answered.set()
        if self._end == "reset":
            _reset(client)


def _reset(connection: socket.socket) -> None:
    """The far side sees a reset, not an orderly end."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # sends nothing, and wakes the thread that would keep the socket open
    connection.close()
