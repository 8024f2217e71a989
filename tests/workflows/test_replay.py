"""Workflows are deterministic: what was, comes out again (stored histories), and what is now does too.

`python -m tests.workflows.recording` stores new histories, where a workflow was changed on purpose and no execution
of the older version can still be running; else the change needs a patch marker.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.workflows import scenarios
from tests.workflows.stage import Stage
from workflows.failover import ALL
from workflows.plugin import TideoverPlugin

STORED = {file.stem: file.read_text() for file in sorted((Path(__file__).parent / "histories").glob("*.json"))}


async def replayed(history: WorkflowHistory) -> None:
    """Raises where the workflow would now do something else."""
    result = await Replayer(workflows=[], plugins=[TideoverPlugin()]).replay_workflow(history)
    assert result.replay_failure is None


@pytest.mark.parametrize("name", STORED)
async def test_a_stored_history_is_replayed(name: str) -> None:
    for _ in range(5):  # what went by the order of a set, and so by addresses in memory, would differ between them
        await replayed(WorkflowHistory.from_json(name, STORED[name]))


def test_there_are_histories_of_every_workflow_and_scenario() -> None:
    assert {name.rpartition("-")[0] for name in STORED} == set(scenarios.ALL)
    stored = "".join(STORED.values())
    assert all(f'"workflowType":{{"name":"{workflow.__name__}"}}' in stored for workflow in ALL)


@pytest.mark.parametrize("name", scenarios.ALL)
@pytest.mark.filterwarnings("error")
async def test_a_fresh_history_is_replayed(stage: Stage, name: str) -> None:
    async with stage.worker():
        handles = await scenarios.ALL[name](stage)
    for handle in handles:
        await replayed(await handle.fetch_history())


async def test_a_changed_history_is_noticed() -> None:
    """The control: a replay that passes anything would prove nothing."""
    changed = STORED["forced-1"].replace('"name":"fence"', '"name":"promote"')
    assert changed != STORED["forced-1"]
    with pytest.raises(NondeterminismError):
        await replayed(WorkflowHistory.from_json("changed", changed))
