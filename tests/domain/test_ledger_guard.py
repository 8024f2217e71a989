"""The guard of the group's ledger: which requests it lets through, and which collide with what is in doubt."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.domain import ledger
from orchestrator.domain.ledger import Attempt, GroupRecord, Request
from orchestrator.domain.world import Holder, Records, ReplicatesFrom, Role, Running, State
from tests.domain.ledgers import (
    EPOCH,
    FENCE,
    MACHINE,
    OFF,
    ON,
    PLAN,
    PRIMARY,
    PROMOTE,
    UNFENCE,
    entered,
    execution,
    record,
    request,
    want,
)


class TestTheGuard:
    @pytest.mark.parametrize(
        ("epoch", "newest", "n", "holder", "plan"),
        list(itertools.product((EPOCH - 1, EPOCH, EPOCH + 1), (0, 1, 2), (1, 2), (None, "mine"), (PLAN, "q" * 64))),
    )
    def test_lets_through_the_newest_attempt_of_the_execution_and_plan_that_run_and_no_other(
        self, epoch: int, newest: int, n: int, holder: str | None, plan: str
    ) -> None:
        claims = {MACHINE: newest} if newest else {}
        before = record(execution=execution() if holder else None, claims=claims)
        found = ledger.enter(before, request(n=n, epoch=epoch), plan)
        passes = epoch == EPOCH and n >= newest and holder is not None and plan == PLAN
        assert isinstance(found, GroupRecord) == passes
        if isinstance(found, str):
            assert found
            assert "\n" not in found

    def test_a_claim_of_one_resource_says_nothing_of_another(self) -> None:
        assert isinstance(ledger.enter(record(claims={"other": 9}), request(n=1), PLAN), GroupRecord)

    def test_what_it_lets_through_is_in_doubt_and_to_be_undone(self) -> None:
        found = entered(record(), request())
        assert found.doubts == found.issued == (request(),)
        assert found.before == {MACHINE: ON}
        assert found.fenced == {MACHINE: "a"}
        assert found.claims == {MACHINE: 1}

    def test_a_second_request_of_the_same_attempt_is_the_same_doubt(self) -> None:
        once = entered(record(), request())
        assert entered(once, request()) == once

    def test_what_a_resource_was_first_is_kept(self) -> None:
        first = entered(record(), request(1))
        second = Request(attempt=Attempt(epoch=EPOCH, step="s", method=0, n=2), want=FENCE, before=OFF, at=101.0)
        assert entered(first, second).before == {MACHINE: ON}

    def test_what_only_points_somewhere_fences_nothing(self) -> None:
        assert entered(record(), request(wanted=want(Holder(site="b"), None, resource="ip"))).fenced == {}


class TestCollisions:
    STATES: tuple[State, ...] = (
        ON, OFF, PRIMARY, Role(role="standby"), Role(role="stopped"), Running(running=True), Running(running=False),
        ReplicatesFrom(site="b"), Holder(site="a"), Records(records={}, ttl=1),
    )  # fmt: skip
    ACTIVE, INACTIVE = {0, 2, 5}, {1, 4, 6}

    @pytest.mark.parametrize(
        ("doubt", "wanted", "component", "site"),
        list(itertools.product(range(len(STATES)), range(len(STATES)), ("db", "app"), ("a", "b"))),
    )
    def test_a_request_collides_with_exactly_these_doubts(
        self, doubt: int, wanted: int, component: str, site: str
    ) -> None:
        """Two sites made writable; a promotion while anything else of the group may come up at the other site, or the
        other way round; and a promotion where a cut at the same site may still come."""
        before = record(doubts=(request(wanted=want(self.STATES[doubt])),))
        found = ledger.conflict(before, want(self.STATES[wanted], site, component, "any"))
        same = component == "db"
        promoted = 2 in (wanted, doubt)
        both_act = doubt in self.ACTIVE and wanted in self.ACTIVE and site == "b" and (same or promoted)
        cut_behind_a_promotion = same and doubt in self.INACTIVE and wanted == 2 and site == "a"
        assert bool(found) == (both_act or cut_behind_a_promotion)

    def test_the_guard_refuses_what_collides(self) -> None:
        before = record(doubts=(request(wanted=UNFENCE),))
        found = ledger.enter(before, request(2, PROMOTE), PLAN)
        assert isinstance(found, str)
        assert "may still take effect" in found

    def test_a_doubt_of_an_earlier_execution_collides_as_well(self) -> None:
        before = record(doubts=(request(wanted=UNFENCE, epoch=EPOCH - 1),))
        assert isinstance(ledger.enter(before, request(2, PROMOTE), PLAN), str)
