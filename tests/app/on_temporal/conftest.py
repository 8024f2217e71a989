"""A group on the toy world, its journal and its worker."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.app.journals import make_journal
from orchestrator.app.settings import Settings
from orchestrator.app.temporal_server import EmbeddedServer
from orchestrator.app.worker import build_worker
from tests.app.on_temporal.shop import Shop
from tests.etcd import Cluster
from tests.workflows.stage import RUNBOOK
from tests.workflows.toy.worker import composition
from tests.workflows.toy.world import VARIABLE, World
from workflows.plugin import TASK_QUEUE


@pytest.fixture
def journal(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """What TIDEOVER_JOURNAL says: a file, or three real members where a test is run on `etcd` as well."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return str(tmp_path / "journal.db")
    cluster: Cluster = request.getfixturevalue("etcd_cluster")
    return f"etcd://{','.join(cluster.addresses)}/{uuid.uuid4().hex}"


@pytest.fixture
def shop(
    temporal_env: EmbeddedServer,
    tmp_path: Path,
    journal: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shop]:
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
    with _worker(tmp_path, temporal_env.address, journal):
        yield Shop(group, tmp_path, world, capsys, journal)


@contextmanager
def _worker(directory: Path, address: str, journal: str) -> Iterator[None]:
    """A worker in a thread, since the command line runs a loop of its own."""
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def work() -> None:
        _, worker = await build_worker(composition(directory, journal), address, TASK_QUEUE)
        async with worker:
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(work(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()
