"""One schedule, carried out on one lab with real processes, and judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

from orchestrator.app.connection import connect
from orchestrator.app.executions import Executions
from orchestrator.app.temporal_binary import ServerBinary
from orchestrator.domain.plan import Plan
from tests.e2e.lab.observer import Watch
from tests.e2e.lab.world import Lab
from tests.e2e.operating import Operation
from tests.e2e.process_faults import verdict
from tests.e2e.process_faults.injecting import ControlPlane, Injecting
from tests.e2e.process_faults.operator import Operator
from tests.e2e.process_faults.schedule import ABORTED_AFTER, LEGS, Injection, Leg, LegName, Schedule
from tests.e2e.process_faults.stops import FOLDER, Stops
from tests.workflows.durable_server import DurableServer
from workflows.messages import Result


@dataclass
class Account:
    """What happened: how each leg ended at last, how each execution ended, and which faults have struck."""

    schedule: Schedule
    results: list[Result] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    struck: list[Injection] = field(default_factory=list)
    overtaken: list[Injection] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{', '.join(self.ends)}; faults that struck: {len(self.struck)}, {self.seconds:.1f} s: {self.schedule}"


async def carry_out(lab: Lab, binary: ServerBinary, schedule: Schedule, plans: dict[LegName, Plan]) -> Account:
    """What happened, and that every invariant held. Raises AssertionError where one did not, LabBroken where the lab
    failed."""
    begun, account = time.monotonic(), Account(schedule)
    watch = Watch(lab)
    async with _control_plane(lab, binary) as control:
        operator = Operator(control.operation)
        for leg in schedule.legs:
            await _run(leg, Injecting(lab, control, operator, _stops(lab), plans[leg.name]), account)
            if account.results[-1].end != "SUCCEEDED":
                break
        account.ends = operator.ends
        await verdict.give(lab, watch, control.operation, operator, account.results, schedule)
    account.seconds = time.monotonic() - begun
    return account


async def _run(leg: Leg, injecting: Injecting, account: Account) -> None:
    """The execution came to its end, and so did every fault whose moment came."""
    stops = [injecting.stops.set(injection.step, injection.moment) for injection in leg.injections]
    aborted_after = ABORTED_AFTER.get(leg.name)
    before = injecting.stops.set(aborted_after, "begun") if aborted_after else None
    seeing = asyncio.create_task(injecting.operator.sees_through(*LEGS[leg.name]))
    await asyncio.sleep(0)  # it has begun
    faults = zip(leg.injections, stops, strict=True)
    tasks = [asyncio.create_task(injecting.inject(injection, stop)) for injection, stop in faults]
    if aborted_after and before:
        tasks.append(asyncio.create_task(injecting.operator.aborts(aborted_after, before)))
    try:
        account.results.append(await seeing)
        await asyncio.gather(*tasks)
    finally:
        for task in (seeing, *tasks):
            task.cancel()
        injecting.stops.clear()
    account.struck += injecting.struck
    account.overtaken += injecting.overtaken


@asynccontextmanager
async def _control_plane(lab: Lab, binary: ServerBinary) -> AsyncIterator[ControlPlane]:
    database = lab.directory / "temporal.db"
    server = DurableServer(binary, database)
    with ExitStack() as running, server.running():
        await server.answers()
        operation = Operation(lab, server.address, Executions(await connect(address=server.address), ""))
        operation.program = ("tests.e2e.process_faults.worker",)
        operation.describe()
        operation.environment[FOLDER] = str(_stops(lab).folder)
        control = ControlPlane(operation, server, database, running)
        control.start_worker()
        yield control


def _stops(lab: Lab) -> Stops:
    folder = lab.directory / "stops"
    folder.mkdir(exist_ok=True)
    return Stops(folder)
