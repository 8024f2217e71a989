"""What was damaged or set up wrongly ends in one line that says what and where, with the way out; never in a fault."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.domain.errors import JournalUnavailable
from orchestrator.runtime import audit
from orchestrator.runtime.journal import SqliteJournal

JOURNAL = Path(".tideover") / "journal.db"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """An empty directory in which `tideover init` was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    assert run(["init"]) is ExitCode.DONE
    capsys.readouterr()
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], code: ExitCode, *command: str) -> str:
    assert run(command) is code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "fault of Tideover" not in said
    return said


def changed(place: Path, key: str, value: str) -> None:
    with sqlite3.connect(place / JOURNAL) as connection:
        connection.execute("UPDATE entries SET value = ? WHERE key = ?", (value, key))


def test_an_entry_of_the_audit_trail(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at in (1.0, 1e30):
        entry = audit.NewEntry(at=at, what="command", group="shop", who="ann", plan="p", detail={})
        audit.append(SqliteJournal(place / JOURNAL), entry)
    assert run(["audit", "show"]) is ExitCode.DONE
    assert "1e+30" in capsys.readouterr().out, "no such time"
    changed(place, "audit/000000000002", "{")
    said = told(capsys, ExitCode.NOT_READY, "audit", "show")
    assert "'audit/000000000002' cannot be read: it was damaged" in said
    assert "`tideover audit verify` tells how far it is whole" in said


def test_an_entry_of_the_audit_trail_that_is_no_text(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for who in ("ann", "bob"):
        entry = audit.NewEntry(at=1.0, what="command", group="shop", who=who, plan="p", detail={})
        audit.append(SqliteJournal(place / JOURNAL), entry)
    damage(place, "audit/000000000002")
    assert run(["audit", "verify"]) is ExitCode.NOT_READY
    assert "entry 2 is no entry any more: it was changed" in capsys.readouterr().out
    assert "'audit/000000000002' cannot be read: it was damaged" in told(capsys, ExitCode.NOT_READY, "audit", "show")
    assert "entry 2 is no entry any more" in told(capsys, ExitCode.NOT_READY, "audit", "checkpoint")
    damage(place, "audit-head")
    with pytest.raises(JournalUnavailable, match="the head of the audit trail was changed"):
        audit.append(SqliteJournal(place / JOURNAL), entry)
    damage(place, "journal/id")
    assert "is not a journal of Tideover" in told(capsys, ExitCode.NOT_READY, "audit", "show")


def damage(place: Path, key: str) -> None:
    """One byte of the value is changed, after which it is no UTF-8."""
    with sqlite3.connect(place / JOURNAL) as connection:
        (value,) = connection.execute("SELECT CAST(value AS BLOB) FROM entries WHERE key = ?", (key,)).fetchone()
        changed = (value[:10] + b"\xff" + value[11:], key)
        connection.execute("UPDATE entries SET value = CAST(? AS TEXT) WHERE key = ?", changed)


@pytest.mark.parametrize(
    ("key", "value"), [("records/shop", "{"), ("records/shop", "[1]"), ("record/shop/000001", "{}")]
)
def test_a_record_of_what_happened(place: Path, capsys: pytest.CaptureFixture[str], key: str, value: str) -> None:
    whole = {"records/shop": '["e1"]', "record/shop/000001": "{}"}
    assert SqliteJournal(place / JOURNAL).swap(*((name, text, 0) for name, text in whole.items()))
    changed(place, key, value)
    assert f"{key!r} cannot be read: it was damaged" in told(capsys, ExitCode.NOT_READY, "report", "shop")


def test_a_file_of_checkpoints_that_is_no_text(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "kept").write_bytes(b"\xff\xfe\x00")
    assert "kept is no text" in told(capsys, ExitCode.USAGE, "audit", "verify", "--checkpoint", "kept")


@pytest.mark.parametrize("command", [("audit", "verify"), ("audit", "show"), ("audit", "checkpoint")])
def test_a_journal_that_is_lost(place: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    """A new one knows of no doubt and no fence: that nothing of the group runs, two people vouch for first."""
    (place / JOURNAL).unlink()
    said = told(capsys, ExitCode.NOT_READY, *command)
    found = f"there is no journal at {JOURNAL}: restore it; if it is lost for good, two people vouch for a new one with"
    assert f"{found} --break-glass --journal-is-lost" in said
    assert said.index("restore it") < said.index("--journal-is-lost") < said.index("init")


@pytest.mark.parametrize("another", [False, True])
def test_a_file_that_is_no_journal(place: Path, capsys: pytest.CaptureFixture[str], another: bool) -> None:
    """An empty one is none: what had been in it is lost, and `init` must not put a new one in its place."""
    (place / JOURNAL).unlink()
    (place / JOURNAL).touch()
    if another:
        with sqlite3.connect(place / JOURNAL) as connection:
            connection.execute("CREATE TABLE songs (name TEXT)")
    for command in (["audit", "show"], ["init"]):
        said = told(capsys, ExitCode.NOT_READY, *command)
        assert "is not a journal of Tideover, or holds nothing any more: restore it" in said


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("variable", "value", "code", "said"),
    [
        ("TEMPORAL_ADDRESS", "bad address", ExitCode.NOT_READY, "no Temporal server answers at bad address"),
        ("TEMPORAL_PROFILE", "nope", ExitCode.USAGE, "Profile 'nope' not found"),
        ("TEMPORAL_CONFIG_FILE", "temporal.toml", ExitCode.USAGE, "TOML parse error"),
    ],
)
def test_the_way_to_temporal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, code: ExitCode,
    said: str,
) -> None:  # fmt: skip
    Path("temporal.toml").write_text("[profile.x\n")
    monkeypatch.setenv(variable, value)
    assert said in told(capsys, code, "follow", "shop")


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("journal = 5", "journal: Input should be a valid string"),
        ("journal = [1]", "journal: Input should be a valid string"),
        ("runbooks = 5", "runbooks: Input should be a valid list"),
        ("ui = 3", "ui: Input should be a valid string"),
    ],
)
def test_a_setting_of_the_wrong_kind(capsys: pytest.CaptureFixture[str], line: str, said: str) -> None:
    """A journal under the name `5` would be another journal."""
    Path("tideover.toml").write_text(f"{line}\n")
    assert said in told(capsys, ExitCode.USAGE, "doctor")
    assert not Path("5").exists()


NO_TEXT = "a\udcffb"
"""What Python makes of bytes on the command line that are no UTF-8."""
LONG = "a" * 100_000


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("run", "", "--to", "az-b", "--mode", "forced"), "argument 2 is empty"),
        (("run", "demo", "--to", "", "--mode", "forced"), "--to is empty"),
        (("unfence", "demo", "--at="), "--at is empty"),
        (("run", "demo", "--to", "b", "--mode", "forced", "--approve", ""), "--approve is empty: give it a value, or"),
        (("failback", "demo", "--approve", "", "--break-glass"), "--approve is empty"),
        (("checklist", "aws-two-zones", "--to", ""), "--to is empty"),
        (("plan", "aws-two-zones", "--to="), "--to is empty"),
        (("run", NO_TEXT, "--to", "az-b", "--mode", "forced"), "argument 2 is no text (UTF-8): 'a\\udcffb'"),
        (("run", "demo", "--to", "b", "--mode", "forced", "--break-glass", "--reason", NO_TEXT), "--reason is no text"),
        (("attest", "demo", NO_TEXT, "--reason", "I saw it dark"), "argument 3 is no text"),
        (("approve", "demo", "--to", "b", f"--plan={NO_TEXT}"), "--plan is no text"),
        (("settle", "demo", NO_TEXT, "--reason", "it has ended"), "argument 3 is no text"),
        (("report", NO_TEXT), "argument 2 is no text"),
        (("plan", LONG), "argument 2 has 100000 letters, and no name has more than 4096"),
        (("follow", LONG), "argument 2 has 100000 letters"),
        (("status", LONG[:300]), "there is no runbook 'aaa"),
        (("checklist", LONG[:300]), "there is no runbook 'aaa"),
        (("rehearse", f"/{LONG[:300]}"), "/aaa"),
    ],
)
def test_an_argument_of_which_nothing_can_be_made(
    capsys: pytest.CaptureFixture[str], line: tuple[str, ...], said: str
) -> None:
    assert said in told(capsys, ExitCode.USAGE, *line)


@pytest.mark.usefixtures("place")
def test_a_duration_below_zero_is_told_as_none(capsys: pytest.CaptureFixture[str]) -> None:
    for given in (["--max-loss", "-5s"], ["--max-loss=-5s"]):
        assert run(["run", "demo", "--to", "b", "--mode", "forced", *given]) is ExitCode.USAGE
        assert "'-5s' is no duration: write 90s, 5m or 1h30m" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_a_reason_may_be_empty(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    said = told(capsys, ExitCode.NOT_READY, "run", "demo", "--to", "b", "--mode", "forced", "--reason", "")
    assert "no Temporal server answers" in said


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("how", [(), ("--output", "json")])
def test_a_disk_that_is_full(how: tuple[str, ...]) -> None:
    argv = [sys.executable, "-m", "orchestrator.app.cli", "plan", "aws-two-zones", "--to", "az-b", "--mode", "forced"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([*argv, *how], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == ExitCode.NOT_READY
    assert ended.stderr == "tideover: what it prints cannot be written: No space left on device\n"
