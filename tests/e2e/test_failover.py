"""The service moves to the other site and back, by failover and by switchover; the observer judges."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.lab import names
from tests.e2e.lab.faults import Faults
from tests.e2e.lab.observer import Watch
from tests.e2e.lab.world import Lab
from tests.e2e.operating import AT_CLOUD, FENCE_AT_DC, Operation

pytestmark = pytest.mark.lab


async def test_a_dead_host_is_failed_over(lab: Lab, faults: Faults, watch: Watch, operation: Operation) -> None:
    with operation.worker():
        faults.kill_host("pg-a")
        handle = await operation.failover()
        await operation.succeeds(handle)
        ended = await operation.shown(handle, lambda now: now.finish)
    watch.see_service()
    assert lab.holder_of_floating() == ["pg-b"]
    assert {names.lookup(server) for server in lab.name_servers} == {((lab.address("pg-b"),), names.TTL)}
    assert (operation.requests(FENCE_AT_DC), operation.requests(AT_CLOUD)) == (["off"], ["primary"])
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]
    assert ended.state is not None
    fence, measured = ended.state.steps["db.fence"].evidence, ended.state.loss_measured
    assert fence is not None
    assert measured is not None
    assert measured.seconds is not None
    assert all(lost.executed >= fence.read_at - measured.seconds for lost in watch.lost(verdict)), (
        "the bound holds (I3)"
    )


async def test_a_switchover_loses_nothing(
    lab: Lab, watch: Watch, operation: Operation, record_property: Callable[[str, object], None]
) -> None:
    with operation.worker():
        watch.see_service()
        await operation.succeeds(await operation.failover("planned"))
    watch.see_service()
    assert lab.holder_of_floating() == ["pg-b"]
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert verdict.lost == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]
    for client in ("by-address", "by-name"):
        record_property(f"outage_seconds_{client}", round(verdict.views[client].outage_seconds, 2))


async def test_the_old_primary_is_rebuilt_and_the_service_goes_back(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    with operation.worker():
        faults.kill_host("pg-a")
        await operation.succeeds(await operation.failover())
        await operation.succeeds(await operation.reprotect("dc"))
        lab.databases["pg-b"].wait_for_streaming()
        watch.see_service()
        assert not lab.databases["pg-a"].writable
        assert operation.ledger.fenced == {}
        await operation.succeeds(await operation.failover("planned", to="dc"))
    watch.see_service()
    assert lab.holder_of_floating() == ["pg-a"]
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2), ("dc", 3)]
    gone_with_the_host = verdict.terms[0].ends
    assert all(a.executed <= gone_with_the_host for a in watch.lost(verdict)), "the way back has lost nothing"
