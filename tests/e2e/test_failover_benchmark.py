"""The benchmark of a failover still measures what it says, in one round."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import failover

pytestmark = pytest.mark.lab


async def test_a_failover_beside_one_by_hand(
    lab_template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(failover, "ROUNDS", 1)
    await failover.main(lab_template)
    assert capsys.readouterr().out.count("ratio") == len(failover.AIMS)
