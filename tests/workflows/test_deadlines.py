"""What ends because nobody decides, on a server that skips time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import staged
from tests.workflows.stage import Stage

FENCE = "db@az-a:toy"


@pytest.fixture
async def skipping(time_skipping_env: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage on which hours pass while a test sleeps in the environment."""
    return await staged(tmp_path, time_skipping_env.client.service_client.config.target_host, monkeypatch)


async def test_an_approval_that_nobody_gives_expires(skipping: Stage, time_skipping_env: WorkflowEnvironment) -> None:
    async with skipping.worker():
        handle = await skipping.failover()
        await skipping.may(handle, "approve")
        await time_skipping_env.sleep(timedelta(minutes=16))
        result = await handle.result()
    assert (result.end, result.why) == ("REFUSED", "nobody approved in time: nothing was changed")
    assert skipping.world.effects() == []
    assert skipping.ledger.record().epoch == 0


async def test_an_execution_that_nobody_helps_is_handed_over(
    skipping: Stage, time_skipping_env: WorkflowEnvironment
) -> None:
    skipping.world.break_(FENCE, "before", "Rejected")
    async with skipping.worker():
        handle = await skipping.failover()
        await skipping.approved(handle)
        await skipping.waiting(handle)
        await time_skipping_env.sleep(timedelta(minutes=31))
        result = await handle.result()
    assert (result.end, result.why) == (
        "NEEDS_HUMAN", "nobody decided in time: db.fence: db@az-a:toy: Rejected at before",
    )  # fmt: skip
    assert f"tideover run {skipping.group} --to az-b --mode forced" in result.next_commands
    assert skipping.ledger.record().execution is None
