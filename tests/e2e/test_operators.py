"""What people may not do: two at once, and more loss than was accepted; nothing is changed by what is refused."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowFailureError

from orchestrator.app.executions import AlreadyRunning
from orchestrator.domain.checks import current_loss
from orchestrator.domain.commands import Abort
from tests.e2e.lab import description, names
from tests.e2e.lab.faults import Faults
from tests.e2e.lab.judge import Report
from tests.e2e.lab.observer import Watch
from tests.e2e.lab.world import Lab
from tests.e2e.operating import AT_CLOUD, FENCE_AT_DC, Operation, approval

pytestmark = pytest.mark.lab


def _unchanged(lab: Lab, verdict: Report) -> None:
    """The service is where it was, and nothing has gone with it."""
    assert {controller.power() for controller in lab.bmcs.values()} == {"on"}
    assert {name: server.writable for name, server in lab.databases.items()} == {"pg-a": True, "pg-b": False}
    assert lab.holder_of_floating() == ["pg-a"]
    assert {names.lookup(server) for server in lab.name_servers} == {((lab.address("pg-a"),), names.TTL)}
    assert verdict.overlaps == ()
    assert verdict.lost == ()


# ---- two at once


async def test_of_two_operators_the_second_is_refused_with_the_holders_name(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    description.write(lab, runbook="other")  # another group that moves the same address, name and machines
    with operation.worker(), faults.cut_bmc("pg-a"):
        first = await operation.failover(by="ann")
        await operation.approve(first)
        await operation.waiting(first)  # it holds the group, and has got no fence

        with pytest.raises(AlreadyRunning) as caught:
            await operation.failover(by="ben")
        assert "started by ann" in str(caught.value)
        assert f"{first.id}#{first.run_id}" in str(caught.value)

        by_another_name = await operation.failover_as(f"{first.id}/by-hand", by="ben")
        with pytest.raises(WorkflowFailureError) as held:
            await by_another_name.result()
        assert f"{first.id}#{first.run_id}, forced to cloud, started by ann" in str(held.value.cause)

        of_another_group = await operation.failover_as(f"{first.id}/other", by="ben", runbook="other")
        await operation.approve(of_another_group, by="ben")
        refused = await operation.end(of_another_group)
        assert refused.end == "REFUSED"
        assert f"in use by the group {operation.group}" in refused.why

        await operation.say(first, Abort(by="ann", reason="the scenario has seen enough"))
        assert (await operation.end(first)).end == "ABORTED_SAFE"
    assert operation.requests(AT_CLOUD) == operation.requests(FENCE_AT_DC) == []
    watch.see_service()
    _unchanged(lab, watch.report())


# ---- the loss that is accepted


async def test_a_lag_beyond_the_objective_is_not_approved_by_default(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    operation.describe(objectives={"rto": "30s", "rpo": "1s"})
    with operation.worker(), faults.lag("pg-b"):
        await asyncio.sleep(1.5)
        handle = await operation.failover()
        offered = await operation.shown(handle, lambda now: "approve" in now.may)
        assert "more than the runbook's RPO of 1s" in await operation.refused(handle, approval(offered, max_loss=None))
        assert "more than `max_loss` of 1s" in await operation.refused(handle, approval(offered, max_loss="1s"))
        await operation.say(handle, Abort(by="ann", reason="that is too much"))
        assert (await operation.end(handle)).end == "ABORTED_SAFE"
        assert operation.ledger.execution is None, "nothing was claimed"
    assert operation.requests(FENCE_AT_DC) == []
    assert operation.requests("address") == []
    _unchanged(lab, watch.report())


async def test_a_loss_that_grew_until_the_fence_is_asked_about_again(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    operation.describe(objectives={"rto": "30s", "rpo": "1s"})
    with operation.worker():
        faults.lag("pg-b")
        await asyncio.sleep(1.5)
        handle = await operation.failover()
        offered = await operation.shown(handle, lambda now: "approve" in now.may)
        assert offered.plan is not None
        assert offered.state is not None
        shown = current_loss(offered.plan, offered.state)
        assert shown is not None
        assert shown.seconds is not None
        await operation.say(handle, approval(offered, max_loss=f"{shown.seconds + 0.2:.2f}s"))
        waiting = await operation.waiting(handle)
        assert waiting.loss is not None
        assert waiting.loss.seconds is not None
        assert waiting.steps == ("db.measure",)
        assert waiting.loss.seconds > shown.seconds, "it grew until the fence"
        assert operation.requests(AT_CLOUD) == []
        assert lab.bmcs["pg-a"].power() == "off"
        await operation.say(handle, approval(offered, max_loss=f"{waiting.loss.seconds + 1:.0f}s"))
        assert (await operation.end(handle)).end == "SUCCEEDED"
    watch.see_service()
    verdict = watch.report()
    lost = watch.lost(verdict)
    assert verdict.overlaps == ()
    assert lost, "the standby did lag"
    assert lost[-1].executed - lost[0].executed <= waiting.loss.seconds, "no more than was shown (I3)"
