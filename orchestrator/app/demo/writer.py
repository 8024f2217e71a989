"""A client of the demo's database: it commits one numbered row after another, and records what it was told.

It meets the database only through its name: resolved by DNS, kept no longer than the answer's TTL. What was
acknowledged is one line `number time address` in the record, written after the commit returned; a row whose commit
failed is never tried again under its number, since it may be there all the same. Times come from a clock that does
not jump. It ends when stdin does.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import dns.exception
import dns.resolver
import psycopg
from psycopg.rows import TupleRow

TABLE = "demo_writes"
CREATE_TABLE = f"create table {TABLE} (seq bigint primary key, at timestamptz not null default clock_timestamp())"
ROLE, DATABASE = "app", "postgres"
SECONDS_PER_COMMIT = 0.015

_INSERT = f"insert into {TABLE} (seq) values (%s)"  # noqa: S608  a constant
_CONNECT_SECONDS = 2  # the least that libpq takes
_ANSWER_SECONDS = 2.0


def resolver(port: int) -> dns.resolver.Resolver:
    """Asks the demo's name server and no other; keeps answers for their TTL, as a client does."""
    made = dns.resolver.Resolver(configure=False)
    made.nameservers, made.port, made.lifetime = ["127.0.0.1"], port, _ANSWER_SECONDS
    made.cache = dns.resolver.Cache()
    return made


@dataclass
class Writer:
    """Commits to whatever database the name leads to."""

    name: str
    port: int
    password: str = field(repr=False)
    names: dns.resolver.Resolver
    record: TextIO
    seq: int = 0
    _address: str = ""
    _connection: psycopg.Connection[TupleRow] | None = None
    _began: float = field(default_factory=lambda: time.time() - time.monotonic())

    def commit(self) -> bool:
        """True where one more row was acknowledged and recorded; a connection that failed is given up."""
        self.seq += 1
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.execute(_INSERT, (self.seq,))
        except (psycopg.Error, dns.exception.DNSException):
            self.close()
            return False
        self.record.write(f"{self.seq} {self._began + time.monotonic():.6f} {self._address}\n")
        self.record.flush()
        return True

    def close(self) -> None:
        """No connection is left."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg.Connection[TupleRow]:
        self._address = str(self.names.resolve(self.name, "A")[0])
        return psycopg.connect(
            host=self._address,
            port=self.port,
            user=ROLE,
            password=self.password,
            dbname=DATABASE,
            connect_timeout=_CONNECT_SECONDS,
            tcp_user_timeout=int(_ANSWER_SECONDS * 1000),
            options=f"-c statement_timeout={int(_ANSWER_SECONDS * 1000)}",
            application_name="tideover demo writer",
            autocommit=True,
        )


def write_until(ended: threading.Event, writer: Writer, pace: float) -> None:
    """Rows were written, one every `pace` seconds at most, until `ended` was set."""
    due = time.monotonic()
    while not ended.wait(max(0.0, due - time.monotonic())):
        due = time.monotonic() + pace
        writer.commit()
    writer.close()


def main() -> None:
    """The writer runs until stdin ends; the first line of stdin is its password."""
    options = argparse.ArgumentParser(prog="tideover-demo-writer")
    for name, kind in (("name", str), ("dns", int), ("port", int), ("record", Path), ("pace", float)):
        options.add_argument(f"--{name}", type=kind, required=True)
    given = options.parse_args()
    password, ended = sys.stdin.readline().rstrip("\n"), threading.Event()

    def follow_stdin() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=follow_stdin, daemon=True).start()
    with given.record.open("a") as record:
        write_until(ended, Writer(given.name, given.port, password, resolver(given.dns), record), given.pace)


if __name__ == "__main__":
    main()
