"""A session with a server, which ends by its deadline whatever the far side does."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Timer
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

from orchestrator.domain.errors import Doubtful, NotFound, Unreachable
from orchestrator.runtime.lookup import QUICK, knock, look_up
from providers.postgresql import errors

_CONNECT_SECONDS = 2
_MINIMUM_SECONDS = 0.1


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens and as whom we come.

    addresses: those of a host, within so many seconds. Raises OSError, or ValueError for what is no name.
    """

    host: str
    port: int
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    addresses: Callable[[str, float], tuple[str, ...]] = field(default=look_up, repr=False, compare=False)

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
            found = self._found(_CONNECT_SECONDS)
        except Unreachable:
            return False
        return all(_refused(address, self.port) for address in found)

    def answers(self, within: float) -> bool:
        """True where a TCP connection comes about in that time, once a name was looked up: cheap to ask before
        `session`."""
        try:
            knock(self._found(QUICK), self.port, within)
        except (Unreachable, OSError):
            return False
        return True

    def _found(self, seconds: float) -> tuple[str, ...]:
        if given := self.options.get("hostaddr"):
            return tuple(given.split(","))  # as libpq reads several
        try:
            return self.addresses(self.host, seconds)
        except (OSError, ValueError) as error:
            raise Unreachable(f"{self}: {error}") from None

    def _connect(self, seconds: float) -> psycopg.Connection[DictRow]:
        milliseconds = max(int(seconds * 1000), 1)
        found = self._found(min(seconds, _CONNECT_SECONDS))  # what connects looks names up without any limit
        given: dict[str, str | int | None] = {
            "host": ",".join([self.host] * len(found)),
            "hostaddr": ",".join(found),
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


def _refused(address: str, port: int) -> bool:
    try:
        knock([address], port, _CONNECT_SECONDS)
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
