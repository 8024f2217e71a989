"""Executions worth replaying: each runs on a stage with a worker, and returns what it has started."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from temporalio.client import WorkflowFailureError

from orchestrator.domain.commands import Abort, Attest, Escalate, Pause, Resume, Retry, Skip
from tests.workflows.stage import Handle, Stage, raw, refused, say, until
from workflows.messages import SiteRequest

FENCE, PROMOTE = "db@az-a:toy", "db@az-b"


async def forced(stage: Stage) -> list[Handle]:
    """The site is lost, its service moves."""
    stage.world.lose_site("az-a")
    handle = await stage.failover()
    await stage.approved(handle)
    await handle.result()
    return [handle]


async def there_and_back(stage: Stage) -> list[Handle]:
    """After a failover, the old primary is rebuilt and the service is switched back."""
    await forced(stage)
    rebuilt = await stage.reprotect()
    await stage.approved(rebuilt)
    await rebuilt.result()
    back = await stage.failover("planned", "az-a")
    await stage.approved(back)
    await back.result()
    return [rebuilt, back]


async def refused_by_the_checks(stage: Stage) -> list[Handle]:
    """There is nothing to move."""
    handle = await stage.failover(to="az-a")
    await handle.result()
    return [handle]


async def wrong_input(stage: Stage) -> list[Handle]:
    """An empty form, and one with a typing error."""
    handles = [await stage.start("Failover"), await stage.start("Failover", raw('{"runbok": "shop"}'), id=stage.group)]
    for handle in handles:
        with contextlib.suppress(WorkflowFailureError):
            await handle.result()
    return handles


async def rolled_back(stage: Stage) -> list[Handle]:
    """The standby refuses to be promoted."""
    stage.world.break_(PROMOTE, "before", "Rejected")
    handle = await stage.failover()
    await stage.approved(handle)
    await handle.result()
    stage.world.mend()
    return [handle]


async def everything_said(stage: Stage) -> list[Handle]:
    """A pause, a fence that is retried and then attested, a switch that is skipped; something refused at each point."""
    stage.world.lose_site("az-a")
    stage.world.break_(FENCE, "before", "Rejected")
    stage.world.break_("name", "before", "Rejected")
    handle = await stage.failover()
    await stage.may(handle, "pause")
    await say(handle, Pause(by="ann"))
    await refused(handle, "pause", Pause(by="bob"))
    await stage.approved(handle)
    await say(handle, Resume(by="ann"))
    await stage.waiting(handle)
    await say(handle, Retry(by="ann", step="db.fence"))
    await stage.waiting(handle)
    await refused(handle, "skip", Skip(by="ann", step="db.fence", reason="in a hurry"))
    for who in ("ann", "bob"):
        await say(handle, Attest(by=who, step="db.fence", reason="the power cord is pulled"))
    await stage.may(handle, "skip")
    await say(handle, Skip(by="ann", step="name.switch", reason="changed by hand"))
    await handle.result()
    stage.world.mend()
    return [handle]


async def aborted(stage: Stage) -> list[Handle]:
    """A human ends it while it fences."""
    stage.world.break_(FENCE, "done", "hang")
    handle = await stage.failover()
    await stage.approved(handle)
    await until(lambda: stage.world.reached(FENCE, "done"))
    await say(handle, Abort(by="ann", reason="false alarm"))
    stage.world.mend()
    await handle.result()
    return [handle]


async def cancelled(stage: Stage) -> list[Handle]:
    """Somebody clicks on cancel while it fences."""
    stage.world.break_(FENCE, "before", "hang")
    handle = await stage.failover()
    await stage.approved(handle)
    await until(lambda: stage.world.reached(FENCE, "before"))
    await handle.cancel()
    await stage.shown(handle, lambda now: now.state and now.state.aborted)
    stage.world.mend()
    await handle.result()
    return [handle]


async def more_lost_than_accepted(stage: Stage) -> list[Handle]:
    """A standby that is behind falls back further during the fence; it is handed over, and the fence is lifted."""
    stage.world.lag("az-b", 5)
    stage.world.break_(FENCE, "before", "hang")
    handle = await stage.failover()
    await stage.approved(handle)
    await until(lambda: stage.world.reached(FENCE, "before"))
    stage.world.lag("az-b", 600)
    stage.world.mend()
    await stage.waiting(handle)
    await say(handle, Escalate(by="ann", reason="too much would be lost"))
    await handle.result()
    unfence = await stage.start("Unfence", SiteRequest(runbook=stage.group, at="az-a", by="ann"))
    await stage.approved(unfence)
    await unfence.result()
    return [handle, unfence]


async def handed_over(stage: Stage) -> list[Handle]:
    """A human takes over while it fences: an attempt and timers are under way then, and end in one order."""
    stage.world.break_(FENCE, "before", "hang")
    handle = await stage.failover()
    await stage.approved(handle)
    await until(lambda: stage.world.reached(FENCE, "before"))
    await say(handle, Escalate(by="ann", reason="we do it by hand"))
    stage.world.mend()
    await handle.result()
    return [handle]


ALL: dict[str, Callable[[Stage], Awaitable[list[Handle]]]] = {
    scenario.__name__: scenario
    for scenario in (
        forced, there_and_back, refused_by_the_checks, wrong_input, rolled_back, everything_said, aborted, cancelled,
        more_lost_than_accepted, handed_over,
    )
}  # fmt: skip
