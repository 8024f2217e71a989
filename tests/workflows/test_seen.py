"""What a person sees in the Temporal UI, and what nobody may see there."""

from __future__ import annotations

import asyncio
import base64
import logging
import re

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHistory

from orchestrator.domain.commands import Abort
from tests.workflows.stage import CANARY, Handle, Stage, say, until
from workflows import search_attributes as attributes

FENCE = "db@az-a:toy"


async def _found(stage: Stage, query: str) -> bool:
    """The server's list knows this execution by these attributes: it is told of them with a delay."""
    ids = [found.id async for found in stage.client.list_workflows(f"DrGroup = '{stage.group}' AND {query}")]
    return ids == [f"failover/{stage.group}"]


async def test_executions_are_found_by_what_they_do_and_how_they_ended(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        await stage.may(handle, "approve")
        query = "DrMode = 'forced' AND DrTargetSite = 'az-b' AND DrPhase = 'AWAITING_APPROVAL'"
        await until(lambda: _found(stage, query))
        await stage.approved(handle)
        await handle.result()
        await until(lambda: _found(stage, "DrPhase = 'SUCCEEDED' AND DrOutcome = 'SUCCEEDED'"))
        described = (await handle.describe()).typed_search_attributes
        assert described[attributes.OUTCOME] == "SUCCEEDED"


def _summaries(history: WorkflowHistory) -> list[str]:
    """What the timeline shows beside each activity and timer."""
    return [e.user_metadata.summary.data.decode().strip('"') for e in history.events if _is_scheduled(e.event_type)]


def _is_scheduled(event_type: int) -> bool:
    return event_type in (10, 17)  # ACTIVITY_TASK_SCHEDULED, TIMER_STARTED


async def test_the_timeline_reads_like_a_runbooks_log(stage: Stage) -> None:
    async with stage.worker():
        await stage.failed_over()
        handle = stage.client.get_workflow_handle(f"failover/{stage.group}")
        summaries = _summaries(await handle.fetch_history())
    assert summaries[0] == f"plan forced to az-b from the runbook {stage.group}"
    assert "waiting for the approval" in summaries
    expected = (
        f"claim the group {stage.group} in the journal",
        "fence db at az-a: power off through toy",
        "db at az-b loses no more than was accepted",
        "promote db at az-b",
        "point name to az-b",
        "release the group, keep the report",
    )
    places = [summaries.index(summary) for summary in expected]
    assert places == sorted(places)
    assert all(summaries)


async def _details(handle: Handle) -> str:
    metadata: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return metadata.current_details


async def test_the_current_details_show_the_steps_and_what_can_be_done(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        now = await stage.may(handle, "approve")
        assert now.plan is not None
        details = await _details(handle)
        assert details.startswith(f"### {stage.group}: forced az-a → **az-b**: AWAITING_APPROVAL")
        assert now.plan.hash in details
        assert all(f"`{step.id}`" in details for step in now.plan.steps)
        assert f'"to": "az-b", "plan": "{now.plan.hash}"' in details
        stage.world.break_(FENCE, "before", "hang")
        await stage.approved(handle)
        await until(lambda: stage.world.reached(FENCE, "before"))
        assert re.search(r"\| [^|]*running[^|]* \| `db.fence`", await _details(handle))
        stage.world.mend()
        await handle.result()
        assert "**SUCCEEDED**" in await _details(handle)


async def test_a_secret_is_in_no_history_log_journal_or_process_list(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    with stage.process() as worker, caplog.at_level(logging.DEBUG):
        stage.world.break_("db@az-a", "observe", "leak")
        handle = await stage.failover()
        await stage.approved(handle)
        assert (await handle.result()).end == "SUCCEEDED"
        history = (await handle.fetch_history()).to_json()
        shown = [(await handle.query("snapshot")), await _details(handle), worker.command_line()]
    assert CANARY not in str(shown)
    assert CANARY not in history
    assert not any(CANARY.encode() in decoded for decoded in _payloads(history))
    assert CANARY not in (stage.directory / "worker.log").read_text()
    assert CANARY not in caplog.text
    assert not any(CANARY in value for value, _ in stage.journal.read("").values())
    assert CANARY in (stage.directory / "credentials.toml").read_text()  # so it was there to be found


def _payloads(history: str) -> list[bytes]:
    """The payloads in a history's JSON, in which they stand as base64."""
    return [base64.b64decode(data) for data in re.findall(r'"data": "([A-Za-z0-9+/=]*)"', history)]


async def test_an_execution_that_waits_makes_no_history(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        await stage.may(handle, "approve")
        before = await handle.describe()
        await asyncio.sleep(4)
        assert (await handle.describe()).history_length == before.history_length
        await say(handle, Abort(by="ann"))
        await handle.result()
