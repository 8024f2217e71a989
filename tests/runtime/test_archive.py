"""The records of ended executions: kept once, found by name, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.errors import NotFoundLocally
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.record import ExecutionRecord
from orchestrator.runtime import archive
from orchestrator.runtime.journal import SqliteJournal
from tests.domain.on_the_way import ended
from tests.domain.test_engine import scenarios


def record(number: int, group: str = "demo") -> ExecutionRecord:
    """A whole execution: the model world's, with every event."""
    last = ended(scenarios()[0].begun())
    plan = last.plan.model_copy(update={"group": group})
    execution = last.state.execution.model_copy(update={"id": f"{group}-{number}"})
    return ExecutionRecord(
        plan=plan,
        execution=execution,
        reason="test",
        record=GroupRecord(group=group),
        events=last.events,
        finish=last.state.finish,
    )


@pytest.fixture
def journal(tmp_path: Path) -> SqliteJournal:
    return SqliteJournal.create(tmp_path / "journal.db")


def test_a_record_comes_back_as_it_was_and_folds_to_the_same_end(journal: SqliteJournal) -> None:
    kept = record(1)
    name = archive.keep(journal, kept)
    found = archive.find(journal, name)
    assert found == kept
    assert found.state().finish == kept.finish
    assert found.state() == kept.state()


def test_records_are_numbered_within_their_group(journal: SqliteJournal) -> None:
    names = [archive.keep(journal, record(n, group)) for n, group in ((1, "demo"), (2, "demo"), (1, "shop"))]
    assert names == ["demo-1", "demo-2", "shop-1"]
    assert archive.names(journal) == names
    assert archive.names(journal, "demo") == ["demo-1", "demo-2"]
    assert archive.names(journal, "dem") == []


def test_keeping_a_record_twice_keeps_it_once(journal: SqliteJournal) -> None:
    assert archive.keep(journal, record(1)) == archive.keep(journal, record(1)) == "demo-1"
    assert archive.names(journal) == ["demo-1"]


def test_the_name_of_a_group_finds_its_newest(journal: SqliteJournal) -> None:
    for number in range(1, 13):
        archive.keep(journal, record(number))
    assert archive.find(journal, "demo").execution.id == "demo-12"
    assert archive.find(journal, "demo-2").execution.id == "demo-2"


def test_a_group_whose_name_ends_in_a_number_is_not_mistaken(journal: SqliteJournal) -> None:
    archive.keep(journal, record(1, "shop-2"))
    archive.keep(journal, record(1, "shop"))
    assert archive.find(journal, "shop-2").plan.group == "shop-2", "there is no second record of shop"
    assert archive.find(journal, "shop-2-1").plan.group == "shop-2"


def test_a_name_that_is_nowhere_is_said_with_the_newest_there_are(journal: SqliteJournal) -> None:
    with pytest.raises(NotFoundLocally, match="none yet"):
        archive.find(journal, "demo")
    archive.keep(journal, record(1))
    for name in ("shop", "demo-7", "", "demo-", "demo-x"):
        with pytest.raises(NotFoundLocally, match="demo-1"):
            archive.find(journal, name)
