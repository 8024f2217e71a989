"""A server that skips time, for deadlines, TTLs and hold-downs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from orchestrator.app.temporal_binary import cache_directory

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
