"""A stage for executions on a real server, and a server that skips time, for deadlines, TTLs and hold-downs."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from orchestrator.app.connection import connect
from orchestrator.app.temporal_binary import cache_directory
from orchestrator.app.temporal_server import EmbeddedServer
from orchestrator.runtime.journal import SqliteJournal
from tests.workflows.stage import CANARY, RUNBOOK, Stage
from tests.workflows.toy.world import VARIABLE, World
from workflows.plugin import TideoverPlugin

FETCH = Path(__file__).parents[2] / "scripts" / "time_skipping_server.py"
STARTUP_LIMIT = timedelta(seconds=60)  # Java on a loaded machine


@pytest.fixture(scope="session")
def time_skipping_server() -> str | None:
    """The command that starts the test server; None leaves it to the SDK's own download."""
    fetched = subprocess.run([sys.executable, FETCH], stdout=subprocess.PIPE, text=True, check=False)
    return fetched.stdout.strip() or None


@pytest_asyncio.fixture
async def time_skipping_env(time_skipping_server: str | None) -> AsyncIterator[WorkflowEnvironment]:
    """A test server of this test's own, since its clock is one for all workflows. Time runs ahead while a test awaits
    a workflow's result or `sleep`."""
    try:
        env = await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=time_skipping_server,
            download_dest_dir=str(cache_directory()),
            test_server_startup_timeout=STARTUP_LIMIT,
        )
    except RuntimeError as error:
        if time_skipping_server:
            raise
        pytest.skip(f"no time-skipping test server: neither from Maven Central nor from Temporal: {error}")
    async with env:
        yield env


async def staged(directory: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage in `directory`, on the server at `address`."""
    group = f"shop-{uuid.uuid4().hex[:8]}"
    world = World.create(directory / "world.db")
    SqliteJournal.create(directory / "journal.db")
    (directory / f"{group}.yaml").write_text(RUNBOOK.format(group=group))
    (directory / "credentials.toml").write_text(f'[toy-db]\npassword = "{CANARY}"\n')
    monkeypatch.setenv(VARIABLE, str(world.path))
    return Stage(directory, address, group, await connect(TideoverPlugin(), address), world)


@pytest_asyncio.fixture
async def stage(temporal_env: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A stage on the real server."""
    made = await staged(tmp_path, temporal_env.address, monkeypatch)
    yield made
    made.world.mend()  # what still hangs goes on to its end
