"""Runbooks found by name: one name, one file, one group."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.app.library import RunbookLibrary
from orchestrator.app.registry import catalog
from orchestrator.domain.errors import NotFoundLocally, RunbookInvalid
from tests.domain import runbooks


@pytest.fixture
def library(tmp_path: Path) -> RunbookLibrary:
    for name in ("bare", "other"):
        (tmp_path / f"{name}.yaml").write_text(runbooks.BARE)
    return RunbookLibrary([tmp_path], catalog())


def test_a_file_holds_the_runbook_of_its_name(library: RunbookLibrary) -> None:
    assert library.names() == ["bare", "other"]
    assert library.runbook("bare").runbook == "bare"


def test_a_runbook_under_another_name_is_refused(library: RunbookLibrary) -> None:
    with pytest.raises(RunbookInvalid, match=r"it holds `runbook: bare`, and is looked for as 'other'"):
        library.runbook("other")


def test_a_name_that_is_not_there_names_the_near_one(library: RunbookLibrary) -> None:
    with pytest.raises(NotFoundLocally, match=r"there is no runbook 'othr' .* did you mean 'other'"):
        library.runbook("othr")
