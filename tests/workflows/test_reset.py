"""Reset in the UI: a run begins again from the middle of its history, with a ledger that has gone on without it."""

from __future__ import annotations

import uuid

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from tests.workflows.stage import Handle, Stage, until

PROMOTE = "db@az-b"


async def reset(stage: Stage, handle: Handle, after: str) -> Handle:
    """The run that begins again just after the first activity of this type has answered."""
    history = await handle.fetch_history()
    scheduled = next(
        event.event_id for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == after
    )  # fmt: skip
    answered = next(
        event.event_id for event in history.events
        if event.activity_task_completed_event_attributes.scheduled_event_id == scheduled and scheduled
    )  # fmt: skip
    task = next(
        event.event_id for event in history.events
        if event.event_id > answered and event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )  # fmt: skip
    request = ResetWorkflowExecutionRequest(
        namespace=stage.client.namespace, reason="somebody clicked", request_id=uuid.uuid4().hex,
        workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=handle.run_id or ""),
        workflow_task_finish_event_id=task,
    )  # fmt: skip
    answer = await stage.client.workflow_service.reset_workflow_execution(request)
    return stage.client.get_workflow_handle(handle.id, run_id=answer.run_id, result_type=handle._result_type)


async def hangs_at_the_name(stage: Stage) -> None:
    """Behind its guard; all else is done and answered."""
    await until(lambda: stage.world.reached("name", "sent"))
    await until(lambda: any("address.announce" in entry.detail["attempt"] for entry in stage.audited("ended")))
    await until(lambda: [doubt.want.resource for doubt in stage.ledger.record().doubts] == ["name"])


@pytest.mark.parametrize("after", ["claim", "fence"])
async def test_a_run_reset_behind_its_claim_changes_nothing_and_the_next_one_inherits(stage: Stage, after: str) -> None:
    """Its engine knows nothing of the promotion, and would give the old primary its power back when it is aborted."""
    async with stage.worker():
        stage.world.break_("name", "sent", "hang")
        handle = await stage.failover()
        await stage.approved(handle)
        await hangs_at_the_name(stage)
        effects, ledger = stage.world.effects(), stage.ledger.record()
        again = await reset(stage, handle, after)
        result = await again.result()
        assert result.end == "NEEDS_HUMAN"
        assert f"is held by {handle.id}#{handle.run_id}" in result.why
        assert f"not by {again.id}#{again.run_id}: that was taken over, or reset" in result.why
        assert result.why.count(" and not by ") == 1, "it is told once"
        assert result.next_commands[0] == f"tideover status {stage.group}"
        assert stage.world.effects() == effects
        assert stage.ledger.record().issued == ledger.issued
        assert stage.ledger.record().doubts == ledger.doubts
        stage.world.mend()
        last = await stage.failover()
        await stage.approved(last)
        assert (await last.result()).end == "SUCCEEDED"
    assert not stage.world.was_split()
    assert [effect.state for effect in stage.world.effects(PROMOTE)] == ["role primary"]
    assert stage.ledger.record().execution is None


async def test_a_run_reset_after_its_end_ends_at_its_first_look(stage: Stage) -> None:
    """It goes on behind its fence, and would wait for a human about what it finds, and hinder every other execution."""
    async with stage.worker():
        handle = await stage.failover()
        await stage.approved(handle)
        assert (await handle.result()).end == "SUCCEEDED"
        effects, ledger = stage.world.effects(), stage.ledger.record()
        result = await (await reset(stage, handle, "fence")).result()
        assert (result.end, stage.world.effects(), stage.ledger.record()) == ("NEEDS_HUMAN", effects, ledger)
        assert "nothing more was changed, and nothing undone" in result.why


async def test_a_run_reset_before_its_claim_asks_again_and_claims_nothing_on_what_it_read_then(stage: Stage) -> None:
    """What it read of the ledger is long past, and the worker of the old run still hangs behind its guard. Started
    again, it goes on from there, and nothing is done twice."""
    async with stage.worker():
        stage.world.break_("name", "sent", "hang")
        handle = await stage.failover()
        await stage.approved(handle)
        await hangs_at_the_name(stage)
        effects = stage.world.effects()
        again = await reset(stage, handle, "check")
        asked = await stage.may(again, "approve")
        assert asked.state is not None
        assert stage.world.effects() == effects
        assert stage.ledger.record().epoch == 1, "it claims nothing before it is approved"
        await stage.approved(again)
        refused = await again.result()
        assert (refused.end, stage.world.effects()) == ("REFUSED", effects)
        assert "was claimed since the checks, by" in refused.why
        anew = await stage.failover()
        await stage.approved(anew)
        await until(lambda: stage.ledger.record().epoch == 2)
        stage.world.mend()  # the old run's answer comes when the group is another's
        result = await anew.result()
        assert result.end == "SUCCEEDED", result.why
    assert not stage.world.was_split()
    assert stage.world.effects() == [*effects, *stage.world.effects("name")]
    assert len(stage.world.effects("name")) == 1
    record = stage.ledger.record()
    assert (record.holders, record.execution) == ({"db": "az-b"}, None)
    assert set(record.fenced.values()) == {"az-a"}
