"""What happened, for people: one line for each thing, and one for all calls of an attempt that went well."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from orchestrator.domain.rehearsal.moves import Move
from orchestrator.domain.rehearsal.values import Try


def story(moves: Iterable[Move]) -> tuple[str, ...]:
    """The moves in order, in words."""
    lines: list[str] = []
    for attempt, run in groupby(moves, key=_well_called):
        if attempt is None:
            lines += [f"{'! ' if move.cost else ''}{move}" for move in run]
        else:
            calls = [move.told[0].place for move in run if isinstance(move.told[0], Try)]
            lines.append(f"{attempt}: {', '.join(calls)}")
    return tuple(lines)


def _well_called(move: Move) -> str | None:
    """The attempt whose next call went well; None for anything else."""
    first = move.told[0]
    if move.cost or not isinstance(first, Try) or len(move.told) != 2:
        return None
    undo = " (undo)" if first.order.attempt.undo else ""
    return f"{first.order.attempt}{undo}, {first.order.want}"
