"""A whole failover with the journal on etcd, of whose members one dies in the middle of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.runtime import audit
from tests import etcd, etcd_binary
from tests.e2e.lab.faults import Faults
from tests.e2e.lab.observer import Watch
from tests.e2e.lab.world import Lab
from tests.e2e.operating import AT_CLOUD, FENCE_AT_DC, Operation
from tests.etcd import Cluster, Member, within

pytestmark = pytest.mark.lab


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Cluster]:
    with etcd.cluster(etcd_binary.find(), tmp_path) as found:
        yield found


def leader(members: Cluster) -> Member:
    return members.leader


def follower(members: Cluster) -> Member:
    return members.followers[0]


@pytest.mark.parametrize("which", [leader, follower])
async def test_a_member_of_the_journal_dies_while_the_power_is_being_cut(
    members: Cluster, lab: Lab, faults: Faults, watch: Watch, operation: Operation, which: Callable[[Cluster], Member]
) -> None:
    operation.describe(journal=f"etcd://{','.join(members.addresses)}/lab")
    dies = which(members)
    with operation.worker():
        faults.kill_host("pg-a")
        handle = await operation.failover()
        await operation.approve(handle)
        within(30, lambda: FENCE_AT_DC in {doubt.want.resource for doubt in operation.ledger.doubts}, "it is being cut")
        dies.kill()
        result = await operation.end(handle)
    assert result.end == "SUCCEEDED", result.why
    watch.see_service()
    assert lab.holder_of_floating() == ["pg-b"]
    assert (operation.requests(FENCE_AT_DC), operation.requests(AT_CLOUD)) == (["off"], ["primary"])
    record = operation.ledger
    assert (record.execution, record.doubts, record.holders) == (None, (), {"db": "cloud"})
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]
    assert audit.verify(operation.journal) is None
    members.recover()
    assert audit.verify(operation.journal) is None
