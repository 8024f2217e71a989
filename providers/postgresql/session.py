"""A session with a server, which ends by its deadline whatever the far side does."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Timer
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

from orchestrator.domain.errors import Doubtful, NotFound, Unreachable
from providers.postgresql import errors

_CONNECT_SECONDS = 2
_MINIMUM_SECONDS = 0.1


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens and as whom we come."""

    host: str
    port: int
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"PostgreSQL at {self.host}:{self.port}"

    @contextmanager
    def session(self, seconds: float) -> Iterator[Session]:
        """A session that commits each statement; it is over after `seconds`, and then its statement is Doubtful.

        Raises, before anything was sent, what `errors.refused_connection` makes of it.
        """
        if seconds <= 0:
            raise Unreachable(f"{self}: no time is left to connect")
        connection = self._connect(seconds)
        with connection, _cut_after(connection, seconds) as was_cut:
            try:
                yield Session(self, connection)
            except psycopg.Error as error:
                if was_cut():
                    raise Doubtful(f"{self}: no answer within {seconds:.1f} s") from None
                raise errors.translated(error, str(self), self.user) from None

    def refuses(self) -> bool:
        """True where connecting is definitely refused: the machine answers, and nobody listens."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError:
            return False
        return all(_refused(family, address) for family, _, _, _, address in found)

    def answers(self, within: float) -> bool:
        """True where a TCP connection comes about in that time: cheap to ask before `session`."""
        try:
            socket.create_connection((self.host, self.port), timeout=within).close()
        except OSError:
            return False
        return True

    def _connect(self, seconds: float) -> psycopg.Connection[DictRow]:
        milliseconds = max(int(seconds * 1000), 1)
        given: dict[str, str | int | None] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "tideover",
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
            "tcp_user_timeout": milliseconds,
        }
        try:
            return psycopg.connect(
                make_conninfo("", **{**given, **self.options}), autocommit=True, row_factory=dict_row
            )
        except psycopg.Error as error:
            raise errors.refused_connection(error, str(self), self.user) from None


@dataclass(frozen=True)
class Session:
    """An open session. Errors of its statements leave `Endpoint.session` translated."""

    endpoint: Endpoint
    connection: psycopg.Connection[DictRow] = field(repr=False)

    def row(self, query: str, *values: object) -> dict[str, Any]:
        """The first row. Raises NotFound where there is none."""
        found = self.connection.execute(query.encode(), values or None).fetchone()
        if found is None:
            raise NotFound(f"{self.endpoint}: no row for {query.split()[0]}")
        return found

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """All rows."""
        return self.connection.execute(query.encode(), values or None).fetchall()

    def do(self, statement: str, *values: object) -> None:
        """The statement was accepted."""
        self.connection.execute(statement.encode(), values or None)

    @property
    def process(self) -> int:
        """The process that serves this session on the server's machine."""
        return self.connection.info.backend_pid


def _refused(family: int, address: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


@contextmanager
def _cut_after(connection: psycopg.Connection[DictRow], seconds: float) -> Iterator[Any]:
    """After `seconds` the socket is shut down: psycopg waits without a limit for a server that hangs."""
    fired = False
    ours = socket.socket(fileno=os.dup(connection.fileno()))

    def cut() -> None:
        nonlocal fired
        fired = True
        with suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)

    timer = Timer(max(seconds, _MINIMUM_SECONDS), cut)
    timer.daemon = True
    timer.start()
    try:
        yield lambda: fired
    finally:
        timer.cancel()
        timer.join()
        ours.close()
