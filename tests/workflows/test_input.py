"""What a person types wrong: one clear line, at once, with an example, and nothing is done."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from orchestrator.domain.commands import COMMANDS, Abort, OperatorInput
from tests.workflows.stage import Handle, Stage, one_line, raw, refused, say
from workflows.messages import FailoverRequest, SiteRequest

WRONG_REQUESTS = {
    "an empty form": ("Failover", (), "the input is empty"),
    "null": ("Failover", (raw("null"),), "the input is empty"),
    "nothing": ("Failover", (raw(""),), "the input is not JSON (Expecting value: line 1 column 1 (char 0))"),
    "not JSON": (
        "Failover",
        (raw('{"runbook": "shop",'),),
        "the input is not JSON (Expecting property name enclosed in double quotes: line 1 column 20 (char 19))",
    ),
    "not UTF-8": (
        "Failover",
        (raw(b'{"runbook": "\xff"}'),),
        "the input is not JSON ('utf-8' codec can't decode byte 0xff in position 13: invalid start byte)",
    ),
    "a text": ("Failover", (raw('"shop"'),), "the input: "),
    "a list": ("Failover", (raw("[]"),), "the input: "),
    "an unknown field": (
        "Failover",
        (raw('{"runbok": "shop", "runbook": "shop", "to": "az-b", "mode": "forced"}'),),
        "unknown field 'runbok'; did you mean 'runbook'?",
    ),
    "a missing field": ("Failover", (raw('{"runbook": "shop", "to": "az-b"}'),), "the field 'mode' is missing"),
    "a wrong mode": (
        "Failover",
        (raw('{"runbook": "shop", "to": "az-b", "mode": "fast"}'),),
        "mode: input should be 'planned' or 'forced'",
    ),
    "a word without a reason": (
        "Failover",
        (raw('{"runbook": "shop", "to": "az-b", "mode": "forced", "holder_is_gone": "x"}'),),
        "holder_is_gone: fewer than 8 letters: say what makes you certain",
    ),
    "an empty form for a site": ("Reprotect", (), "the input is empty"),
    "the wrong form": (
        "Reprotect",
        (raw('{"runbook": "shop", "to": "az-b", "mode": "forced"}'),),
        "the field 'at' is missing; unknown field 'to'; unknown field 'mode'",
    ),
    "no site to unfence": ("Unfence", (raw('{"runbook": "shop"}'),), "the field 'at' is missing"),
}


@pytest.mark.parametrize(("workflow", "request_", "said"), WRONG_REQUESTS.values(), ids=WRONG_REQUESTS)
async def test_a_wrong_start_fails_at_once_in_one_line(
    stage: Stage, workflow: str, request_: tuple[Any, ...], said: str
) -> None:
    async with stage.worker():
        handle = await stage.start(workflow, *request_)
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    line = one_line(caught.value.cause)
    example = FailoverRequest.EXAMPLE if workflow == "Failover" else SiteRequest.EXAMPLE
    assert line.startswith(said)
    assert line.endswith(f" (write for example {example})")
    assert stage.world.reached("db@az-a", "observe") == []


async def test_a_runbook_or_site_that_is_not_there_fails_at_once_in_one_line(stage: Stage) -> None:
    async with stage.worker():
        for request, said in (
            ({"runbook": f"{stage.group}x"}, f"there is no runbook '{stage.group}x' in {stage.directory}"),
            ({"to": "az-c"}, f"{stage.group}: there is no site to move to 'az-c'; did you mean 'az-b'?"),
        ):
            fields = {"runbook": stage.group, "to": "az-b", "mode": "forced", **request}
            handle = await stage.start("Failover", FailoverRequest.model_validate(fields))
            with pytest.raises(WorkflowFailureError) as caught:
                await handle.result()
            assert one_line(caught.value.cause).startswith(said)


WRONG_UPDATES = {
    "an empty form": ((), "the input is empty"),
    "null": ((raw("null"),), "the input is empty"),
    "not JSON": ((raw("yes"),), "the input is not JSON (Expecting value: line 1 column 1 (char 0))"),
    "an unknown field": ((raw('{"by": "ann", "force": true}'),), "unknown field 'force'"),
    "nobody": ((raw("{}"),), "the field 'by' is missing"),
}


@pytest.mark.parametrize(("said", "why"), WRONG_UPDATES.values(), ids=WRONG_UPDATES)
async def test_a_wrong_update_is_refused_in_one_line_and_leaves_nothing_in_the_history(
    stage: Stage, said: tuple[Any, ...], why: str
) -> None:
    async with stage.worker():
        handle = await stage.failover()
        await stage.may(handle, "approve")
        for model in COMMANDS:
            line = await refused(handle, model.__name__.lower(), *said)
            assert why in line
            assert line.endswith(f" (write for example {model.EXAMPLE})")
        await _ends_without_a_trace(handle)


async def _ends_without_a_trace(handle: Handle) -> None:
    """Its history knows no update but the one that ends it."""
    await say(handle, Abort(by="ann"))
    await handle.result()
    events = [event async for event in handle.fetch_history_events()]
    accepted = [e for e in events if e.HasField("workflow_execution_update_accepted_event_attributes")]
    assert len(accepted) == 1
    assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED


async def test_each_update_is_described_with_an_example(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        await stage.may(handle, "approve")
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        described = {update.name: update.description for update in metadata.definition.update_definitions}
        for model in COMMANDS:
            assert model.EXAMPLE in described.pop(model.__name__.lower())
        assert described == {}
        assert all(issubclass(model, OperatorInput) for model in COMMANDS)
        await say(handle, Abort(by="ann"))
        await handle.result()
