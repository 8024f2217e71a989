"""`tideover settle`: a person's word ends a doubt that nothing else could ever end, and stands in the trail."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import read
from orchestrator.domain.derivation import derive
from orchestrator.domain.ledger import Attempt, Execution, Request
from orchestrator.domain.plan import Plan
from orchestrator.runtime import audit
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal

LINKS = """
runbook: links
sites: {a: {provider: on-prem}, b: {provider: on-prem}}
failover: a -> b
components:
  link: {type: command, observe: [/bin/true], apply: [/bin/true]}
"""
SURE = "--reason", "I have seen its process end"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteJournal:
    library = tmp_path / "runbooks"
    library.mkdir()
    (library / "links.yaml").write_text(LINKS)
    monkeypatch.setenv("TIDEOVER_RUNBOOKS", str(library))
    monkeypatch.setenv("TIDEOVER_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    return SqliteJournal.create(tmp_path / "journal.db")


@pytest.fixture
def plan(journal: SqliteJournal, tmp_path: Path) -> Plan:
    runbook = read(tmp_path / "runbooks/links.yaml", catalog()).runbook
    assert runbook is not None
    return derive(runbook, catalog(), "b", "planned", journal.id)


def asked(journal: SqliteJournal, plan: Plan, *, ended: bool) -> None:
    """An execution has asked for the link and never learnt what came of it."""
    group = Group(journal, plan.group, "e1")
    held = Execution(id="e1", who="ann", plan=plan.digest, mode=plan.mode, target=plan.target, since=0.0)
    assert not isinstance(group.claim(plan, held), str)
    (step,) = plan.of_kind("switch")
    sent = Attempt(epoch=1, step=step.id, method=0, n=1)
    group.enter(Request(attempt=sent, want=step.wants[0], before=None, at=1.0), plan.digest, "ann")
    if ended:
        group.close(plan, 1, clean=False, detail={})


def told(journal: SqliteJournal) -> list[tuple[str, str, object]]:
    entries = [entry for entry in audit.entries(journal) if entry.detail.get("command") == "settle"]
    return [(entry.what, entry.who, entry.detail["reason"]) for entry in entries]


def test_a_word_ends_the_doubt_and_lets_go_what_it_held(
    journal: SqliteJournal, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(journal, plan, ended=True)
    assert journal.read("held/")
    assert run(["status", "links"]) is ExitCode.DONE
    assert 'once you know that it cannot: `tideover settle links link --reason "..."`' in _flat(capsys)
    assert run(["settle", "links", "link", "--by", "bob", *SURE]) is ExitCode.DONE
    assert "link: nothing is in doubt any more" in capsys.readouterr().out
    assert Group(journal, "links").record().doubts == ()
    assert {group for group, _ in journal.read("held/").values()} <= {""}
    assert told(journal) == [("command", "bob", SURE[1])]


def _flat(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_while_an_execution_holds_the_group_it_is_refused_and_the_trail_knows(
    journal: SqliteJournal, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(journal, plan, ended=False)
    assert run(["settle", "links", "link", "--by", "bob", *SURE]) is ExitCode.NOT_READY
    assert "links is held by e1" in capsys.readouterr().err
    assert len(Group(journal, "links").record().doubts) == 1
    assert told(journal) == [("refused", "bob", SURE[1])]


def test_a_word_without_a_reason_is_none(
    journal: SqliteJournal, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(journal, plan, ended=True)
    assert run(["settle", "links", "link", "--reason", "sure"]) is ExitCode.USAGE
    assert "say what makes you certain" in capsys.readouterr().err
    assert len(Group(journal, "links").record().doubts) == 1


def test_what_is_not_in_doubt_is_told(journal: SqliteJournal, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    asked(journal, plan, ended=True)
    assert run(["settle", "links", "lnk", *SURE]) is ExitCode.NOT_READY
    assert "nothing that was asked of lnk is in doubt; in doubt is link" in capsys.readouterr().err
