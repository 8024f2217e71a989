"""Nothing is changed before a human has approved exactly what will be done."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowUpdateFailedError

from orchestrator.domain.commands import Abort, Approve, Escalate
from tests.workflows.stage import Handle, Stage, one_line, refused, say


async def _accepted(handle: Handle) -> int:
    events = [event async for event in handle.fetch_history_events()]
    return len([e for e in events if e.HasField("workflow_execution_update_accepted_event_attributes")])


async def test_a_start_by_hand_changes_nothing_until_it_is_approved(stage: Stage) -> None:
    before = stage.world.things()
    async with stage.worker():
        handle = await stage.failover()
        now = await stage.may(handle, "approve")
        assert now.plan is not None
        assert f'"to": "az-b", "plan": "{now.plan.hash}"' in now.may["approve"]
        assert stage.world.effects() == []
        assert stage.world.reached("db@az-a:toy", "before") == []
        assert stage.ledger.record().epoch == 0
        assert stage.audited("claimed") == []
        await say(handle, Abort(by="ann", reason="only looking"))
        result = await handle.result()
    assert (result.end, result.why) == ("ABORTED_SAFE", "aborted by ann: only looking; nothing was changed")
    assert stage.world.things() == before
    assert stage.ledger.record().epoch == 0


async def test_an_approval_must_name_the_target_and_the_plan(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        now = await stage.may(handle, "approve")
        assert now.plan is not None
        right = now.plan.hash
        for fields, why in (
            ({"to": "az-a"}, "`to` is 'az-a', but this execution goes to 'az-b'"),
            (
                {"plan": "0123456789ab"},
                f"`plan` is '0123456789ab', but the plan is '{right}': read it again before you approve (I7)",
            ),
        ):
            said = Approve.model_validate({"by": "ann", "to": "az-b", "plan": right, **fields})
            assert await refused(handle, "approve", said) == why
        assert await refused(handle, "escalate", Escalate(by="ann")) == "nothing was begun yet: use abort"
        assert await _accepted(handle) == 0
        assert stage.world.effects() == []
        await say(handle, Abort(by="ann"))
        await handle.result()


async def test_an_approval_must_accept_the_loss_that_is_known(stage: Stage) -> None:
    stage.world.lag("az-b", 600)
    async with stage.worker():
        handle = await stage.failover()
        now = await stage.may(handle, "approve")
        assert now.plan is not None
        assert '"max_loss": "' in now.may["approve"]
        for given, name in ({}, "the runbook's RPO of 60s"), ({"max_loss": "2m"}, "`max_loss` of 2m"):
            said = Approve.model_validate({"by": "ann", "to": "az-b", "plan": now.plan.hash, **given})
            why = await refused(handle, "approve", said)
            assert why.startswith("at most 10m")
            assert f"would be lost, more than {name}: accept it by name with " in why
        assert await _accepted(handle) == 0
        assert stage.world.effects() == []
        await stage.approved(handle, max_loss="15m")
        assert (await handle.result()).end == "SUCCEEDED"


async def test_nothing_is_said_to_an_execution_that_has_ended_its_approval(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        now = await stage.approved(handle)
        assert now.plan is not None
        await stage.shown(handle, lambda now: now.state and now.state.claimed)
        again = Approve(by="bob", to="az-b", plan=now.plan.hash)
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update("approve", again)
        assert one_line(caught.value.cause) == "nothing waits for an approval"
        await handle.result()


async def test_what_the_checks_found_is_refused_before_anybody_is_asked(stage: Stage) -> None:
    stage.world.break_("db@az-b", "observe", "Unreachable")
    async with stage.worker():
        handle = await stage.failover()
        result = await handle.result()
    assert result.end == "REFUSED"
    assert result.why.startswith("db at az-b: db@az-b: Unreachable at observe")
    assert stage.world.effects() == []
    assert stage.ledger.record().epoch == 0
