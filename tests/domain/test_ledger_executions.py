"""Executions in the group's ledger: how one begins, what outlives its end, and what was replaced by it (I9)."""

from __future__ import annotations

import pytest

from orchestrator.domain import ledger
from orchestrator.domain.ledger import Gone, GroupRecord
from orchestrator.domain.plan import Want
from orchestrator.domain.world import Holder, Role
from tests.domain import runbooks
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
    done,
    entered,
    execution,
    record,
    request,
    want,
)

MOVE = runbooks.planned(runbooks.demo(), "forced", "right")


class TestExecutions:
    def test_a_free_group_is_opened_under_the_next_epoch(self) -> None:
        found = ledger.open_execution(record(execution=None, claims={"x": 4}, tokens={"x": "t"}), execution())
        assert isinstance(found, GroupRecord)
        assert (found.epoch, found.claims, found.tokens, found.execution) == (EPOCH + 1, {}, {}, execution())

    @pytest.mark.parametrize("name", ["e1", "e0", None])
    def test_a_group_that_is_held_is_opened_only_where_this_very_holder_is_gone(self, name: str | None) -> None:
        gone = Gone(execution=name, why="it ended") if name else None
        found = ledger.open_execution(record(), execution("e2"), gone)
        assert isinstance(found, GroupRecord) == (name == "e1")

    def test_opening_again_what_one_holds_changes_nothing(self) -> None:
        assert ledger.open_execution(record(), execution()) == record()

    def test_a_group_is_let_go_by_who_holds_it_and_once(self) -> None:
        held = entered(record(), request())
        closed = ledger.let_go(held, MOVE, "e1", EPOCH, clean=True)
        assert closed == ledger.close_execution(held, MOVE, EPOCH, clean=True)
        assert isinstance(closed, GroupRecord)
        assert ledger.let_go(closed, MOVE, "e1", EPOCH, clean=True) is closed, "its answer was lost, and it asks again"
        assert "taken over, or reset" in str(ledger.let_go(held, MOVE, "e2", EPOCH, clean=True))
        assert "epoch 2 of shop is over" in str(ledger.let_go(held, MOVE, "e1", EPOCH - 1, clean=True))

    def test_a_claim_that_was_never_heard_is_let_go_and_what_others_left_stays(self) -> None:
        """Nothing was changed in its name, so nothing is settled by its end."""
        left = record(issued=(request(),), before={MACHINE: ON})
        closed = ledger.let_go(left, MOVE, "e1", None, clean=True)
        assert closed == left.model_copy(update={"execution": None})
        other = record(execution=execution("e2"))
        assert ledger.let_go(other, MOVE, "e1", None, clean=True) is other, "it was not made, or was taken over"

    @pytest.mark.parametrize(("clean", "left"), [(True, 0), (False, 1)])
    def test_doubts_outlive_every_end_and_the_undo_list_an_unclean_one(self, clean: bool, left: int) -> None:
        closed = ledger.close_execution(entered(record(), request()), MOVE, EPOCH, clean)
        assert closed.execution is None
        assert (len(closed.doubts), len(closed.issued), len(closed.before)) == (1, left, left)
        assert closed.fenced == {MACHINE: "a"}

    def test_what_another_plan_is_about_outlives_a_rebuild_and_an_unfence_and_no_move(self) -> None:
        of = runbooks.planned(runbooks.demo(), "unfence", "left")
        own, other = next(iter(of.resources)), "ip"
        asked = tuple(request(n, want(ON, resource=name)) for n, name in enumerate((own, other)))
        found = record(issued=asked, before={own: OFF, other: Holder(site="a")})
        closed = ledger.close_execution(found, of, EPOCH, clean=True)
        assert (closed.issued, list(closed.before)) == (asked[1:], [other])
        assert ledger.close_execution(found, MOVE, EPOCH, clean=True).issued == ()

    @pytest.mark.parametrize(
        ("epoch", "clean", "holder"), [(EPOCH, True, "b"), (EPOCH, False, "a"), (EPOCH - 1, True, "a")]
    )
    def test_a_clean_end_after_its_own_promotion_knows_who_is_primary(
        self, epoch: int, clean: bool, holder: str
    ) -> None:
        """The answer of the promotion was heard, and never written to the journal (I9)."""
        found = record(issued=(request(wanted=PROMOTE, epoch=epoch),), holders={"db": "a"})
        assert ledger.close_execution(found, MOVE, EPOCH, clean).holders == {"db": holder}

    def test_a_group_that_was_claimed_since_the_checks_is_not_opened_on_their_word(self) -> None:
        free = record(execution=None)
        assert isinstance(ledger.open_execution(free, execution("e2"), seen=EPOCH), GroupRecord)
        said = ledger.open_execution(free, execution("e2"), seen=EPOCH - 1)
        assert (
            said == "shop was claimed since the checks, by another execution: start again, so that they are made again"
        )
        held = ledger.open_execution(record(), execution("e2"), Gone(execution="e1", why="it ended"), seen=EPOCH - 1)
        assert "was claimed since the checks, by e1, forced to b" in str(held), "the one that is gone is another"
        assert ledger.open_execution(record(), execution(), seen=EPOCH - 1) == record(), "its own claim, asked twice"

    def test_an_older_execution_closes_nothing(self) -> None:
        assert ledger.close_execution(record(), MOVE, EPOCH - 1, clean=True) == record()

    def test_a_fence_stays_until_what_it_cut_is_released_or_powered_on(self) -> None:
        fenced = record(fenced={"db@a": "a", "db@a:bmc": "a", "db@ab": "ab", "db2@a": "a"})
        assert ledger.release(fenced, "db", "a").fenced == {"db@ab": "ab", "db2@a": "a"}
        on = ledger.close_attempt(entered(fenced, request(wanted=UNFENCE)), request().attempt, done(UNFENCE))
        assert MACHINE not in on.fenced
        assert "db@a" in on.fenced, "the machine was powered on to rebuild what was stopped on it"
        asked = fenced.model_copy(update={"execution": execution().model_copy(update={"mode": "unfence"})})
        lifted = ledger.close_attempt(entered(asked, request(wanted=UNFENCE)), request().attempt, done(UNFENCE))
        assert lifted.fenced == {"db@ab": "ab", "db2@a": "a"}
        off = ledger.close_attempt(entered(record(), request()), request().attempt, done(FENCE))
        assert off.fenced == {MACHINE: "a"}, "what is confirmed to be off stays fenced"


class TestWhatWasReplaced:
    """I9: undo makes no writer of it, whatever it was read as before."""

    @pytest.mark.parametrize(
        ("holder", "undo", "refused"), [("b", True, True), ("b", False, False), ("a", True, False), (None, True, False)]
    )
    def test_it_is_restarted_as_a_primary_by_a_move_alone(self, holder: str | None, undo: bool, refused: bool) -> None:
        restart = want(PRIMARY, "a", resource="db@a")
        found = ledger.enter(record(holders={"db": holder} if holder else {}), request(wanted=restart, undo=undo), PLAN)
        assert isinstance(found, str) == refused
        if refused:
            assert found == "db@a: role primary is not safe: db is served at b since an earlier move"

    @pytest.mark.parametrize("wanted", [UNFENCE, want(Role(role="stopped"), "a", resource="db@a")])
    def test_its_machine_and_its_standby_are_put_back(self, wanted: Want) -> None:
        assert isinstance(
            ledger.enter(record(holders={"db": "b"}), request(wanted=wanted, undo=True), PLAN), GroupRecord
        )
