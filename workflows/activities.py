"""The activities: the only door from a workflow to the world. Each is named like the kind of step that it does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio import activity

from orchestrator.domain.derivation import derive
from orchestrator.domain.ensure import Goal
from orchestrator.domain.errors import ProviderError, TideoverError
from orchestrator.domain.outcome import Failed
from orchestrator.domain.plan import CHANGES, Kind
from orchestrator.domain.state import End
from orchestrator.ports import Journal, Runbooks
from orchestrator.runtime import archive, audit, looking
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.effect import Order, perform
from orchestrator.runtime.group import Group
from workflows.conversion import refused
from workflows.messages import (
    CheckReply,
    CheckRequest,
    ClaimReply,
    ClaimRequest,
    CloseReply,
    CloseRequest,
    EffectReply,
    EffectRequest,
    LookReply,
    LookRequest,
    Planned,
    PlanRequest,
)

T = TypeVar("T")

HEARTBEAT = 1.0
"""Seconds between two heartbeats. The worker must not hold them back: by default the SDK sends the next one only after
80 % of the time-out, and a busy host would pass for a dead one."""

_THREADS = ThreadPoolExecutor(max_workers=100, thread_name_prefix="activity")
"""One for each activity that the SDK runs at the same time: in asyncio's own pool, which has as few as six threads, a
few adapters that hang would hold up every fence and claim behind them."""

LOOKS: tuple[Kind, ...] = ("measure", "catch_up", "verify", "release")


@dataclass(frozen=True)
class Activities:
    """All activities of a worker. `is_gone` tells of an execution's ID whether it surely runs no more."""

    runbooks: Runbooks
    adapters: Adapters
    journal: Journal
    is_gone: Callable[[str], Awaitable[bool]]

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        effects = [self._effect(kind) for kind in (*sorted(CHANGES), "undo")]
        return [self.plan, self.check, self.claim, self.close, *effects, *(self._look(kind) for kind in LOOKS)]

    @activity.defn(name="plan")
    async def plan(self, request: PlanRequest) -> Planned:
        """The plan that follows from the runbook as it is now, and the group's ledger."""
        try:
            return await in_thread(lambda _: self._planned(request))
        except TideoverError as error:
            raise refused(str(error)) from None

    @activity.defn(name="check")
    async def check(self, request: CheckRequest) -> CheckReply:
        """A reading or an error of every resource."""
        openers = {name: _opener(self.adapters, spec) for name, spec in request.resources.items()}
        readings, errors = await in_thread(lambda _: looking.check(openers))
        return CheckReply(readings=readings, errors=errors)

    @activity.defn(name="claim")
    async def claim(self, request: ClaimRequest) -> ClaimReply:
        """The group claimed for this execution, or the holder's name."""
        group = Group(self.journal, request.plan.group)
        holder = (await in_thread(lambda _: group.record())).execution
        gone = holder is not None and holder.id != request.execution.id and await self.is_gone(holder.id)
        claimed = await in_thread(lambda _: group.claim(request.plan, request.execution, gone, request.read_at))
        return ClaimReply(record=None, refused=claimed) if isinstance(claimed, str) else ClaimReply(record=claimed)

    @activity.defn(name="close")
    async def close(self, request: CloseRequest) -> CloseReply:
        """The group released and the record of the execution kept."""
        return await in_thread(lambda _: self._closed(request))

    def _planned(self, request: PlanRequest) -> Planned:
        catalog = self.adapters.catalog
        plan = derive(self.runbooks.runbook(request.runbook), catalog, request.to, request.mode, self.journal.id)
        return Planned(plan=plan, record=Group(self.journal, plan.group).record())

    def _closed(self, request: CloseRequest) -> CloseReply:
        record, finish = request.record, request.record.finish
        warning = ""
        if request.epoch is not None and finish is not None:
            clean = finish.end is not End.NEEDS_HUMAN
            detail = {"execution": record.execution.id, "end": str(finish.end), "why": finish.why}
            try:
                Group(self.journal, record.plan.group).close(record.plan, request.epoch, clean, detail)
            except TideoverError as error:
                warning = str(error)
        report = archive.keep(self.journal, record)
        return CloseReply(report=report, warning=warning, checkpoint=audit.checkpoint(self.journal))

    def _effect(self, kind: str) -> Callable[[EffectRequest], Awaitable[EffectReply]]:
        async def effect(request: EffectRequest) -> EffectReply:
            return await in_thread(lambda cancelled: self._performed(request, cancelled))

        effect.__doc__ = f"The wanted state of one `{kind}` read back, or why not."
        return activity.defn(name=kind)(effect)

    def _performed(self, request: EffectRequest, cancelled: Callable[[], bool]) -> EffectReply:
        try:
            resource = self.adapters.open(request.resource)
        except ProviderError as error:
            return EffectReply(outcome=Failed(why=str(error)))
        goal = Goal(
            resource=request.want.resource,
            desired=request.want.desired,
            may_be_there=request.may_be_there,
            identity=request.identity,
            patience=request.patience,
        )
        order = Order(
            attempt=request.attempt,
            want=request.want,
            goal=goal,
            before=request.before,
            plan=request.plan,
            who=request.who,
            timeout=request.timeout,
            first=request.first,
        )
        return EffectReply(outcome=perform(Group(self.journal, request.group), resource, order, cancelled))

    def _look(self, kind: str) -> Callable[[LookRequest], Awaitable[LookReply]]:
        async def look(request: LookRequest) -> LookReply:
            return await in_thread(lambda cancelled: self._looked(kind, request, cancelled))

        look.__doc__ = f"The reading that a `{kind}` waits for, or why not."
        return activity.defn(name=kind)(look)

    def _looked(self, kind: str, request: LookRequest, cancelled: Callable[[], bool]) -> LookReply:
        spec = request.resource
        try:
            resource = self.adapters.open(spec)
        except ProviderError as error:
            return LookReply(reading=None, why=str(error))
        reading, why = looking.look_until(resource, request.condition, request.timeout, cancelled)
        if kind == "release" and not why and spec.site:
            Group(self.journal, request.group).release(spec.component, spec.site, request.who, request.plan)
        return LookReply(reading=reading, why=why)


def _opener(adapters: Adapters, spec: Any) -> Callable[[], Any]:
    return lambda: adapters.open(spec)


async def in_thread(work: Callable[[Callable[[], bool]], T]) -> T:
    """What `work` returns; it runs in a thread while this heartbeats, and is told when it is cancelled.

    A cancelled activity ends only when its thread has: a request that is under way is never left behind unseen.
    """
    stop = threading.Event()
    task = asyncio.get_running_loop().run_in_executor(_THREADS, work, stop.is_set)
    while True:
        try:
            await asyncio.wait({task}, timeout=HEARTBEAT)
        except asyncio.CancelledError:
            stop.set()
        if task.done():
            return task.result()
        activity.heartbeat()  # never at once: most are over before one is due, and each costs the server a write
