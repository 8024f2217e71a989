"""Workers that die or freeze, and a server that does: the execution goes on, and nothing is done twice (I5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.app.temporal_binary import ServerBinary
from tests.workflows.conftest import staged
from tests.workflows.durable_server import DurableServer
from tests.workflows.stage import Handle, Stage, WorkerProcess, until
from tests.workflows.toy.world import Effect

FENCE, PROMOTE = "db@az-a:toy", "db@az-b"


async def _begun(stage: Stage, worker: WorkerProcess, resource: str, point: str) -> Handle:
    """An approved failover whose worker hangs at the point."""
    stage.world.break_(resource, point, "hang")
    handle = await stage.failover()
    await stage.approved(handle)
    await until(lambda: stage.world.reached(resource, point) == [worker.pid], lambda: f"nobody reached {point}")
    return handle


@pytest.mark.parametrize(("resource", "wanted"), [(FENCE, "power off"), (PROMOTE, "role primary")])
@pytest.mark.parametrize("point", ["before", "done"])
async def test_a_worker_killed_in_the_middle_is_replaced(stage: Stage, resource: str, wanted: str, point: str) -> None:
    with stage.process("first") as first:
        handle = await _begun(stage, first, resource, point)
        first.kill()
    done_before = [Effect(resource, wanted, first.pid)] if point == "done" else []
    assert stage.world.effects(resource) == done_before
    stage.world.mend()
    async with stage.worker():
        result = await handle.result()
    assert result.end == "SUCCEEDED", result.why
    assert [effect.state for effect in stage.world.effects(resource)] == [wanted]
    assert stage.ledger.record().holders == {"db": "az-b"}
    assert stage.world.writable() == ["az-b"]
    assert not stage.world.was_split()


@pytest.mark.parametrize("resource", [FENCE, PROMOTE])
async def test_a_frozen_worker_that_wakes_up_changes_nothing(stage: Stage, resource: str) -> None:
    with stage.process("frozen") as frozen:
        handle = await _begun(stage, frozen, resource, "before")
        with stage.world.left_alone():
            await frozen.freeze()
        stage.world.mend()
        async with stage.worker():
            result = await handle.result()
        assert result.end == "SUCCEEDED", result.why
        after = stage.world.things()
        frozen.thaw()
        await until(lambda: "refused" in _answers(stage), lambda: f"it has not come to its guard: {_answers(stage)}")
    assert stage.world.things() == after
    assert frozen.pid not in {effect.pid for effect in stage.world.effects(resource)}
    assert frozen.pid not in stage.world.reached(resource, "sent")
    assert not stage.world.was_split()


def _answers(stage: Stage) -> list[str]:
    """How the attempts have ended, one after the other."""
    return [entry.detail.get("outcome", "") for entry in stage.audited("ended")]


async def test_an_execution_outlives_the_temporal_server(
    temporal_binary: ServerBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = DurableServer(temporal_binary, tmp_path / "temporal.db")
    with server.running():
        await server.answers()
        stage = await staged(tmp_path, server.address, monkeypatch)
        async with stage.worker():
            handle = await stage.failover()
            stage.world.break_(FENCE, "sent", "hang")
            await stage.approved(handle)
            await until(lambda: stage.world.reached(FENCE, "sent"))
            server.kill()
            stage.world.mend()
            await until(lambda: stage.world.effects(FENCE))  # done while nobody could be told
            with server.running():
                await server.answers()
                result = await handle.result()
    assert result.end == "SUCCEEDED", result.why
    assert [effect.state for effect in stage.world.effects(FENCE)] == ["power off"]
    assert len(stage.world.effects(PROMOTE)) == 1
    assert not stage.world.was_split()
