"""A rehearsal at each moment of an execution in which nothing more goes wrong than does already."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.rehearsal.moves import moves
from orchestrator.domain.rehearsal.search import after
from orchestrator.domain.rehearsal.values import Rehearsal


def states_on_the_way(now: Rehearsal) -> Iterator[Rehearsal]:
    """The rehearsal after each move of its first execution."""
    yield now
    while not now.state.finish:
        now = after(now, next(moves(now, unusual=True)))
        yield now


def going_on(now: Rehearsal, words: str) -> Rehearsal:
    """The rehearsal after the one move that is told with these words."""
    (move,) = [move for move in moves(now, unusual=True) if words in str(move)]
    return after(now, move)


def ended(now: Rehearsal) -> Rehearsal:
    """The rehearsal at the end of its first execution."""
    return list(states_on_the_way(now))[-1]
