"""Activities on their own: threads, heartbeats, and the options that every execution gives them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from temporalio.testing import ActivityEnvironment

from orchestrator.domain.plan import CHANGES
from tests.workflows import scenarios
from tests.workflows.stage import Stage
from workflows.activities import HEARTBEAT, in_thread
from workflows.performing import HEARTBEAT_TIMEOUT

AT_ONCE = 60
"""More than a group has steps that can run side by side."""


async def test_adapters_that_hang_hold_up_no_other() -> None:
    all_here = threading.Barrier(AT_ONCE)

    def meet(_: Callable[[], bool]) -> int:
        return all_here.wait(timeout=60)

    async def met() -> set[int]:
        return set(await asyncio.gather(*(in_thread(meet) for _ in range(AT_ONCE))))

    assert await ActivityEnvironment().run(met) == set(range(AT_ONCE))


async def test_a_cancelled_activity_ends_only_when_its_request_has() -> None:
    environment = ActivityEnvironment()
    under_way, answered = threading.Event(), threading.Event()

    def ask(cancelled: Callable[[], bool]) -> bool:
        under_way.set()
        answered.wait(timeout=60)
        return cancelled()

    running = asyncio.ensure_future(environment.run(in_thread, ask))
    await asyncio.to_thread(under_way.wait, 60)
    environment.cancel()
    done, _ = await asyncio.wait({running}, timeout=0.5)
    assert not done
    answered.set()
    assert await running


async def test_every_activity_has_a_heartbeat_and_an_end_and_no_change_is_repeated(stage: Stage) -> None:
    async with stage.worker():
        handles = [*await scenarios.rolled_back(stage), *await scenarios.there_and_back(stage)]
        seen: dict[str, Any] = {}
        for handle in handles:
            async for event in handle.fetch_history_events():
                if event.HasField("activity_task_scheduled_event_attributes"):
                    scheduled = event.activity_task_scheduled_event_attributes
                    seen[scheduled.activity_type.name] = scheduled
    assert seen.keys() >= CHANGES | {
        "undo",
        "check",
        "claim",
        "close",
        "measure",
        "catch_up",
        "recheck",
        "verify",
        "release",
    }
    for kind, options in seen.items():
        assert options.heartbeat_timeout.ToTimedelta() == HEARTBEAT_TIMEOUT
        assert options.start_to_close_timeout.ToTimedelta().total_seconds() > 0
        assert (options.schedule_to_close_timeout.ToTimedelta().total_seconds() > 0) == (kind != "close"), kind
        once = options.retry_policy.maximum_attempts == 1
        assert once == (kind in CHANGES or kind == "undo"), kind
    assert HEARTBEAT_TIMEOUT.total_seconds() > 2 * HEARTBEAT
