"""The group's ledger: what the guard lets through, what closes a doubt, and which requests collide."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.domain import ledger
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.domain.outcome import Done, Failed, Outcome, Refused, Unknown
from orchestrator.domain.plan import Want
from orchestrator.domain.world import (
    Evidence,
    Holder,
    Power,
    Reading,
    Records,
    ReplicatesFrom,
    Role,
    Running,
    State,
    Strength,
)
from tests.domain import runbooks

PLAN, MACHINE, SERVER = "p" * 64, "db@a:bmc", "db@b"
EPOCH = 3
MOVE = runbooks.planned(runbooks.demo(), "forced", "right")


def execution(name: str = "e1", plan: str = PLAN) -> Execution:
    return Execution(id=name, who="ann", plan=plan, mode="forced", target="b", since=0.0)


def want(desired: State, site: str | None = "a", component: str = "db", resource: str = MACHINE) -> Want:
    return Want(resource=resource, component=component, site=site, desired=desired)


OFF, ON, PRIMARY = Power(power="off"), Power(power="on"), Role(role="primary")
FENCE, UNFENCE = want(OFF), want(ON)
PROMOTE = want(PRIMARY, "b", resource=SERVER)


def request(n: int = 1, wanted: Want = FENCE, epoch: int = EPOCH, undo: bool = False, at: float = 100.0) -> Request:
    before = ON if wanted == FENCE else None
    return Request(attempt=Attempt(epoch=epoch, step="s", method=0, n=n, undo=undo), want=wanted, before=before, at=at)


def record(**more: object) -> GroupRecord:
    return GroupRecord.model_validate({"group": "shop", "epoch": EPOCH, "execution": execution(), **more})


def entered(into: GroupRecord, made: Request) -> GroupRecord:
    found = ledger.enter(into, made, PLAN)
    assert isinstance(found, GroupRecord), found
    return found


def done(wanted: Want, read_at: float = 200.0) -> Done:
    reading = Reading(states=(wanted.desired,), authority="test", authoritative=True, latched=True)
    evidence = Evidence(
        resource=wanted.resource, state=wanted.desired, reading=reading, strength=Strength.F2, read_at=read_at
    )
    return Done(evidence=evidence, changed=True)


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
        after = ledger.settle_by_hand(before.model_copy(update={"execution": None}), "address", None)
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
        found = ledger.settle_by_hand(left, resource, late)
        assert isinstance(found, str)
        assert why in found

    def test_a_doubt_is_counted_from_when_its_attempt_was_given_up(self) -> None:
        before = entered(record(), request(at=100.0))
        later = ledger.sent_by(before, request().attempt, 500.0)
        assert [doubt.at for doubt in later.doubts] == [500.0]
        assert ledger.sent_by(later, request().attempt, 50.0) == later
        assert ledger.sent_by(before, request(9).attempt, 500.0) == before

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


class TestExecutions:
    def test_a_free_group_is_opened_under_the_next_epoch(self) -> None:
        found = ledger.open_execution(record(execution=None, claims={"x": 4}, tokens={"x": "t"}), execution())
        assert isinstance(found, GroupRecord)
        assert (found.epoch, found.claims, found.tokens, found.execution) == (EPOCH + 1, {}, {}, execution())

    @pytest.mark.parametrize("gone", [True, False])
    def test_a_group_that_is_held_is_opened_only_where_its_holder_is_gone(self, gone: bool) -> None:
        found = ledger.open_execution(record(), execution("e2"), holder_is_gone=gone)
        assert isinstance(found, GroupRecord) == gone

    def test_opening_again_what_one_holds_changes_nothing(self) -> None:
        assert ledger.open_execution(record(), execution()) == record()

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
        held = ledger.open_execution(record(), execution("e2"), holder_is_gone=True, seen=EPOCH - 1)
        assert "was claimed since the checks, by e1, forced to b" in str(held), "the one that is gone is another"
        assert ledger.open_execution(record(), execution(), seen=EPOCH - 1) == record(), "its own claim, asked twice"

    def test_an_older_execution_closes_nothing(self) -> None:
        assert ledger.close_execution(record(), MOVE, EPOCH - 1, clean=True) == record()

    def test_a_fence_stays_until_what_it_cut_is_released_or_powered_on(self) -> None:
        fenced = record(fenced={"db@a": "a", "db@a:bmc": "a", "db@ab": "ab", "db2@a": "a"})
        assert ledger.release(fenced, "db", "a").fenced == {"db@ab": "ab", "db2@a": "a"}
        on = ledger.close_attempt(entered(fenced, request(wanted=UNFENCE)), request().attempt, done(UNFENCE))
        assert MACHINE not in on.fenced
        off = ledger.close_attempt(entered(record(), request()), request().attempt, done(FENCE))
        assert off.fenced == {MACHINE: "a"}, "what is confirmed to be off stays fenced"
