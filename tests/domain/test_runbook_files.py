"""Runbooks as files: those of this repository, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import MAX_BYTES, read
from orchestrator.domain.errors import NotFoundLocally, RunbookInvalid
from tests.domain.runbooks import FOLDER


def test_a_file_that_is_not_utf8_is_a_finding_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_bytes(b"runbook: shop\nowner: J\xfcrgen\n")
    found = read(file, catalog())
    told = f"{file}:2:1: YAML not UTF-8 at byte 22: invalid start byte"
    assert [str(finding) for finding in found.findings] == [told]
    with pytest.raises(RunbookInvalid, match="not UTF-8 at byte 22"):
        found.valid()


def test_a_file_too_large_for_a_runbook_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "image.yaml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(NotFoundLocally, match="is no runbook"):
        read(file, catalog())


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_runbook_in_the_repository_is_without_findings(file: Path) -> None:
    assert read(file, catalog()).valid().runbook == file.stem
