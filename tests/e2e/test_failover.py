"""The service moves to the other site and back, by failover and by switchover; the observer judges."""

from __future__ import annotations

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
        await operation.succeeds(await operation.failover(), max_loss="2m")
    watch.see_service()
    assert lab.holder_of_floating() == ["pg-b"]
    assert {names.lookup(server) for server in lab.name_servers} == {((lab.address("pg-b"),), names.TTL)}
    assert (operation.requests(FENCE_AT_DC), operation.requests(AT_CLOUD)) == (["off"], ["primary"])
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]
