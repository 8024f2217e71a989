"""A small world outside of every worker: one SQLite file with what there is, what was asked of it and what shall fail.

Worker processes come and go; the world stays, counts every change with the process that made it, and notes when two
servers accept writes at once.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from orchestrator.domain.world import Holder, Power, Records, ReplicatesFrom, Role, State

SITES = ("az-a", "az-b")
VARIABLE = "TOY_WORLD"
"""The environment variable with the world's path; in a runbook it would make each history another."""

_SCHEMA = """
CREATE TABLE things (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE faults (resource TEXT, point TEXT, does TEXT, PRIMARY KEY (resource, point));
CREATE TABLE marks (number INTEGER PRIMARY KEY, resource TEXT, point TEXT, pid INTEGER);
CREATE TABLE effects (number INTEGER PRIMARY KEY, resource TEXT, state TEXT, pid INTEGER);
CREATE TABLE late (due REAL, resource TEXT, state TEXT);
CREATE TABLE splits (at REAL);
"""

Things = dict[str, dict[str, Any]]

_STATE: TypeAdapter[State] = TypeAdapter(State)


@dataclass(frozen=True)
class Effect:
    """A change that was made. `pid`: the process that asked for it."""

    resource: str
    state: str
    pid: int


class World:
    """Two sites with a machine and a database server each, an address and a DNS record that they share."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> World:
        """A world served at az-a: its server is primary, the one at az-b streams from it."""
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(_SCHEMA)
        world = cls(path)
        with world._changing() as (_, things):
            for site in SITES:
                things[f"db@{site}:toy"] = {"power": "on"}
            things["db@az-a"] = {"role": "primary", "up": True, "wal": 5000, "lag": 0, "upstream": None, "died": None}
            things["db@az-b"] = {**things["db@az-a"], "role": "standby", "upstream": "az-a"}
            things["address"] = {"holder": "az-a"}
            things["name"] = {"records": {"A": ["10.0.1.10"]}, "ttl": 30}
        return world

    # What tests do and ask

    def break_(self, resource: str, point: str, does: str) -> None:
        """Until `mend`, calls that reach the point meet an error of this name, `hang`, `ignore` or `late:<seconds>`.

        Points: `observe`; `before` the guard; `sent`, between guard and effect; `done`, between effect and answer.
        `leak` is an error that nobody foresaw, with the password in its text.
        """
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO faults VALUES (?, ?, ?)", (resource, point, does))

    def mend(self) -> None:
        """Nothing fails any more, and what hangs goes on."""
        with self._open() as connection:
            connection.execute("DELETE FROM faults")

    @contextmanager
    def left_alone(self) -> Iterator[None]:
        """No process looks at it or changes it meanwhile: one that is frozen in that would keep it from everybody."""
        with self._open("EXCLUSIVE"):
            yield

    def lose_site(self, site: str) -> None:
        """The machine at the site is dead, and its power controller still answers."""
        with self._changing() as (_, things):
            things[f"db@{site}:toy"]["power"] = "off"
            _crash(things[f"db@{site}"])

    def lag(self, site: str, seconds: float) -> None:
        """The standby at the site is behind by this much."""
        with self._changing() as (_, things):
            things[f"db@{site}"]["lag"] = seconds

    def reached(self, resource: str, point: str) -> list[int]:
        """The processes that have reached the point, one for each time."""
        with self._open() as connection:
            rows = connection.execute("SELECT pid FROM marks WHERE resource = ? AND point = ?", (resource, point))
            return [pid for (pid,) in rows]

    def effects(self, resource: str | None = None) -> list[Effect]:
        """Every change, oldest first; of one resource, or of all."""
        with self._open() as connection:
            rows = connection.execute("SELECT resource, state, pid FROM effects ORDER BY number").fetchall()
        return [Effect(*row) for row in rows if resource in (None, row[0])]

    def writable(self) -> list[str]:
        """The sites whose server accepts writes."""
        return [site for site in SITES if _writable(self.things()[f"db@{site}"])]

    def was_split(self) -> bool:
        """True where two servers have ever accepted writes at the same time (I1)."""
        with self._open() as connection:
            return bool(connection.execute("SELECT count(*) FROM splits").fetchone()[0])

    # What adapters do

    def things(self) -> Things:
        """Everything as it is now, late effects included."""
        with self._changing() as (connection, things):
            due = connection.execute(
                "SELECT rowid, resource, state FROM late WHERE due <= ?", (time.time(),)
            ).fetchall()
            for row, resource, state in due:
                connection.execute("DELETE FROM late WHERE rowid = ?", (row,))
                _set(things, resource, state_of(state))
            return things

    def reach(self, resource: str, point: str) -> str:
        """Notes that this process is at the point; what it meets there, empty for nothing."""
        with self._open() as connection:
            connection.execute("INSERT INTO marks VALUES (NULL, ?, ?, ?)", (resource, point, os.getpid()))
        return self.fault(resource, point)

    def fault(self, resource: str, point: str) -> str:
        """What stands there to be met, empty for nothing."""
        with self._open() as connection:
            query = "SELECT does FROM faults WHERE resource = ? AND point = ?"
            row = connection.execute(query, (resource, point)).fetchone()
            return str(row[0]) if row else ""

    def set(self, resource: str, state: State) -> None:
        """The state is there; counted as an effect where it was not there before."""
        with self._changing() as (connection, things):
            before = json.dumps(things, sort_keys=True)
            _set(things, resource, state)
            if json.dumps(things, sort_keys=True) != before:
                connection.execute("INSERT INTO effects VALUES (NULL, ?, ?, ?)", (resource, str(state), os.getpid()))

    def set_late(self, resource: str, state: State, seconds: float) -> None:
        """The state will be there in some seconds."""
        with self._open() as connection:
            connection.execute("INSERT INTO late VALUES (?, ?, ?)", (time.time() + seconds, resource, dump(state)))

    @contextmanager
    def _open(self, lock: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(f"BEGIN {lock}")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _changing(self) -> Iterator[tuple[sqlite3.Connection, Things]]:
        with self._open() as connection:
            things = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM things")}
            yield connection, things
            rows = [(name, json.dumps(value)) for name, value in things.items()]
            connection.executemany("INSERT OR REPLACE INTO things VALUES (?, ?)", rows)
            if len([site for site in SITES if _writable(things[f"db@{site}"])]) > 1:
                connection.execute("INSERT INTO splits VALUES (?)", (time.time(),))


def dump(state: State) -> str:
    """The state as text."""
    return state.model_dump_json()


def state_of(text: str) -> State:
    """The state that `dump` made this text of."""
    return _STATE.validate_json(text)


def _set(things: Things, resource: str, state: State) -> None:
    thing = things[resource]
    match state:
        case Power(power=power):
            thing["power"] = power
            if power == "off":
                _crash(things[resource.removesuffix(":toy")])
        case Role(role="stopped"):
            _crash(thing)
            thing["role"] = "stopped"
        case Role(role=role):
            thing |= {"role": role, "up": True, "died": None}
        case ReplicatesFrom(site=site):
            thing |= {"role": "standby", "up": True, "died": None, "upstream": site, "lag": 0}
        case Holder(site=site):
            thing["holder"] = site
        case Records(records=records, ttl=ttl):
            thing |= {"records": {kind: list(values) for kind, values in records.items()}, "ttl": ttl}


def _crash(server: dict[str, Any]) -> None:
    if server["up"]:
        server |= {"up": False, "died": time.time()}


def _writable(server: dict[str, Any]) -> bool:
    return bool(server["up"] and server["role"] == "primary")
