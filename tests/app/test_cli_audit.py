"""`tideover audit`: what it prints and with which exit code, on a journal whose file another hand has changed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.runtime import audit
from orchestrator.runtime.journal import SqliteJournal


def said(path: Path, *people: str) -> None:
    for who in people:
        entry = audit.NewEntry(at=1.0, what="command", group="shop", who=who, plan="p", detail={"command": "pause"})
        audit.append(SqliteJournal(path), entry)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    journal = SqliteJournal.create(tmp_path / "journal.db").path
    monkeypatch.setenv("TIDEOVER_JOURNAL", str(journal))
    said(journal, "ann", "bob", "eve")
    return journal


def test_what_was_said_is_listed_by_group(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "show", "shop"]) is ExitCode.DONE
    assert [line.split()[-2:] for line in capsys.readouterr().out.splitlines()] == [
        [who, "command=pause"] for who in ("ann", "bob", "eve")
    ]
    assert run(["audit", "show", "other", "--output", "json"]) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == []


def test_a_whole_trail_verifies_against_every_checkpoint_in_the_file(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = str(tmp_path / "kept.jsonl")
    for _ in range(2):
        assert run(["audit", "checkpoint", "--to", kept]) is ExitCode.DONE
        said(path, "dan")
    assert run(["audit", "verify", "--checkpoint", kept]) is ExitCode.DONE
    assert "5 entries: the chain verifies and holds what 2 checkpoints saw" in capsys.readouterr().out


def test_a_cut_tail_is_told_with_what_to_do_next(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.jsonl"
    assert run(["audit", "checkpoint"]) is ExitCode.DONE
    kept.write_text(capsys.readouterr().out)
    entries = list(audit.entries(SqliteJournal(path)))
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM entries WHERE key LIKE 'audit/%3'")
        head = json.dumps([2, entries[1].hash])
        connection.execute("UPDATE entries SET value = ? WHERE key = 'audit-head'", (head,))
    assert run(["audit", "verify"]) is ExitCode.DONE  # the chain alone cannot show it
    assert run(["audit", "verify", "--checkpoint", str(kept)]) is ExitCode.NOT_READY
    told = capsys.readouterr().out
    assert "saw entry 3, but the chain ends at 2: its tail was cut or all of it deleted" in told
    assert "find out whose hand it was" in told
    assert run(["audit", "checkpoint", "--to", str(kept)]) is ExitCode.NOT_READY
    assert "no checkpoint was taken" in capsys.readouterr().err
    assert len(kept.read_text().splitlines()) == 1


@pytest.mark.parametrize(("text", "found"), [("", "holds no checkpoint"), ("[1]\n", ":1 is no checkpoint")])
def test_a_file_without_checkpoints_checks_nothing_and_says_so(
    path: Path, tmp_path: Path, text: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept.jsonl").write_text(text)
    assert run(["audit", "verify", "--checkpoint", str(tmp_path / "kept.jsonl")]) is ExitCode.USAGE
    assert found in capsys.readouterr().err
