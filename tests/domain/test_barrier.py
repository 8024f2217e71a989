"""What opens the barrier is also what can close it again: a standby that the old primary still feeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain import barrier
from orchestrator.domain.commands import Approve, Attest
from orchestrator.domain.rehearsal.driving import Broken, Rehearsal, driven, folded
from orchestrator.domain.state import Human, Status
from tests.domain.on_the_way import states_on_the_way
from tests.domain.test_admission import REASON, fresh, waiting_on_the_fence


def vouched(now: Rehearsal) -> Rehearsal:
    """Two people vouch for the fence, and everything that follows has come about."""
    for by in ("ann", "bob"):
        now = driven(folded(now, Human(command=Attest(by=by, step="db.fence", reason=REASON), at=now.world.clock)))
    return next((later for later in states_on_the_way(now) if later.state.waiting), list(states_on_the_way(now))[-1])


def test_people_who_vouch_for_a_primary_that_lives_are_contradicted_by_it() -> None:
    """I2"""
    waiting = waiting_on_the_fence()
    healed = waiting._replace(world=replace(waiting.world, cut=frozenset(), severed=False))
    now = vouched(healed)
    assert now.state.waiting
    assert "left is alive: it streams to the standby and says so itself (I2)" in now.state.waiting.why
    more = Approve(by="ann", to="right", plan=now.plan.hash, max_loss="1h")
    again = driven(folded(now, Human(command=more, at=now.world.clock)))
    last = list(states_on_the_way(again))[-1]
    assert last.world.writable("db") == {"left"}, "accepting more loss does not help"


def test_a_promotion_waits_until_what_would_be_lost_is_known_whatever_leads_to_it() -> None:
    """I3, once more: the order of the plan says the same."""
    now = next(
        n for n in states_on_the_way(fresh("demo planned")) if n.state.steps["db.catch_up"].status is Status.DONE
    )
    promote = now.plan.step("db.promote")
    assert barrier.closed(now.plan, now.state, promote) is None
    for status in set(Status) - {Status.DONE}:
        record = now.state.steps["db.catch_up"].model_copy(update={"status": status})
        state = now.state.model_copy(update={"steps": {**now.state.steps, "db.catch_up": record}})
        assert "(I3)" in (barrier.closed(now.plan, state, promote) or "")


def test_control_where_nobody_sees_the_primary_the_same_words_split_the_service() -> None:
    """The weakest link is the people: from outside, a partition and a death look the same."""
    with pytest.raises(Broken, match=r"I1: db is writable at \['left', 'right'\]"):
        vouched(waiting_on_the_fence())
