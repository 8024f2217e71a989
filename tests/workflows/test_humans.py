"""What humans can say while an execution runs, and what it then does."""

from __future__ import annotations

import re

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from orchestrator.domain.commands import Abort, Approve, Attest, Escalate, Pause, Resume, Retry, Skip
from tests.workflows.stage import Handle, Stage, refused, say, until
from workflows.messages import SiteRequest

FENCE, PROMOTE = "db@az-a:toy", "db@az-b"


async def _held(stage: Stage, resource: str, point: str) -> Handle:
    """An approved failover that stands at the point until the world is mended."""
    stage.world.break_(resource, point, "hang")
    handle = await stage.failover()
    await stage.approved(handle)
    await until(lambda: stage.world.reached(resource, point))
    return handle


async def _stuck(stage: Stage, resource: str) -> tuple[Handle, str]:
    """An approved failover that waits for a human since the resource refuses, and why."""
    stage.world.break_(resource, "before", "Rejected")
    handle = await stage.failover()
    await stage.approved(handle)
    return handle, await stage.waiting(handle)


async def test_pause_lets_what_runs_end_and_starts_nothing_more(stage: Stage) -> None:
    async with stage.worker():
        handle = await _held(stage, FENCE, "before")
        await say(handle, Pause(by="ann"))
        assert await refused(handle, "pause", Pause(by="bob")) == "it is paused already"
        stage.world.mend()
        await stage.shown(handle, lambda now: now.state and now.state.steps["db.fence"].evidence)
        now = await stage.may(handle, "resume")
        assert now.state is not None
        assert now.state.steps["db.measure"].status == "pending"
        assert stage.world.reached(PROMOTE, "before") == []
        await say(handle, Resume(by="ann"))
        assert (await handle.result()).end == "SUCCEEDED"


async def test_a_pause_before_the_approval_claims_nothing(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        await stage.may(handle, "pause")
        await say(handle, Pause(by="ann"))
        await stage.approved(handle)
        assert stage.ledger.record().execution is None
        await say(handle, Resume(by="ann"))
        assert (await handle.result()).end == "SUCCEEDED"


async def test_a_fence_that_was_refused_waits_and_can_be_tried_again(stage: Stage) -> None:
    async with stage.worker():
        handle, why = await _stuck(stage, FENCE)
        assert why == "db.fence: db@az-a:toy: Rejected at before"
        assert stage.world.writable() == ["az-a"]
        assert await refused(handle, "retry", Retry(by="ann", step="db.fense")) == (
            "there is no step 'db.fense'; did you mean 'db.fence'?"
        )
        assert await refused(handle, "retry", Retry(by="ann", step="db.promote")) == (
            "db.promote is pending: only a step that has failed or is unknown can be dealt with"
        )
        stage.world.mend()
        await say(handle, Retry(by="ann", step="db.fence"))
        assert (await handle.result()).end == "SUCCEEDED"


async def test_a_step_for_clients_can_be_skipped_and_a_fence_cannot(stage: Stage) -> None:
    async with stage.worker():
        handle, why = await _stuck(stage, "name")
        assert why.startswith("name.switch: name: Rejected")
        assert stage.world.writable() == ["az-b"]
        assert await refused(handle, "skip", Skip(by="ann", step="db.fence", reason="in a hurry")) == (
            "db.fence cannot be skipped: a skipped fence proves nothing (I2): attest it, retry, or abort"
        )
        await say(handle, Skip(by="ann", step="name.switch", reason="changed by hand"))
        assert (await handle.result()).end == "SUCCEEDED"
    assert stage.world.things()["name"]["records"] == {"A": ["10.0.1.10"]}


async def test_two_people_can_vouch_for_a_fence(stage: Stage) -> None:
    stage.world.lose_site("az-a")
    async with stage.worker():
        handle, _ = await _stuck(stage, FENCE)
        await say(handle, Attest(by="ann", step="db.fence", reason="I pulled its power cord"))
        assert await refused(handle, "attest", Attest(by="ann", step="db.fence", reason="I really did")) == (
            "ann has attested db.fence already: a second person must (FH)"
        )
        assert stage.world.reached(PROMOTE, "before") == []
        await say(handle, Attest(by="bob", step="db.fence", reason="I saw the cord in her hand"))
        assert (await handle.result()).end == "SUCCEEDED"
    assert stage.world.writable() == ["az-b"]
    assert stage.ledger.record().fenced == {FENCE: "az-a"}


async def test_what_people_have_cut_off_is_not_as_before_and_stands_until_it_is_unfenced(stage: Stage) -> None:
    stage.world.lose_site("az-a")
    stage.world.break_(PROMOTE, "before", "Rejected")
    async with stage.worker():
        handle, _ = await _stuck(stage, FENCE)
        for who in ("ann", "bob"):
            await say(handle, Attest(by=who, step="db.fence", reason="the power cord is pulled"))
        await stage.shown(handle, lambda now: now.state and now.state.waiting and "db.promote" in now.state.waiting.why)
        await say(handle, Abort(by="ann", reason="the standby is no good"))
        result = await handle.result()
        said = f"everything else is put back, but {FENCE} was cut off by hand, and is given back by hand"
        assert (result.end, result.why) == ("NEEDS_HUMAN", f"aborted by ann: the standby is no good; {said}")
        assert stage.world.things()["address"] == {"holder": "az-a"}
        assert stage.ledger.record().fenced == {FENCE: "az-a"}
        assert f"tideover unfence {stage.group} --at az-a" in result.next_commands
        stage.world.mend()
        unfence = await stage.start("Unfence", SiteRequest(runbook=stage.group, at="az-a", by="ann"))
        await stage.approved(unfence)
        assert (await unfence.result()).end == "SUCCEEDED"
    assert stage.ledger.record().fenced == {}


async def test_escalate_ends_and_says_how_to_go_on(stage: Stage) -> None:
    async with stage.worker():
        handle, _ = await _stuck(stage, FENCE)
        await say(handle, Escalate(by="ann", reason="the vendor is called"))
        result = await handle.result()
    assert (result.end, result.why) == ("NEEDS_HUMAN", "escalated by ann: the vendor is called")
    assert f"tideover unfence {stage.group} --at az-a" in result.next_commands
    assert stage.ledger.record().execution is None


@pytest.mark.parametrize("point", ["before", "sent", "done"])
async def test_an_abort_in_the_middle_puts_everything_back(stage: Stage, point: str) -> None:
    before = stage.world.things()
    async with stage.worker():
        handle = await _held(stage, FENCE, point)
        await say(handle, Abort(by="ann", reason="false alarm"))
        stage.world.mend()
        result = await handle.result()
    assert (result.end, result.why) == (
        "ABORTED_SAFE", "aborted by ann: false alarm; everything touched is as it was before",
    )  # fmt: skip
    assert stage.world.things() == before
    assert stage.ledger.record().fenced == {}


async def test_an_abort_while_it_waits_puts_everything_back(stage: Stage) -> None:
    before = stage.world.things()
    async with stage.worker():
        handle, _ = await _stuck(stage, FENCE)
        await say(handle, Abort(by="ann"))
        assert (await handle.result()).end == "ABORTED_SAFE"
    assert stage.world.things() == before
    assert stage.world.effects("address")  # so there was something to put back


async def test_more_loss_than_was_shown_must_be_accepted_anew(stage: Stage) -> None:
    stage.world.lag("az-b", 5)  # a standby that streams would vouch for all up to then
    async with stage.worker():
        handle = await _held(stage, FENCE, "before")
        stage.world.lag("az-b", 600)
        stage.world.mend()
        why = await stage.waiting(handle)
        assert re.match("db.measure: at most 10m.* would be lost, but only 60s are accepted", why)
        assert stage.world.writable() == []
        now = await stage.may(handle, "approve")
        assert now.plan is not None
        little = Approve(by="ann", to="az-b", plan=now.plan.hash, max_loss="5m")
        assert "more than `max_loss` of 5m" in await refused(handle, "approve", little)
        await say(handle, Approve(by="ann", to="az-b", plan=now.plan.hash, max_loss="30m"))
        assert (await handle.result()).end == "SUCCEEDED"


async def test_an_abort_after_the_promotion_was_requested_is_refused(stage: Stage) -> None:
    async with stage.worker():
        handle = await _held(stage, PROMOTE, "sent")
        why = await refused(handle, "abort", Abort(by="ann"))
        assert why == "the promotion of db was requested: from here on only forward, or a human decides"
        stage.world.mend()
        assert (await handle.result()).end == "SUCCEEDED"


async def test_a_cancel_in_the_ui_is_an_abort(stage: Stage) -> None:
    before = stage.world.things()
    async with stage.worker():
        handle = await _held(stage, FENCE, "done")
        await handle.cancel()
        await stage.shown(handle, lambda now: now.state and now.state.aborted)
        stage.world.mend()
        result = await handle.result()
    assert (result.end, result.why) == (
        "ABORTED_SAFE", "aborted by Temporal: the workflow was cancelled; everything touched is as it was before",
    )  # fmt: skip
    assert stage.world.things() == before


async def test_a_cancel_before_the_approval_ends_it(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        await stage.may(handle, "approve")
        await handle.cancel()
        result = await handle.result()
    assert (result.end, stage.world.effects()) == ("ABORTED_SAFE", [])


async def test_a_cancel_before_any_worker_has_seen_it_ends_it(stage: Stage) -> None:
    handle = await stage.failover()
    await handle.cancel()
    async with stage.worker():
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    assert isinstance(caught.value.cause, CancelledError)
    assert stage.world.effects() == []


async def test_a_cancel_after_the_promotion_was_requested_is_ignored(stage: Stage) -> None:
    async with stage.worker():
        handle = await _held(stage, PROMOTE, "before")
        await handle.cancel()
        await until(lambda: _cancel_seen(handle))
        stage.world.mend()
        assert (await handle.result()).end == "SUCCEEDED"
    assert stage.world.writable() == ["az-b"]


async def _cancel_seen(handle: Handle) -> bool:
    """The workflow has had a task after the request to cancel."""
    seen = False
    async for event in handle.fetch_history_events():
        seen = seen or event.HasField("workflow_execution_cancel_requested_event_attributes")
        if seen and event.HasField("workflow_task_completed_event_attributes"):
            return True
    return False
