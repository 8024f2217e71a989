"""What orchestration costs: a 30-step plan of steps that do nothing, against the same number of bare activities.

Both run one after the other on the same embedded server, through the same worker; the plan with its journal on disk and
`synchronous=FULL`. The clock runs from the accepted approval to the end. Prints one ratio; the aim is 1.5 at most.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from orchestrator.app.holders import Holders
from orchestrator.app.temporal_binary import find_binary
from orchestrator.app.temporal_server import ServerOptions, start_embedded
from orchestrator.domain.catalog import Catalog, NoSettings, ResourceType
from orchestrator.domain.commands import Approve
from orchestrator.domain.runbook import Runbook
from orchestrator.domain.world import Holder, Reading, State
from orchestrator.ports import Binding, Call
from orchestrator.runtime.actor import Actor
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.credentials import ProfileCredentials
from orchestrator.runtime.journal import SqliteJournal
from workflows import search_attributes
from workflows.activities import Activities
from workflows.messages import FailoverRequest, Result, Snapshot
from workflows.plugin import TASK_QUEUE, TideoverPlugin

STEPS, ROUNDS, AIM = 30, 7, 1.5
BARE_QUEUE = "bare"
STARTED: dict[str, str] = {}


class Nothing:
    """A thing that goes wherever it is told, at once."""

    def __init__(self, binding: Binding[NoSettings, NoSettings]) -> None:
        self.name = binding.resource

    def observe(self) -> Reading:
        """Where it was told to be."""
        return Reading(states=(Holder(site=STARTED.get(self.name, "a")),), authority="nothing", authoritative=True)

    def apply(self, desired: State, observed: Reading, call: Call) -> None:  # noqa: ARG002 -- the port's names
        """It is there."""
        call.guard()
        assert isinstance(desired, Holder)  # noqa: S101
        STARTED[self.name] = desired.site or ""


class Nowhere:
    """One runbook: thirty things, each of which needs the one before."""

    def runbook(self, name: str) -> Runbook:
        """The chain."""
        chain = {f"c{n:02}": {"type": "command", "needs": [f"c{n - 1:02}"] if n else []} for n in range(STEPS)}
        sites: dict[str, Any] = {"a": {"provider": "none"}, "b": {"provider": "none"}}
        return Runbook.model_validate({"runbook": name, "sites": sites, "failover": "a -> b", "components": chain})


@activity.defn
async def bare() -> None:
    """Does nothing."""


@workflow.defn
class Bare:
    """As many activities as the plan has from its approval on, one after the other."""

    @workflow.run
    async def run(self, count: int) -> None:
        """Run them."""
        for _ in range(count):
            await workflow.execute_activity(bare, start_to_close_timeout=timedelta(seconds=10))


async def planned(client: Client, number: int) -> float:
    """Seconds from the accepted approval to the end of the plan."""
    STARTED.clear()
    handle = await client.start_workflow(
        "Failover", FailoverRequest(runbook="chain", to="b", mode="planned", by="bench"), id=f"plan-{number}",
        task_queue=TASK_QUEUE, result_type=Result,
    )  # fmt: skip
    async with asyncio.timeout(60):
        while True:
            snapshot = await handle.query("snapshot", result_type=Snapshot)
            if snapshot.plan and "approve" in snapshot.may:
                break
            await asyncio.sleep(0.05)
    began = time.perf_counter()
    await handle.execute_update("approve", Approve(by="bench", to="b", plan=snapshot.plan.hash))
    result = await handle.result()
    assert result.end == "SUCCEEDED", result  # noqa: S101
    return time.perf_counter() - began


async def unplanned(client: Client, number: int) -> float:
    """Seconds for the bare activities: the steps, and one each for the claim and the end."""
    began = time.perf_counter()
    await client.execute_workflow(Bare.run, STEPS + 2, id=f"bare-{number}", task_queue=BARE_QUEUE)
    return time.perf_counter() - began


async def main(directory: Path) -> None:
    """Print the medians and their ratio."""
    kind = ResourceType("bench.nothing", "command", "bench.overhead:Nothing", selectors=frozenset(), shared=True)
    journal = SqliteJournal.create(directory / "journal.db")
    adapters = Adapters(Catalog((kind,)), ProfileCredentials(None))

    binary = find_binary(lambda line: print(line, file=sys.stderr))
    async with AsyncExitStack() as stack:
        options = ServerOptions(search_attributes=search_attributes.ALL)
        server = await stack.enter_async_context(start_embedded(binary, options))
        activities = Activities(Actor(Nowhere(), adapters, journal), Holders(activity.client, journal))
        client = await Client.connect(server.address, plugins=[TideoverPlugin(activities)])
        plain = await Client.connect(server.address)
        await stack.enter_async_context(Worker(client, task_queue=TASK_QUEUE))
        await stack.enter_async_context(
            Worker(plain, task_queue=BARE_QUEUE, workflows=[Bare], activities=[bare],
                   workflow_runner=UnsandboxedWorkflowRunner())
        )  # fmt: skip
        pairs = [(await planned(client, n), await unplanned(plain, n)) for n in range(ROUNDS + 1)][1:]
    ratios = [one / other for one, other in pairs]
    with_plan, without = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{STEPS}-step plan of no-op steps   {with_plan:6.3f} s (median of {ROUNDS})")
    print(f"{STEPS + 2} bare activities           {without:6.3f} s")
    print(f"ratio                        {statistics.median(ratios):6.2f}   (aim: at most {AIM})")


if __name__ == "__main__":
    sys.modules["bench.overhead"] = sys.modules["__main__"]
    with tempfile.TemporaryDirectory() as found:
        asyncio.run(main(Path(found)))
