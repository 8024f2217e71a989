"""A group on the toy world, its journal and its worker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.app.journals import make_journal
from orchestrator.app.settings import Settings
from orchestrator.app.temporal_server import EmbeddedServer
from tests.app.on_temporal.shop import Shop
from tests.etcd import Cluster
from tests.workflows.stage import RUNBOOK
from tests.workflows.toy.world import VARIABLE, World


@pytest.fixture
def journal(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """What TIDEOVER_JOURNAL says: a file, or three real members where a test is run on `etcd` as well."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return str(tmp_path / "journal.db")
    cluster: Cluster = request.getfixturevalue("etcd_cluster")
    return f"etcd://{','.join(cluster.addresses)}/{uuid.uuid4().hex}"


@pytest.fixture
def shop(unstaffed: Shop) -> Iterator[Shop]:
    with unstaffed.worker():
        yield unstaffed


@pytest.fixture
def unstaffed(
    temporal_env: EmbeddedServer,
    tmp_path: Path,
    journal: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shop:
    """A group for which no worker runs, until the test starts one."""
    group, world = f"shop-{uuid.uuid4().hex[:8]}", World.create(tmp_path / "world.db")
    assert make_journal(Settings(journal=journal))
    (tmp_path / f"{group}.yaml").write_text(RUNBOOK.format(group=group))
    (tmp_path / "credentials.toml").write_text('[toy-db]\npassword = "secret"\n')
    settings = {
        VARIABLE: str(world.path),
        "TEMPORAL_ADDRESS": temporal_env.address,
        "TIDEOVER_JOURNAL": journal,
        "TIDEOVER_UI": temporal_env.ui,
        "TIDEOVER_REPORTS": str(tmp_path / "reports"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Shop(group, tmp_path, world, capsys, journal, temporal_env.address)
