"""The journal on SQLite: the contract, and what can happen to a file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.errors import JournalUnavailable
from orchestrator.ports import Journal
from orchestrator.runtime import journal as module
from orchestrator.runtime.journal import SqliteJournal
from tests.runtime.journal_contract import JournalContract


class TestSqliteJournal(JournalContract):
    def create(self, place: Path) -> Journal:
        return SqliteJournal.create(place / "journal.db")

    def opener(self, place: Path) -> Callable[[], Journal]:
        return lambda: SqliteJournal(place / "journal.db")

    def lose(self, place: Path) -> None:
        for file in place.glob("journal.db*"):
            file.unlink()

    def replace(self, place: Path) -> None:
        self.lose(place)
        SqliteJournal.create(place / "journal.db")


def test_a_missing_file_is_not_an_empty_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="tideover init"):
        SqliteJournal(tmp_path / "journal.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"this is no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(JournalUnavailable, match=r"journal\.db"):
        SqliteJournal(path)


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT, version INTEGER)")
    connection.close()
    with pytest.raises(JournalUnavailable, match="is not a journal of Tideover"):
        SqliteJournal(path)


def test_a_file_damaged_while_it_is_open_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal.create(path)
    for number in range(50):
        journal.swap((f"k{number}", "x" * 5000, 0))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(200_000))
    with pytest.raises(JournalUnavailable):
        SqliteJournal(path).read("")


@pytest.mark.parametrize("name", ["with space.db", "percent%20.db", "hash#1.db", "question?mode=ro.db", "ümlaut.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    journal = SqliteJournal.create(tmp_path / name)
    assert journal.swap(("a", "1", 0))
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(("-wal", "-shm"))] == [name]


def test_of_a_file_that_was_replaced_the_process_to_restart_is_named(tmp_path: Path) -> None:
    """It is told where an execution was started, and to start that again changes nothing in its worker."""
    journal = SqliteJournal.create(tmp_path / "journal.db")
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    SqliteJournal.create(tmp_path / "journal.db")
    with pytest.raises(JournalUnavailable, match=rf"replaced while process {os.getpid()} on .* had it open: .*worker"):
        journal.read("")


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = SqliteJournal.create(Path("journal.db"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert journal.swap(("a", "1", 0))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnavailable, match="file"):
        SqliteJournal.create(tmp_path / "file" / "journal.db")


def test_every_connection_writes_durably(tmp_path: Path) -> None:
    journal = SqliteJournal.create(tmp_path / "journal.db")
    found: list[tuple[int, str]] = []

    def look() -> None:
        connection = journal._connection()  # what SQLite itself says of it can be asked nowhere else
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        found.append((synchronous, connection.execute("PRAGMA journal_mode").fetchone()[0]))

    look()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [(2, "wal")] * 2, "2 is FULL: the log is on disk before a swap returns"


def test_a_writer_that_is_killed_leaves_whole_swaps_only(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    SqliteJournal.create(path)
    program = (
        "import sys; from pathlib import Path; from orchestrator.runtime.journal import SqliteJournal\n"
        "journal, n = SqliteJournal(Path(sys.argv[1])), 0\n"
        "while journal.swap(('a', str(n), n), ('b', str(n), n)): n += 1; print(n, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline() for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += writer.stdout.readlines()
    writer.wait()
    found = SqliteJournal(path).read("")
    assert found["a"] == found["b"]
    assert found["a"][1] >= int(acknowledged[-1]), "what was acknowledged is there"


def test_another_writer_that_never_ends_makes_it_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT", 0.2)
    journal = SqliteJournal.create(tmp_path / "journal.db")
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(JournalUnavailable, match=r"locked; a process has held it for .*: `fuser "):
        journal.swap(("a", "1", 0))
    assert time.monotonic() - began < 3
    other.execute("ROLLBACK")
    other.close()
    assert journal.swap(("a", "1", 0)), "it is available again"
