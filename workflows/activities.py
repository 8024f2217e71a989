"""The activities: the only door from a workflow to the world. Each is named like the kind of step that it does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from temporalio import activity

from orchestrator.domain.errors import TideoverError
from orchestrator.domain.holder import Alive, gone, held
from orchestrator.domain.ledger import Execution
from orchestrator.domain.plan import CHANGES, Kind
from orchestrator.domain.state import Perform
from orchestrator.runtime.actor import Actor, Mandate
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

LOOKS: tuple[Kind, ...] = ("measure", "catch_up", "recheck", "verify", "release")


class Holders(Protocol):
    """Who holds groups."""

    async def home(self) -> str:
        """The ID of the namespace that this worker's executions run in."""

    async def alive(self, execution: Execution) -> Alive:
        """Whether the execution runs."""


@dataclass(frozen=True)
class Activities:
    """All activities of a worker."""

    actor: Actor
    holders: Holders

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        effects = [self._effect(kind) for kind in (*sorted(CHANGES), "undo")]
        return [self.plan, self.check, self.claim, self.close, *effects, *(self._look(kind) for kind in LOOKS)]

    @activity.defn(name="plan")
    async def plan(self, request: PlanRequest) -> Planned:
        """The plan that follows from the runbook as it is now, and the group's ledger."""
        try:
            plan, record = await in_thread(lambda _: self.actor.planned(request.runbook, request.to, request.mode))
        except TideoverError as error:
            raise refused(str(error)) from None
        holder = record.execution
        if holder and not gone(holder, alive := await self.holders.alive(holder), request.word):
            why = held(plan.group, holder, alive)
            await in_thread(lambda _: self.actor.refused(plan, request.who, why))
            raise refused(why)
        return Planned(plan=plan, record=record)

    @activity.defn(name="check")
    async def check(self, request: CheckRequest) -> CheckReply:
        """A reading or an error of every resource."""
        readings, errors = await in_thread(lambda _: self.actor.checked(request.resources))
        return CheckReply(readings=readings, errors=errors)

    @activity.defn(name="claim")
    async def claim(self, request: ClaimRequest) -> ClaimReply:
        """The group claimed for this execution, or the holder's name."""
        plan, execution = request.plan, request.execution.model_copy(update={"home": await self.holders.home()})
        group = Group(self.actor.journal, plan.group)
        holder, lost = (await in_thread(lambda _: group.record())).execution, None
        if holder and holder.id != execution.id:
            lost = gone(holder, await self.holders.alive(holder), request.word)
        claimed = await in_thread(lambda _: self.actor.claimed(plan, execution, lost, request.asked_at, request.seen))
        return ClaimReply(record=None, refused=claimed) if isinstance(claimed, str) else ClaimReply(record=claimed)

    @activity.defn(name="close")
    async def close(self, request: CloseRequest) -> CloseReply:
        """The record of the execution kept and the group released."""
        closed = await in_thread(lambda _: self.actor.closed(request.record, request.epoch))
        return CloseReply(report=closed.report, warning=closed.warning, checkpoint=closed.checkpoint)

    def _effect(self, kind: str) -> Callable[[EffectRequest], Awaitable[EffectReply]]:
        async def effect(request: EffectRequest) -> EffectReply:
            return await in_thread(lambda cancelled: self._performed(request, cancelled))

        effect.__doc__ = f"The wanted state of one `{kind}` read back, or why not."
        return activity.defn(name=kind)(effect)

    def _performed(self, request: EffectRequest, cancelled: Callable[[], bool]) -> EffectReply:
        asked = Perform(
            attempt=request.attempt, want=request.want, may_be_there=request.may_be_there, first=request.first,
            before=request.before, identity=request.identity, timeout=request.timeout, patience=request.patience,
            summary="",
        )  # fmt: skip
        mandate = Mandate(request.group, request.plan, request.who, request.execution)
        return EffectReply(outcome=self.actor.performed(request.resource, asked, mandate, cancelled))

    def _look(self, kind: Kind) -> Callable[[LookRequest], Awaitable[LookReply]]:
        async def look(request: LookRequest) -> LookReply:
            return await in_thread(lambda cancelled: self._looked(kind, request, cancelled))

        look.__doc__ = f"The reading that a `{kind}` waits for, or why not."
        return activity.defn(name=kind)(look)

    def _looked(self, kind: Kind, request: LookRequest, cancelled: Callable[[], bool]) -> LookReply:
        mandate = Mandate(request.group, request.plan, request.who, request.execution)
        until = request.condition, request.timeout
        seen = self.actor.looked(kind, request.resource, until, mandate, cancelled)
        return LookReply(reading=seen.reading, why=seen.why, superseded=seen.superseded)


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
