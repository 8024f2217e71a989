"""Doubts in the group's ledger: what closes one, and what stands open from a promotion's request on."""

from __future__ import annotations

import pytest

from orchestrator.domain import ledger, settling
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Failed, Outcome, Refused, Unknown
from orchestrator.domain.plan import Want
from orchestrator.domain.world import Holder
from tests.domain.ledgers import (
    EPOCH,
    FENCE,
    MACHINE,
    PLAN,
    PRIMARY,
    PROMOTE,
    SERVER,
    UNFENCE,
    done,
    entered,
    execution,
    record,
    request,
    want,
)


class TestDoubts:
    OTHERS: tuple[Outcome, ...] = (done(FENCE), Refused(why="no"), Failed(why="no"), Unknown(why="?"))

    @pytest.mark.parametrize("outcome", OTHERS, ids=lambda o: o.kind)
    def test_no_attempt_answers_for_another(self, outcome: Outcome) -> None:
        both = entered(entered(record(), request(1)), request(2))
        after = ledger.close_attempt(both, request(2).attempt, outcome)
        assert request(1) in after.doubts
        assert request(1) in after.issued

    def test_done_closes_its_own_and_keeps_it_to_be_undone(self) -> None:
        after = ledger.close_attempt(entered(record(), request()), request().attempt, done(FENCE))
        assert (after.doubts, after.issued) == ((), (request(),))

    @pytest.mark.parametrize("outcome", [Refused(why="no"), Failed(why="no")], ids=lambda o: o.kind)
    def test_surely_not_sent_leaves_nothing_to_undo(self, outcome: Outcome) -> None:
        after = ledger.close_attempt(entered(record(), request()), request().attempt, outcome)
        assert (after.doubts, after.issued) == ((), ())

    def test_an_answer_after_a_newer_execution_has_begun_closes_its_doubt_and_tells_nothing_else(self) -> None:
        asked, newer = request(wanted=UNFENCE), {"epoch": EPOCH + 1, "execution": execution("e2")}
        after = entered(record(), asked).model_copy(update=newer)
        fenced = entered(after, request(wanted=FENCE, epoch=EPOCH + 1))
        answered = ledger.close_attempt(fenced, asked.attempt, done(UNFENCE))
        assert (answered.doubts, answered.fenced) == (fenced.doubts[1:], {MACHINE: "a"})
        sent = entered(record(holders={"db": "a"}), request(wanted=PROMOTE)).model_copy(update=newer)
        settled = sent.model_copy(update={"doubts": ()})
        for found in (sent, settled):
            assert ledger.close_attempt(found, request().attempt, done(PROMOTE)).holders == {"db": "a"}
            assert ledger.close_attempt(found, request().attempt, done(PROMOTE)).doubts == ()

    @pytest.mark.parametrize("lost", [True, False])
    def test_unknown_closes_nothing(self, lost: bool) -> None:
        before = entered(record(), request())
        assert ledger.close_attempt(before, request().attempt, Unknown(why="?", lost=lost)) == before

    @pytest.mark.parametrize("outcome", OTHERS, ids=lambda o: o.kind)
    def test_an_answer_twice_is_an_answer_once(self, outcome: Outcome) -> None:
        once = ledger.close_attempt(entered(record(), request()), request().attempt, outcome)
        assert ledger.close_attempt(once, request().attempt, outcome) == once

    @pytest.mark.parametrize("outcome", OTHERS, ids=lambda o: o.kind)
    def test_an_answer_of_an_attempt_that_never_asked_changes_nothing(self, outcome: Outcome) -> None:
        assert ledger.close_attempt(record(), request().attempt, outcome) == record()

    @pytest.mark.parametrize(("late", "read_at", "open_"), [
        (None, 1e9, True), (0.0, 100.0, True), (0.0, 100.1, False), (60.0, 159.9, True), (60.0, 160.0, True),
        (60.0, 160.1, False), (60.0, 99.0, True),
    ])  # fmt: skip
    def test_lateness_settles_only_after_it_has_passed_before_the_reading(
        self, late: float | None, read_at: float, open_: bool
    ) -> None:
        after = ledger.settle(entered(record(), request(at=100.0)), MACHINE, late, read_at)
        assert bool(after.doubts) == open_
        assert after.issued == (request(at=100.0),), "what was sent is still to be undone"

    def test_a_reading_settles_doubts_of_its_own_resource_only(self) -> None:
        before = entered(record(), request())
        assert ledger.settle(before, "other", 0.0, 1e9) == before

    def test_a_word_settles_what_nothing_else_could_ever_tell(self) -> None:
        pull = want(Holder(site="b"), None, "address", "address")
        before = entered(entered(record(), request(1, pull)), request(2))
        after = settling.settle_by_hand(before.model_copy(update={"execution": None}), "address", None)
        assert isinstance(after, GroupRecord)
        assert after.doubts == (request(2),)
        assert after.issued == before.issued, "what was sent is still to be undone"

    @pytest.mark.parametrize(("wanted", "resource", "late", "held", "why"), [
        (want(Holder(site="b"), None), MACHINE, None, True, "is held by"),
        (want(Holder(site="b"), None), "other", None, False, f"in doubt is {MACHINE}"),
        (want(Holder(site="b"), None), MACHINE, 60.0, False, "60s late at most"),
        (FENCE, MACHINE, None, False, "is proven"), (UNFENCE, MACHINE, None, False, "is proven"),
        (PROMOTE, SERVER, None, False, "is proven"),
    ])  # fmt: skip
    def test_a_word_settles_nothing_else(
        self, wanted: Want, resource: str, late: float | None, held: bool, why: str
    ) -> None:
        before = entered(record(), request(1, wanted))
        left = before if held else before.model_copy(update={"execution": None})
        found = settling.settle_by_hand(left, resource, late)
        assert isinstance(found, str)
        assert why in found

    def test_a_doubt_is_counted_from_when_its_attempt_was_given_up(self) -> None:
        before = entered(record(), request(at=100.0))
        later = ledger.sent_by(before, request().attempt, 500.0)
        assert [doubt.at for doubt in later.doubts] == [500.0]
        assert ledger.sent_by(later, request().attempt, 50.0) == later
        assert ledger.sent_by(before, request(9).attempt, 500.0) == before

    def test_what_was_answered_between_checks_and_claim_stays_in_doubt_and_what_was_settled_does_not(self) -> None:
        seen = entered(record(), request())
        answered = ledger.close_attempt(seen, request().attempt, done(FENCE))
        assert not answered.doubts
        assert ledger.still_doubted(answered, seen) == answered.model_copy(update={"doubts": seen.doubts})
        assert ledger.still_doubted(seen, seen) == seen, "what is in doubt yet stands there once"
        settled = ledger.settle(seen, MACHINE, 10.0, 1e9)
        assert ledger.still_doubted(answered, settled) == answered

    def test_what_a_newer_attempt_has_overtaken_is_counted_from_the_newer_ones_end(self) -> None:
        """A worker that was long thought lost could pass its guard until then (found by two faults and a long wait)."""
        other = request(1, PROMOTE)
        before = entered(entered(record(), other), request(2))
        both = entered(before, request(3, at=700.0))
        later = ledger.overtaken(both, request(3).attempt, 800.0)
        assert {doubt.attempt.n: doubt.at for doubt in later.doubts} == {1: 100.0, 2: 800.0, 3: 700.0}
        assert ledger.overtaken(both, request(2).attempt, 800.0) == both, "an older one has overtaken nothing"

    def test_a_request_without_an_answer_stays_a_doubt_whatever_is_read(self) -> None:
        unanswered = done(FENCE).model_copy(update={"answered": False})
        closed = ledger.close_attempt(entered(record(), request()), request().attempt, unanswered)
        assert [doubt.attempt for doubt in closed.doubts] == [request().attempt]


class TestThePointOfDoubt:
    def test_it_begins_when_a_promotion_is_sent_and_ends_with_its_sure_failure(self) -> None:
        sent = entered(record(), request(wanted=PROMOTE))
        assert ledger.promotion_issued(sent) == request(wanted=PROMOTE)
        for outcome, ends in ((Failed(why="no"), True), (Refused(why="no"), True), (Unknown(why="?"), False)):
            after = ledger.close_attempt(sent, request().attempt, outcome)
            assert (ledger.promotion_issued(after) is None) == ends
        assert ledger.promotion_issued(ledger.close_attempt(sent, request().attempt, done(PROMOTE))) is not None

    def test_it_stays_while_one_of_two_promotions_is_in_doubt(self) -> None:
        both = entered(entered(record(), request(1, PROMOTE)), request(2, PROMOTE))
        after = ledger.close_attempt(both, request(2).attempt, Failed(why="no"))
        assert ledger.promotion_issued(after) == request(1, PROMOTE)

    def test_making_the_old_primary_primary_again_is_no_promotion(self) -> None:
        undo = request(wanted=want(PRIMARY, "a", resource="db@a"), undo=True)
        assert ledger.promotion_issued(entered(record(), undo)) is None

    @pytest.mark.parametrize("wanted", [UNFENCE, want(PRIMARY, "a", resource="db@a"), want(Holder(site="a"), None)])
    def test_the_guard_lets_nothing_be_undone_from_then_on_done_or_in_doubt(self, wanted: Want) -> None:
        undo = request(2, wanted, undo=True)
        assert isinstance(ledger.enter(record(), undo, PLAN), GroupRecord), "before it, it may be"
        sent = entered(record(), request(wanted=PROMOTE))
        for after in (sent, ledger.close_attempt(sent, request().attempt, done(PROMOTE))):
            assert isinstance(ledger.enter(after, undo, PLAN), str)
        surely_not = ledger.close_attempt(sent, request().attempt, Failed(why="no"))
        assert isinstance(ledger.enter(surely_not, undo, PLAN), GroupRecord)

    def test_what_is_no_undo_goes_on_after_it(self) -> None:
        sent = entered(record(), request(wanted=PROMOTE))
        assert isinstance(ledger.enter(sent, request(2, want(Holder(site="b"), None)), PLAN), GroupRecord)

    def test_a_promotion_that_is_done_names_the_holder(self) -> None:
        sent = entered(record(holders={"db": "a", "app": "a"}), request(wanted=PROMOTE))
        after = ledger.close_attempt(sent, request().attempt, done(PROMOTE))
        assert after.holders == {"db": "b", "app": "a"}
