"""A rehearsal at each moment of an execution in which nothing more goes wrong than does already."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.rehearsal.driving import Rehearsal
from orchestrator.domain.rehearsal.moves import moves
from orchestrator.domain.rehearsal.search import after


def states_on_the_way(now: Rehearsal) -> Iterator[Rehearsal]:
    """The rehearsal after each move of its first execution."""
    yield now
    while not now.state.finish:
        now = after(now, next(moves(now, unusual=False)))
        yield now


def ended(now: Rehearsal) -> Rehearsal:
    """The rehearsal at the end of its first execution."""
    return list(states_on_the_way(now))[-1]
