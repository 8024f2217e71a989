"""Records the executions in tests/app/records anew, on the demo's world: `python -m tests.app.recording`.

Each record is what the product itself kept in its journal at the end of a real execution. Run it where the models of
the domain have changed; what else an execution can meet is told by hand in tests/app/told.py.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client, WorkflowHandle

from orchestrator.app.demo.world import DemoWorld
from orchestrator.app.settings import Settings
from orchestrator.app.temporal_binary import find_binary
from orchestrator.app.temporal_server import ServerOptions, start_embedded
from orchestrator.app.worker import Composition, build_worker
from orchestrator.domain.commands import Approve, Attest, Escalate, OperatorInput
from orchestrator.ports import Journal
from orchestrator.runtime import archive
from orchestrator.runtime.journal import SqliteJournal
from workflows import search_attributes
from workflows.failover import Failover, Reprotect
from workflows.messages import FailoverRequest, Result, SiteRequest, Snapshot
from workflows.plugin import TASK_QUEUE

RECORDS = Path(__file__).parent / "records"
DIRECTORY = Path("/var/tmp/tideover-demo")  # noqa: S108 -- the one that runbooks/demo.yaml names: no path of this machine
ID = "failover/demo"
Handle = WorkflowHandle[Failover, Result] | WorkflowHandle[Reprotect, Result]


@dataclass
class Recorder:
    """Starts executions on the demo's world and keeps the records of those that are worth it."""

    world: DemoWorld
    client: Client
    journal: Journal

    async def forced(self, to: str, reason: str) -> Handle:
        """A forced failover, approved."""
        request = FailoverRequest(runbook="demo", to=to, mode="forced", by="ann", reason=reason)
        handle = await self.client.start_workflow(Failover.run, request, id=ID, task_queue=TASK_QUEUE)
        return await self.approved(handle)

    async def planned(self, to: str) -> Handle:
        """A planned switchover, approved where its checks let it be."""
        request = FailoverRequest(runbook="demo", to=to, mode="planned", by="ann", reason="CHG-7: back home")
        handle = await self.client.start_workflow(Failover.run, request, id=ID, task_queue=TASK_QUEUE)
        return await self.approved(handle)

    async def reprotect(self, at: str) -> Handle:
        """The old primary rebuilt."""
        request = SiteRequest(runbook="demo", at=at, by="ann", reason="INC-42")
        handle = await self.client.start_workflow(Reprotect.run, request, id=ID, task_queue=TASK_QUEUE)
        return await self.approved(handle)

    async def approved(self, handle: Handle) -> Handle:
        """The same, once it has been approved or has ended."""
        now = await self.until(handle, "approve")
        if now.finish is None and now.plan is not None:
            loss = "5m" if now.plan.mode == "forced" else None
            await asyncio.sleep(2.5)  # somebody reads it
            await self.say(handle, Approve(by="ann", to=now.plan.target, plan=now.plan.hash, max_loss=loss))
        return handle

    async def until(self, handle: Handle, may: str) -> Snapshot:
        """What it shows as soon as `may` may be said, or it has ended."""
        while True:
            now: Snapshot = await handle.query("snapshot", result_type=Snapshot)
            if now.finish or may in now.may:
                return now
            await asyncio.sleep(0.05)

    async def say(self, handle: Handle, said: OperatorInput) -> None:
        """A human has said it and it was taken."""
        await handle.execute_update(type(said).__name__.lower(), said)

    async def keep(self, handle: Handle, name: str) -> None:
        """Its record stands in the test data under this name."""
        result = await handle.result()
        record = archive.find(self.journal, result.report)
        RECORDS.mkdir(exist_ok=True)
        (RECORDS / f"{name}.json").write_text(record.model_dump_json(indent=1) + "\n")
        print(f"{name}: {result.end}: {result.why}")  # noqa: T201 -- a script says what it does

    @contextmanager
    def broken_fence(self) -> Iterator[None]:
        """The fence agent answers `status`, but cannot switch off."""
        agent = self.world.directory / "fence_demo"
        works = agent.read_text()
        refusing = 'options=$(cat)\ncase "$options" in *action=off*) echo "no answer from the BMC" >&2; exit 1;; esac\n'
        passing = works.replace("exec", 'printf "%s\\n" "$options" |')
        agent.write_text(passing.replace("#!/bin/sh\n", f"#!/bin/sh\n{refusing}"))
        try:
            yield
        finally:
            agent.write_text(works)


async def record_all(recorder: Recorder) -> None:
    """There and back, with what can go wrong on the way."""
    world = recorder.world
    world.kill_primary()
    await asyncio.sleep(3)  # somebody notices
    await recorder.keep(await recorder.forced("right", "INC-41: left is dark"), "forced")
    await recorder.keep(await recorder.reprotect("left"), "reprotect")
    await recorder.keep(await recorder.planned("left"), "planned")
    await recorder.keep(await recorder.planned("left"), "refused")
    await (await recorder.reprotect("right")).result()
    world.kill_primary()
    with recorder.broken_fence():
        stuck = await recorder.forced("right", "INC-42: left is dark again")
        await recorder.until(stuck, "attest")
        await asyncio.sleep(1.5)
        await recorder.say(stuck, Escalate(by="ann", reason="the BMC does not answer, somebody drives there"))
        await recorder.keep(stuck, "needs-human")
        vouched = await recorder.forced("right", "INC-42: left is dark, power cut by hand")
        await recorder.until(vouched, "attest")
        for who in ("ann", "bob"):
            await asyncio.sleep(1.0)
            said = Attest(by=who, step="db.fence", reason=f"{who} pulled the power cord of rack 4")
            await recorder.say(vouched, said)
        await recorder.keep(vouched, "attested")


async def main() -> None:
    """Every record is written."""
    with DemoWorld(DIRECTORY, print) as world:
        os.environ.update(world.environment)
        options = ServerOptions(search_attributes=search_attributes.ALL)
        async with start_embedded(find_binary(print), options) as server:
            path = world.directory / f"recording-{time.time():.0f}.db"
            SqliteJournal.create(path)
            settings = Settings(runbooks=[world.directory], journal=path, credentials=world.credentials)
            composition = Composition.of(settings)
            client, worker = await build_worker(composition, server.address)
            async with worker:
                await record_all(Recorder(world, client, composition.journal))


if __name__ == "__main__":
    asyncio.run(main())
