"""`ensure` as a table: total, at most one change, and nothing but a fresh reading is Done.

The table is finite once times and readings are few, so that all sequences of replies, of any length, are tried.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from orchestrator.domain.ensure import (
    GIVE_UP,
    Accepted,
    Blind,
    Call,
    Change,
    Goal,
    InDoubt,
    Look,
    NotSent,
    Phase,
    Progress,
    Reply,
    Saw,
    TimeUp,
    ensure_next,
    failed,
)
from orchestrator.domain.errors import (
    Doubtful,
    GuardRefused,
    JournalUnavailable,
    TideoverError,
    Unreachable,
    WrongIdentity,
)
from orchestrator.domain.outcome import Done, Failed, Outcome, Refused, Unknown
from orchestrator.domain.world import Power, Reading, Strength

ON, OFF = Power(power="on"), Power(power="off")
ASKED = 100.0
STALE, FRESH, LATE = ASKED - 1, ASKED + 1, ASKED + GIVE_UP + 1


def reading(state: Power | None, authoritative: bool = True, identity: str | None = "mine") -> Reading:
    states = (state,) if state else ()
    return Reading(states=states, authority="test", authoritative=authoritative, latched=True, identity=identity)


SIGHTS: tuple[Reply, ...] = tuple(
    Saw(reading=seen, began=began, elapsed=1.0)
    for seen, began in itertools.product(
        (reading(ON), reading(OFF), reading(None), reading(OFF, authoritative=False), reading(OFF, identity="other"),
         reading(OFF, identity=None)),
        (STALE, ASKED, FRESH, LATE),
    )
)  # fmt: skip
BLINDNESS: tuple[Reply, ...] = tuple(
    Blind(why="dark", lasting=lasting, elapsed=elapsed)
    for lasting, elapsed in itertools.product((True, False), (0.5, 9.0))
)
ANSWERS: tuple[Reply, ...] = (
    Accepted(at=ASKED),
    InDoubt(why="no answer", at=ASKED),
    NotSent(why="no", refused=True),
    NotSent(why="no", refused=False),
)
LOOKED: tuple[Reply, ...] = (*SIGHTS, *BLINDNESS, TimeUp())
CHANGED: tuple[Reply, ...] = (*ANSWERS, TimeUp())
GOALS = tuple(
    Goal(resource="machine", desired=OFF, may_be_there=may, identity=identity, patience=2.0)
    for may, identity in itertools.product((True, False), ("mine", None))
)


@dataclass(frozen=True)
class Path:
    """An attempt under way: how often a change was asked for, and how that was answered."""

    progress: Progress
    call: Call
    changes: int = 0
    answer: Reply | None = None


@dataclass(frozen=True)
class Finished:
    """How one sequence of replies ended."""

    path: Path
    reply: Reply
    outcome: Outcome


def explored(goal: Goal) -> tuple[set[str], list[Finished]]:
    """Every state that any sequence of replies leads to, and every end."""
    todo, seen, ends = [Path(Progress(goal=goal), Look())], set[str](), list[Finished]()
    while todo:
        path = todo.pop()
        if repr(path) in seen:
            continue
        seen.add(repr(path))
        for reply in CHANGED if isinstance(path.call, Change) else LOOKED:
            progress, said = ensure_next(path.progress, reply)
            answer = reply if isinstance(path.call, Change) else path.answer
            if isinstance(said, Look | Change):
                todo.append(Path(progress, said, path.changes + isinstance(said, Change), answer))
            else:
                ends.append(Finished(Path(progress, path.call, path.changes, answer), reply, said))
    return seen, ends


@pytest.fixture(scope="module", params=GOALS, ids=lambda g: f"may_be_there={g.may_be_there},identity={g.identity}")
def ends(request: pytest.FixtureRequest) -> tuple[Goal, list[Finished]]:
    _, found = explored(request.param)
    return request.param, found


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("reply", [*LOOKED, *ANSWERS], ids=lambda r: type(r).__name__)
def test_every_reply_in_every_phase_has_an_answer(phase: Phase, reply: Reply) -> None:
    for goal, requested in itertools.product(GOALS, (None, ASKED)):
        _, said = ensure_next(Progress(goal=goal, phase=phase, requested_at=requested), reply)
        assert isinstance(said, Look | Change | Done | Refused | Failed | Unknown)


@pytest.mark.parametrize("phase", Phase)
def test_a_time_out_is_never_done_and_after_a_request_it_is_unknown(phase: Phase) -> None:
    _, said = ensure_next(Progress(goal=GOALS[0], phase=phase, requested_at=ASKED), TimeUp())
    assert isinstance(said, Failed if phase is Phase.LOOKING else Unknown)


def test_the_states_are_few_so_every_sequence_was_tried() -> None:
    for goal in GOALS:
        seen, found = explored(goal)
        assert 5 < len(seen) < 60
        assert {type(end.outcome) for end in found} == {Done, Refused, Failed, Unknown}


def test_a_change_is_asked_for_at_most_once(ends: tuple[Goal, list[Finished]]) -> None:
    assert {end.path.changes for end in ends[1]} == {0, 1}


def test_done_is_a_reading_of_the_wanted_state_of_the_one_that_is_meant(ends: tuple[Goal, list[Finished]]) -> None:
    goal, found = ends
    for end in found:
        if isinstance(end.outcome, Done):
            assert isinstance(end.reply, Saw)
            assert end.reply.reading.satisfies(goal.desired)
            assert end.reply.reading == end.outcome.evidence.reading
            assert goal.identity is None or end.reply.reading.identity != "other"


def test_done_after_a_request_rests_on_a_reading_begun_after_it(ends: tuple[Goal, list[Finished]]) -> None:
    for end in ends[1]:
        if isinstance(end.outcome, Done) and end.path.changes:
            assert isinstance(end.reply, Saw)
            assert end.outcome.changed
            assert end.outcome.evidence.requested_at == ASKED
            assert end.reply.began >= ASKED


def test_done_without_a_request_only_where_that_is_enough(ends: tuple[Goal, list[Finished]]) -> None:
    goal, found = ends
    unchanged = [e.outcome for e in found if isinstance(e.outcome, Done) and not e.path.changes]
    assert bool(unchanged) == goal.may_be_there
    assert not any(outcome.changed for outcome in unchanged)


def test_refused_and_failed_only_where_surely_nothing_was_sent(ends: tuple[Goal, list[Finished]]) -> None:
    for end in ends[1]:
        if isinstance(end.outcome, Refused | Failed):
            assert end.path.changes == 0 or isinstance(end.path.answer, NotSent)


def test_once_something_may_have_been_sent_the_end_is_done_or_unknown(ends: tuple[Goal, list[Finished]]) -> None:
    for end in ends[1]:
        if isinstance(end.path.answer, Accepted | InDoubt):
            assert isinstance(end.outcome, Done | Unknown)


def test_evidence_is_f2_only_from_an_authority(ends: tuple[Goal, list[Finished]]) -> None:
    for end in ends[1]:
        if isinstance(end.outcome, Done):
            evidence = end.outcome.evidence
            assert evidence.strength is (Strength.F2 if evidence.reading.authoritative else Strength.F1)


def test_what_another_one_reads_proves_nothing_after_the_request_either() -> None:
    progress = Progress(goal=GOALS[0], phase=Phase.READING_BACK, requested_at=ASKED)
    after, said = ensure_next(progress, Saw(reading=reading(OFF, identity="other"), began=FRESH, elapsed=1.0))
    assert isinstance(said, Look)
    assert "other answered" in after.last


def test_an_accepted_request_is_waited_for_however_long_and_one_in_doubt_is_given_up() -> None:
    late = Saw(reading=reading(ON), began=LATE, elapsed=1.0)
    accepted = Progress(goal=GOALS[0], phase=Phase.READING_BACK, requested_at=ASKED)
    doubtful = Progress(goal=GOALS[0], phase=Phase.IN_DOUBT, requested_at=ASKED, doubt="no answer")
    assert isinstance(ensure_next(accepted, late)[1], Look)
    assert isinstance(ensure_next(doubtful, late)[1], Unknown)


def test_every_end_that_is_not_done_says_why_in_one_line(ends: tuple[Goal, list[Finished]]) -> None:
    for end in ends[1]:
        if not isinstance(end.outcome, Done):
            assert end.outcome.why
            assert "\n" not in end.outcome.why


ERRORS = [GuardRefused("no"), JournalUnavailable("no"), WrongIdentity("no"), Unreachable("no"), Doubtful("no")]


@pytest.mark.parametrize(("error", "sent", "went_through"), list(itertools.product(ERRORS, (0, 1, 2), (False, True))))
def test_an_error_proves_that_nothing_was_done_only_where_it_is_about_all_that_was_sent(
    error: TideoverError, sent: int, went_through: bool
) -> None:
    reply = failed(error, sent, went_through, at=7.0)  # type: ignore[arg-type]
    surely_not = isinstance(error, WrongIdentity | Unreachable) and sent == 1 and not went_through
    if sent == 0:
        assert reply == NotSent(why="no", refused=not isinstance(error, Unreachable | Doubtful))
    elif surely_not:
        assert reply == NotSent(why="no", refused=False)
    else:
        assert reply == InDoubt(why="no", at=7.0)
