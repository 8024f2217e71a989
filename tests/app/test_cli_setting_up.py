"""`init`, `doctor`, the exit codes, and what becomes of errors."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from orchestrator.app.cli import exits
from orchestrator.app.cli.application import COMMANDS, report_fault, run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import read
from orchestrator.app.settings import load
from orchestrator.domain.errors import InDoubt, JournalUnavailable, NotFoundLocally, RunbookInvalid, TideoverError
from orchestrator.domain.state import End
from orchestrator.runtime import audit
from orchestrator.runtime.journal import SqliteJournal


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory in which `tideover init` was said, without any Temporal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert run(["init"]) is ExitCode.DONE
    return tmp_path


def doctor(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    """Each check by its name; there is no Temporal, so it is never well."""
    capsys.readouterr()
    assert run(["doctor", "--output", "json"]) is ExitCode.NOT_READY
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def test_init_makes_settings_a_journal_and_runbooks_without_findings(place: Path) -> None:
    assert (place / "tideover.toml").is_file()
    assert SqliteJournal(place / ".tideover" / "journal.db").id
    files = sorted((place / "runbooks").glob("*.yaml"))
    assert files
    assert not [finding for file in files for finding in read(file, catalog()).findings]


def test_init_never_overwrites(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "tideover.toml").write_text('journal = "elsewhere.db"\n')
    journal = SqliteJournal(place / ".tideover" / "journal.db").id
    capsys.readouterr()
    assert run(["init"]) is ExitCode.DONE
    assert "kept  tideover.toml\nmade  elsewhere.db\n" in capsys.readouterr().out
    assert (place / "tideover.toml").read_text() == 'journal = "elsewhere.db"\n'
    assert SqliteJournal(place / ".tideover" / "journal.db").id == journal


@pytest.mark.usefixtures("place")
def test_doctor_names_what_is_missing_and_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    found = doctor(capsys)
    assert found["journal"]["level"] in ("ok", "warn")  # a test's directory may be in memory
    assert found["audit trail"]["level"] == "ok"
    assert found["credentials"]["level"] == "warn"
    assert found["aws-two-zones"]["found"].startswith("there is no credential profile 'shop-db'")
    assert "127.0.0.1:1" in found["Temporal"]["found"]


def test_a_setting_that_nothing_reads_is_an_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else a misspelt journal would be another one, beside which nothing is excluded (I6)."""
    (place / "tideover.toml").write_text('jurnal = "elsewhere.db"\n')
    capsys.readouterr()
    assert run(["doctor"]) is ExitCode.USAGE
    assert "tideover.toml: there is no setting 'jurnal'; did you mean 'journal'?" in capsys.readouterr().err


def test_doctor_names_what_a_profile_lacks(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place / "credentials.toml"
    file.touch(mode=0o600)
    file.write_text("[orders-db]\n[dc-bmc]\n[dc-pdu]\n[dns-key]\nkey_name = 'dr'\n")
    told = doctor(capsys)["on-prem-to-aws"]
    assert told["found"] == "the credential profile 'dns-key' has no key"
    assert told["way_out"] == "add it to the profile"


def test_doctor_refuses_credentials_that_others_can_read(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place / "credentials.toml"
    file.touch(mode=0o644)
    file.chmod(0o644)
    assert doctor(capsys)["credentials"]["way_out"] == "chmod 600 credentials.toml"
    file.chmod(0o600)
    assert doctor(capsys)["credentials"]["level"] == "ok"


def test_doctor_notices_a_changed_audit_trail(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = place / ".tideover" / "journal.db"
    for what in ("claimed", "finished"):
        entry = audit.NewEntry(at=1.0, what=what, group="shop", who="ann", plan="0", detail={})
        audit.append(SqliteJournal(path), entry)
    assert doctor(capsys)["audit trail"]["level"] == "ok"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET value = replace(value, 'ann', 'bob') WHERE key LIKE 'audit/%1'")
    assert doctor(capsys)["audit trail"]["level"] == "fail"


def test_doctor_notices_a_lost_journal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / ".tideover" / "journal.db").unlink()
    assert doctor(capsys)["journal"]["level"] == "fail"


def test_every_end_has_its_code_and_every_code_its_meaning() -> None:
    assert set(exits.OF_END) == set(End)
    assert set(exits.MEANING) == set(ExitCode)
    assert [int(code) for code in ExitCode] == list(range(12))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunbookInvalid("x"), ExitCode.FINDINGS),
        (NotFoundLocally("x"), ExitCode.USAGE),
        (JournalUnavailable("x"), ExitCode.NOT_READY),
        (InDoubt("x"), ExitCode.IN_DOUBT),
        (exits.Stopped(ExitCode.HUMAN_NEEDED), ExitCode.HUMAN_NEEDED),
    ],
)
def test_every_error_of_ours_has_a_code(error: TideoverError, code: ExitCode) -> None:
    assert exits.of_error(error) is code


def test_a_fault_of_ours_is_one_line_and_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        [][0]
    except IndexError as error:
        report_fault(error)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    file = Path(line.rpartition(" ")[2].strip())
    assert "IndexError" in file.read_text()
    file.unlink()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "--help"]) is ExitCode.DONE
    assert f"tideover {name}" in capsys.readouterr().out


def test_a_wrong_flag_is_a_matter_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--ouput", "json"]) is ExitCode.USAGE
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["one:other/two", '["one", "other/two"]'], ids=["as in PATH", "JSON"])
def test_folders_of_runbooks_are_given_in_the_environment(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEOVER_RUNBOOKS", given)
    assert load().runbooks == [Path("one"), Path("other/two")]
