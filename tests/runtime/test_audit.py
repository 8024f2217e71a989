"""The audit trail: an unbroken chain, and every way to tamper with it that it shows."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.runtime import audit
from orchestrator.runtime.audit import NewEntry
from orchestrator.runtime.journal import SqliteJournal

ENTRIES = 6


def entry(number: int) -> NewEntry:
    return NewEntry(at=float(number), what="effect", group="shop", who="ann", plan="p", detail={"n": number})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = SqliteJournal.create(tmp_path / "journal.db")
    for number in range(1, ENTRIES + 1):
        audit.append(journal, entry(number))
    return tmp_path / "journal.db"


def key(number: int) -> str:
    return f"audit/{number:012d}"


class Forger:
    """Changes the file behind the journal's back."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)

    def get(self, name: str) -> str:
        found: str = self.connection.execute("SELECT value FROM entries WHERE key = ?", (name,)).fetchone()[0]
        return found

    def set(self, name: str, value: str) -> None:
        self.connection.execute("UPDATE entries SET value = ? WHERE key = ?", (value, name))

    def delete(self, *names: str) -> None:
        for name in names:
            self.connection.execute("DELETE FROM entries WHERE key = ?", (name,))


def test_what_was_appended_is_there_in_order(path: Path) -> None:
    journal = SqliteJournal(path)
    assert [found.detail["n"] for found in audit.entries(journal)] == list(range(1, ENTRIES + 1))
    assert audit.verify(journal) is None


def test_an_empty_trail_is_whole(tmp_path: Path) -> None:
    journal = SqliteJournal.create(tmp_path / "journal.db")
    assert audit.verify(journal) is None
    assert list(audit.entries(journal)) == []


def flipped(forger: Forger) -> None:
    forger.set(key(3), forger.get(key(3)).replace('"who":"ann"', '"who":"eve"'))


def flipped_last(forger: Forger) -> None:
    forger.set(key(ENTRIES), forger.get(key(ENTRIES)).replace('"n":6', '"n":7'))


def garbled(forger: Forger) -> None:
    forger.set(key(3), forger.get(key(3))[:-5])


def deleted(forger: Forger) -> None:
    forger.delete(key(3))


def deleted_first(forger: Forger) -> None:
    forger.delete(key(1))


def reordered(forger: Forger) -> None:
    third, fourth = forger.get(key(3)), forger.get(key(4))
    forger.set(key(3), fourth)
    forger.set(key(4), third)


def renumbered(forger: Forger) -> None:
    """One is taken out, and those after it move up, each with its number changed."""
    for number in range(3, ENTRIES):
        moved = json.loads(forger.get(key(number + 1)))
        forger.set(key(number), json.dumps({**moved, "number": number}))
    forger.delete(key(ENTRIES))


def tail_cut(forger: Forger) -> None:
    forger.delete(key(ENTRIES))


def all_but_the_head_gone(forger: Forger) -> None:
    forger.delete(*(key(number) for number in range(1, ENTRIES + 1)))


def head_gone(forger: Forger) -> None:
    forger.delete("audit-head")


def head_garbled(forger: Forger) -> None:
    forger.set("audit-head", "not even JSON")


def slipped_in(forger: Forger) -> None:
    forger.connection.execute("INSERT INTO entries VALUES (?, ?, 1)", (key(ENTRIES + 1), forger.get(key(ENTRIES))))


@pytest.mark.parametrize(
    "tamper",
    [flipped, flipped_last, garbled, deleted, deleted_first, reordered, renumbered, tail_cut, all_but_the_head_gone,
     head_gone, head_garbled, slipped_in],
)  # fmt: skip
def test_tampering_is_found(path: Path, tamper: Callable[[Forger], None]) -> None:
    tamper(Forger(path))
    found = audit.verify(SqliteJournal(path))
    assert found is not None
    assert "\n" not in found


def test_the_entry_that_was_changed_is_named(path: Path) -> None:
    flipped(Forger(path))
    assert "entry 4 does not follow from the one before it" in (audit.verify(SqliteJournal(path)) or "")


def test_many_processes_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    SqliteJournal.create(path)

    def write(first: int) -> None:
        journal = SqliteJournal(path)
        for number in range(10):
            audit.append(journal, entry(first + number))

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write, args=(100 * number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    journal = SqliteJournal(path)
    assert audit.verify(journal) is None
    assert len({found.detail["n"] for found in audit.entries(journal)}) == 40
