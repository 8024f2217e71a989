"""A promotion that is refused, and one whose answer is lost: undone while that is safe, and never when it is not."""

from __future__ import annotations

import pytest

from orchestrator.domain.commands import Escalate, Retry
from tests.e2e.lab import names
from tests.e2e.lab.faults import Fault, Faults
from tests.e2e.lab.observer import Watch
from tests.e2e.lab.probing import refuses
from tests.e2e.lab.world import Lab
from tests.e2e.operating import AT_CLOUD, FENCE_AT_DC, Handle, Operation

pytestmark = pytest.mark.lab
MEASURED = b"pg_control_checkpoint"  # in the query by which a server's state is read


async def test_a_promotion_that_was_never_requested_is_rolled_back(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    with operation.worker():
        handle = await operation.failover()
        await operation.shown(handle, lambda now: "approve" in now.may)
        refusing = faults.intercept(
            "pg-b", MEASURED, "refuse", {}
        )  # what it answers next, after the fence, is its last
        await operation.approve(handle)
        result = await operation.end(handle)
        assert refuses(lab.address("pg-b"), 5432), "the worker could not connect when it wanted to promote"
    assert result.end == "ROLLED_BACK", result.why
    refusing.heal()
    assert operation.requests(FENCE_AT_DC) == ["off", "on"]
    assert operation.requests(AT_CLOUD) == []
    assert lab.bmcs["pg-a"].power() == "on"
    assert lab.databases["pg-a"].writable
    assert not lab.databases["pg-b"].writable
    assert lab.holder_of_floating() == ["pg-a"]
    assert {names.lookup(server) for server in lab.name_servers} == {((lab.address("pg-a"),), names.TTL)}
    lab.databases["pg-a"].wait_for_streaming()
    watch.see_service()
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert verdict.lost == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1)]


@pytest.fixture
def hidden(faults: Faults) -> list[Fault]:
    """What has hidden pg-b from the worker."""
    return []


async def _in_doubt(lab: Lab, faults: Faults, operation: Operation, hidden: list[Fault]) -> Handle:
    """An execution that waits, because the answer to its promotion was lost and the standby cannot be seen any more."""
    lost = faults.drop_answer("pg-b", then=lambda: hidden.append(faults.hide_sql_from_worker("pg-b")))
    handle = await operation.failover()
    await operation.approve(handle)
    waiting = await operation.waiting(handle)
    assert lost.interception.answered.is_set(), "the promotion was requested and answered"
    assert "db.promote" in waiting.steps
    assert lab.bmcs["pg-a"].power() == "off", "the old primary stays fenced (I8)"
    assert operation.ledger.doubts, "the request is in the ledger as a doubt"
    lost.heal()
    return handle


async def test_a_promotion_whose_answer_was_lost_is_gone_on_with_when_it_is_seen(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation, hidden: list[Fault]
) -> None:
    with operation.worker():
        handle = await _in_doubt(lab, faults, operation, hidden)
        assert "abort" not in (await operation.shown(handle, lambda now: now.may)).may, "nothing can be undone now"
        hidden[0].heal()
        await operation.say(handle, Retry(by="ann", step="db.promote"))
        result = await operation.end(handle)
    assert result.end == "SUCCEEDED", result.why
    assert operation.requests(AT_CLOUD) == ["primary"], "it was not asked for twice"
    assert operation.requests(FENCE_AT_DC) == ["off"]
    watch.see_service()
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]


async def test_a_promotion_whose_answer_was_lost_is_handed_over_to_a_human(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation, hidden: list[Fault]
) -> None:
    with operation.worker():
        handle = await _in_doubt(lab, faults, operation, hidden)
        await operation.say(handle, Escalate(by="ann", reason="I go there myself"))
        result = await operation.end(handle)
    assert result.end == "NEEDS_HUMAN", result.why
    assert not any("unfence" in command for command in result.next_commands), result.next_commands
    assert lab.bmcs["pg-a"].power() == "off"
    assert operation.requests(FENCE_AT_DC) == ["off"], "nothing un-fenced it"
    assert operation.ledger.doubts, "the next execution inherits the doubt"
    hidden[0].heal()
    verdict = watch.report()
    assert verdict.overlaps == ()
