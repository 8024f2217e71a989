"""The audit trail: an unbroken chain, and every way to tamper with it that it shows."""

from __future__ import annotations

import json
import multiprocessing
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.errors import JournalUnavailable
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
        self.path = path
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


def head_moved_back(forger: Forger) -> None:
    forger.set("audit-head", json.dumps([ENTRIES - 1, json.loads(forger.get(key(ENTRIES)))["previous"]]))


def slipped_in(forger: Forger) -> None:
    forger.connection.execute("INSERT INTO entries VALUES (?, ?, 1)", (key(ENTRIES + 1), forger.get(key(ENTRIES))))


@pytest.mark.parametrize(
    "tamper",
    [flipped, flipped_last, garbled, deleted, deleted_first, reordered, renumbered, tail_cut, all_but_the_head_gone,
     head_gone, head_garbled, head_moved_back, slipped_in],
)  # fmt: skip
def test_tampering_is_found(path: Path, tamper: Callable[[Forger], None]) -> None:
    tamper(Forger(path))
    found = audit.verify(SqliteJournal(path))
    assert found is not None
    assert "\n" not in str(found)
    assert re.search(r"entry \d+", found.found)
    assert found.way_out


def test_the_entry_that_was_changed_is_named(path: Path) -> None:
    flipped(Forger(path))
    assert "entry 4 does not follow from entry 3: one of the two was changed" in str(audit.verify(SqliteJournal(path)))


def test_the_verdict_says_what_to_do_next_and_what_still_stands(path: Path) -> None:
    garbled(Forger(path))
    found = str(audit.verify(SqliteJournal(path)))
    assert found.startswith("entry 3 is no entry any more: it was changed; keep a copy of the journal")
    assert found.endswith("entries 1 to 1 are as they were written")


def whole_trail_gone(forger: Forger) -> None:
    all_but_the_head_gone(forger)
    head_gone(forger)


def tail_cut_with_its_head(forger: Forger) -> None:
    written_anew(forger, upto=ENTRIES - 1)
    forger.delete(key(ENTRIES))


def rewritten(forger: Forger) -> None:
    written_anew(forger, upto=ENTRIES, who="eve")


def rewritten_and_longer(forger: Forger) -> None:
    """Another trail of the same journal, which has gone on since: only the hash of the seen entry tells."""
    written_anew(forger, upto=ENTRIES, who="eve")
    audit.append(SqliteJournal(forger.path), entry(ENTRIES + 1))


def written_anew(forger: Forger, upto: int, who: str = "ann") -> None:
    """Every entry up to `upto`, with hashes that fit, and the head that fits them."""
    previous = "0" * 64
    for number in range(1, upto + 1):
        new = audit.AuditEntry(number=number, previous=previous, **{**dict(entry(number)), "who": who})
        forger.set(key(number), new.model_dump_json())
        previous = new.hash
    forger.set("audit-head", json.dumps([upto, previous]))


@pytest.mark.parametrize("tamper", [whole_trail_gone, tail_cut_with_its_head, rewritten, rewritten_and_longer])
def test_what_the_chain_alone_cannot_show_is_found_against_a_checkpoint(
    path: Path, tamper: Callable[[Forger], None]
) -> None:
    seen = audit.checkpoint(SqliteJournal(path))
    assert audit.verify(SqliteJournal(path), [seen]) is None
    tamper(Forger(path))
    assert audit.verify(SqliteJournal(path)) is None  # the forger has done it well
    found = audit.verify(SqliteJournal(path), [seen])
    assert found is not None
    assert f"entry {ENTRIES}" in found.found
    assert found.way_out


def test_a_trail_that_has_gone_on_holds_every_earlier_checkpoint(path: Path) -> None:
    journal = SqliteJournal(path)
    seen = [audit.checkpoint(journal)]
    for number in range(ENTRIES + 1, ENTRIES + 4):
        audit.append(journal, entry(number))
        seen.append(audit.checkpoint(journal))
    assert audit.verify(journal, seen) is None


def test_a_checkpoint_of_another_journal_is_told(path: Path, tmp_path: Path) -> None:
    other = SqliteJournal.create(tmp_path / "other.db")
    found = audit.verify(SqliteJournal(path), [audit.checkpoint(other)])
    assert found is not None
    assert f"is of the journal {other.id[:8]}" in found.found


@pytest.mark.parametrize("tamper", [head_gone, head_garbled, head_moved_back])
def test_nothing_is_appended_to_a_trail_without_its_head(path: Path, tamper: Callable[[Forger], None]) -> None:
    tamper(Forger(path))
    with pytest.raises(JournalUnavailable, match="tideover audit verify"):
        audit.append(SqliteJournal(path), entry(7))


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
