"""Workers that die or stand still in the middle: another one goes on, and the world is changed once (I5)."""

from __future__ import annotations

import signal
import time

import pytest

from orchestrator.runtime import audit
from providers.postgresql.server import ROLE_QUERY
from tests.e2e.lab.between_writes import send_between_writes
from tests.e2e.lab.faults import Faults, PowerMoment
from tests.e2e.lab.interception import Moment, Strikes
from tests.e2e.lab.observer import Watch
from tests.e2e.lab.probing import send, within
from tests.e2e.lab.world import Lab
from tests.e2e.operating import AT_CLOUD, FENCE_AT_DC, Handle, Operation
from tests.processes import stands_still

pytestmark = pytest.mark.lab


async def _offered(operation: Operation) -> Handle:
    """A forced failover whose checks are done and which waits for its approval."""
    handle = await operation.failover()
    await operation.shown(handle, lambda now: "approve" in now.may)
    return handle


def _judged(lab: Lab, watch: Watch) -> None:
    """One server at a time, cut once and promoted once, and the service is back."""
    assert lab.machines["pg-a"].power_history == ["off", "on", "off"], "its power went off once"
    assert lab.databases["pg-b"].log().count("received promote request") == 1
    watch.see_service()
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]


# ---- killed


@pytest.mark.parametrize("moment", ["told", "off"])
async def test_a_worker_killed_in_the_middle_of_the_fence_is_replaced(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation, moment: PowerMoment
) -> None:
    with operation.worker("first") as first:
        handle = await _offered(operation)
        journal = operation.environment["TIDEOVER_JOURNAL"]
        kill = faults.signal_worker(first.pid, signal.SIGKILL, host="pg-a", at=moment, journal=journal)
        await operation.approve(handle)
        within(60, lambda: not first.alive, "the worker is killed")
        assert kill.struck, f"the power controller was {moment!r} then"
        assert operation.requests(FENCE_AT_DC) == ["off"]
    with operation.worker("second"):
        result = await operation.end(handle)
    assert result.end == "SUCCEEDED", result.why
    assert operation.requests(FENCE_AT_DC) == ["off", "off"], "set twice, not toggled"
    assert operation.requests(AT_CLOUD) == ["primary"]
    _judged(lab, watch)


@pytest.mark.parametrize("moment", ["request", "answer"])
async def test_a_worker_killed_in_the_middle_of_the_promotion_is_replaced(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation, moment: Moment
) -> None:
    with operation.worker("first") as first:
        handle = await _offered(operation)
        strike: Strikes = {moment: lambda: send(signal.SIGKILL, [first.pid])}
        promotion = faults.intercept("pg-b", b"pg_promote", "reset", strike)
        await operation.approve(handle)
        within(60, lambda: not first.alive, "the worker is killed")
        assert promotion.interception.hit.wait(5), "the request was on its way, and reaches the server"
        assert operation.requests(AT_CLOUD) == ["primary"]
        promotion.heal()
    with operation.worker("second"):
        result = await operation.end(handle)
    assert result.end == "SUCCEEDED", result.why
    assert operation.requests(FENCE_AT_DC) == ["off"]
    _judged(lab, watch)


# ---- frozen


@pytest.mark.parametrize("moment", ["asked", "off"])
async def test_a_worker_frozen_around_the_fence_changes_nothing_when_it_goes_on(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation, moment: PowerMoment
) -> None:
    with operation.worker("first") as first:
        handle = await _offered(operation)
        journal = operation.environment["TIDEOVER_JOURNAL"]
        freeze = faults.signal_worker(first.pid, signal.SIGSTOP, host="pg-a", at=moment, journal=journal)
        await operation.approve(handle)
        within(60, lambda: freeze.struck, "the worker is frozen")
        with operation.worker("second"):
            result = await operation.end(handle)
            assert result.end == "SUCCEEDED", result.why
            asked = len(lab.machines["pg-a"].power_requests), len(operation.requests(FENCE_AT_DC))
            first.thaw()
            _has_answered(operation, "db.fence")
    assert (len(lab.machines["pg-a"].power_requests), len(operation.requests(FENCE_AT_DC))) == asked
    assert asked[1] == {"asked": 1, "off": 2}[moment], "in front of its guard it had requested nothing"
    _judged(lab, watch)


async def test_a_worker_frozen_before_it_promotes_is_stopped_by_its_guard(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    with operation.worker("first") as first:
        handle = await _offered(operation)
        journal = operation.environment["TIDEOVER_JOURNAL"]
        strike: Strikes = {"answer": lambda: send_between_writes(journal, first.pid, signal.SIGSTOP)}
        looking = faults.intercept("pg-b", ROLE_QUERY.encode(), "deliver", strike)
        await operation.approve(handle)
        within(60, lambda: looking.interception.answered.is_set() and stands_still(first.pid), "the worker is frozen")
        assert operation.requests(AT_CLOUD) == []
        with operation.worker("second"):
            result = await operation.end(handle)
            assert result.end == "SUCCEEDED", result.why
            assert operation.requests(AT_CLOUD) == ["primary"]
            first.thaw()
            _has_answered(operation, "db.promote")
    assert operation.requests(AT_CLOUD) == ["primary"]
    _judged(lab, watch)


def _has_answered(operation: Operation, step: str) -> None:
    """Both attempts of the step have told the audit trail how they ended, the older one at last."""

    def ended() -> list[audit.AuditEntry]:
        return [
            e for e in audit.entries(operation.journal) if e.what == "ended" and step in e.detail.get("attempt", "")
        ]

    within(60, lambda: len(ended()) == 2, f"the frozen attempt of {step} ends")
    time.sleep(0.5)
