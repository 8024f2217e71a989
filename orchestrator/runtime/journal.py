"""The journal on SQLite: the default where everything runs on one host."""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from orchestrator.domain.errors import JournalUnavailable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
"""
_ID = "journal/id"
BUSY_TIMEOUT = 5.0
"""Seconds to wait for another writer before the journal counts as unavailable."""

WAY_OUT = (
    "restore it; if it is lost for good, two people vouch for a new one with "
    "--break-glass --journal-is-lost 'NAME: why'; `tideover init` only where there never was one"
)
"""Where no journal is found: one that is made in the place of a lost one knows of no doubt and no fence."""


class SqliteJournal:
    """Keys with versions in one SQLite file; every swap is on disk when it returns (`synchronous=FULL`).

    A missing file is not an empty journal: it is created by `create` only, so that a lost one is noticed. One that is
    deleted or replaced while it is open is noticed as well: SQLite would go on in a file that nobody else can see.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise JournalUnavailable(f"there is no journal at {path}: {WAY_OUT}")
        self.path = path.absolute()
        self._local = threading.local()
        self._file = self._standing()
        found = self.read(_ID) if self._is_one() else {}
        self._id = found.get(_ID, ("", 0))[0]
        if not self._id.isalnum():
            way_out = "restore it; if it never was one, remove it, and create one with `tideover init`"
            raise JournalUnavailable(f"{path} is not a journal of Tideover, or holds nothing any more: {way_out}")

    @classmethod
    def create(cls, path: Path) -> SqliteJournal:
        """The journal at `path`, made with a new identity where there was none."""
        with _errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT)) as connection, connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.executescript(_SCHEMA)
                connection.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, 1)", (_ID, uuid.uuid4().hex))
        return cls(path)

    @property
    def id(self) -> str:
        """The identity given at creation."""
        return self._id

    def read(self, prefix: str) -> dict[str, tuple[str, int]]:
        """Every key that starts with `prefix`, with its value and version. Raises JournalUnavailable."""
        with _errors(self.path):
            rows = self._connection().execute(
                "SELECT key, value, version FROM entries WHERE key >= ? AND key < ?", (prefix, prefix + "\U0010ffff")
            )
            return {key: (value, version) for key, value, version in rows}

    def swap(self, *changes: tuple[str, str, int], durable: bool = True) -> bool:
        """Write all changes durably if every version is still the one seen; else none, and False."""
        with _errors(self.path), self._transaction(durable) as connection:
            for key, value, version in changes:
                if version == 0:
                    done = connection.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, 1)", (key, value))
                else:
                    done = connection.execute(
                        "UPDATE entries SET value = ?, version = version + 1 WHERE key = ? AND version = ?",
                        (value, key, version),
                    )
                if done.rowcount != 1:
                    connection.execute("ROLLBACK")
                    return False
        return True

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection. Raises where the file that was opened first stands at its path no more."""
        if self._standing() != self._file:
            holder = f"process {os.getpid()} on {os.uname().nodename}"
            way_out = "restart that process: where an execution in Temporal says this, it is its worker"
            raise JournalUnavailable(f"the journal at {self.path} was replaced while {holder} had it open: {way_out}")
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                f"{self.path.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT, isolation_level=None
            )
            # What is no UTF-8 is told where it is read, by its key: it is then no value of any kind.
            connection.text_factory = lambda text: text.decode(errors="surrogateescape")
            self._local.connection = connection
        return connection

    def _standing(self) -> tuple[int, int]:
        """Device and inode of what stands at the path."""
        with _errors(self.path):
            status = self.path.stat()
        return status.st_dev, status.st_ino

    def _is_one(self) -> bool:
        with _errors(self.path):
            known = self._connection().execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'")
            return known.fetchone() is not None

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        # In WAL mode NORMAL spares the sync of one commit; the next FULL one brings all before it to the disk.
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            if connection.in_transaction:
                connection.execute("COMMIT")
        finally:
            if connection.in_transaction:  # also where the commit itself has failed
                connection.execute("ROLLBACK")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        why = f"the journal at {path} cannot be used: {error}"
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            why += f"; a process has held it for {BUSY_TIMEOUT:g}s, perhaps a frozen worker: `fuser {path}` names it"
        raise JournalUnavailable(why) from error
