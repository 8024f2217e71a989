"""Each benchmark still measures what it says, in one round: what it found is for people to read.

That of a failover needs the lab: `tests/e2e/test_failover_benchmark.py`."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import overhead, workers


def test_what_the_orchestration_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(overhead, "ROUNDS", 1)
    asyncio.run(overhead.main(tmp_path))
    assert "ratio" in capsys.readouterr().out


def test_how_soon_it_goes_on_without_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "ROUNDS", 1)
    with ExitStack() as stack:
        asyncio.run(workers.main(tmp_path, stack))
    told = capsys.readouterr().out
    assert told.count("next step") == told.count("ratio") == len(workers.AIMS)
