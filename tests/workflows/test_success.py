"""Executions in which all goes well."""

from __future__ import annotations

from tests.workflows.stage import Stage


async def test_a_forced_failover_moves_the_service(stage: Stage) -> None:
    stage.world.lose_site("az-a")
    async with stage.worker():
        result = await stage.failed_over()
    assert stage.world.writable() == ["az-b"]
    things = stage.world.things()
    assert things["db@az-a:toy"]["power"] == "off"
    assert things["address"]["holder"] == "az-b"
    assert things["name"]["records"] == {"A": ["10.0.2.10"]}
    assert not stage.world.was_split()
    assert not result.protected
    assert stage.ledger.record().holders == {"db": "az-b"}
    assert stage.ledger.record().execution is None


async def test_a_forced_failover_fences_a_primary_that_still_writes(stage: Stage) -> None:
    async with stage.worker():
        await stage.failed_over()
    assert [e.state for e in stage.world.effects("db@az-a:toy")] == ["power off"]
    assert stage.world.writable() == ["az-b"]
    assert not stage.world.was_split()


async def test_there_and_back(stage: Stage) -> None:
    async with stage.worker():
        await stage.failed_over()
        rebuilt = await stage.reprotect()
        await stage.approved(rebuilt)
        protected = await rebuilt.result()
        assert (protected.end, protected.protected) == ("SUCCEEDED", True)
        back = await stage.failover("planned", "az-a")
        await stage.approved(back)
        assert (await back.result()).end == "SUCCEEDED"
    assert stage.world.writable() == ["az-a"]
    assert stage.world.things()["address"]["holder"] == "az-a"
    assert not stage.world.was_split()
