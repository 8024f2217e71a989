"""The search through every placement of up to k faults: states that are equal are looked at once."""

from __future__ import annotations

import gc
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from orchestrator.domain.rehearsal import invariants
from orchestrator.domain.rehearsal.driving import driven
from orchestrator.domain.rehearsal.memory import Memory
from orchestrator.domain.rehearsal.moves import Move, moves
from orchestrator.domain.rehearsal.story import story
from orchestrator.domain.rehearsal.values import Broken, Rehearsal
from orchestrator.domain.rehearsal.ways import Circle, Ways
from orchestrator.domain.state import End

LONGEST = 300
"""Moves after which a rehearsal that has not ended counts as one that never will."""

_ENDLESS = "it does not come to an end"


@dataclass
class Covered:
    """What a search has seen. `ends`: how executions ended (`forced SUCCEEDED`), counted by state."""

    faults: int
    calls: int = 0
    states: int = 0
    schedules: int = 0
    ends: Counter[str] = field(default_factory=Counter)


class Counterexample(Exception):
    """The shortest way to a broken invariant: what happened, in order. `faults`: how many of it were unusual, each of
    which begins with an exclamation mark in the story."""

    def __init__(self, broken: str, story: tuple[str, ...], faults: int) -> None:
        super().__init__(broken, story, faults)
        self.broken, self.story, self.faults = broken, story, faults

    def __str__(self) -> str:
        return "\n".join((self.broken, *self.story))


_Level = list[tuple[int, Rehearsal]]
"""States that are equally many moves away, each with its number."""


class Search:
    """One origin, searched by the number of faults, and within it by the number of moves: the first violation that is
    found has the fewest faults, and of those with as many the fewest moves.

    `succeeds`: without a fault the first execution has to, or must not; None where it may end in any way.

    Of a state that was looked at there remain its digest and where it leads. A rehearsal itself is kept while it waits
    to be looked at and, unless it has had all its faults, until one more was tried in it.
    """

    def __init__(self, origin: Rehearsal, faults: int, succeeds: bool | None = None, returns: bool = False) -> None:
        self.covered, self._origin, self._succeeds, self._returns = Covered(faults), origin, succeeds, returns
        self._faults = faults
        self._numbers: dict[bytes, int] = {}
        self._parents = array("q")
        self._ways = Ways()

    def run(self, tell: Callable[[int, int], object] | None = None) -> Covered:
        """What was seen on every path. Raises Counterexample where an invariant does not hold.

        `tell` is told, after each step outward, how many faults are tried and how many states have been met.
        """
        with _without_garbage_collection(self._origin.memory):
            seeds: list[_Level] = []
            for spent in range(self._faults + 1):
                seeds = self._layer(spent, seeds, tell)
        self.covered.states = len(self._numbers)
        try:
            self.covered.schedules = self._ways.count(self._faults)
        except Circle as circle:
            raise self._counterexample(_ENDLESS, circle.at, None) from None
        return self.covered

    def _layer(self, spent: int, seeds: list[_Level], tell: Callable[[int, int], object] | None) -> list[_Level]:
        """Every state that takes so many faults has been looked at. Returns them by the number of moves.

        `seeds`: those with one fault less, which are let go. For the last number of faults nothing is returned.
        """
        last = spent == self._faults
        kept, level, depth = list[_Level](), _Level(), 0
        if not spent:
            self._reach(-1, self._origin, level)
        while level or depth < len(seeds):
            further = _Level()
            if depth < len(seeds):
                for number, now in seeds[depth]:
                    self._expand(number, now, 1, True, further)
                seeds[depth] = []
            for number, now in level:
                if depth > LONGEST:
                    raise self._counterexample(_ENDLESS, number, None)
                self._look_at(number, now, spent)
                self._expand(number, now, 0, not last, further)
            kept.append([] if last else level)
            level, depth = further, depth + 1
            if tell:
                tell(spent, len(self._numbers))
        return kept

    def _look_at(self, number: int, now: Rehearsal, spent: int) -> None:
        finish = now.state.finish
        if not finish:
            return
        self.covered.ends[f"{now.plan.mode} {finish.end}"] += 1
        if not spent and self._due(now) is (finish.end is not End.SUCCEEDED):
            what = "succeeds" if finish.end is End.SUCCEEDED else "does not succeed"
            why = f"without any fault {now.mission} {what}: {finish.end}: {finish.why}"
            raise self._counterexample(why, number, None)

    def _due(self, now: Rehearsal) -> bool | None:
        """Whether the execution has to succeed without a fault; None where that is open."""
        if now.past.number == 1:
            return self._succeeds
        returning = (now.plan.mode, now.past.number) in (("reprotect", 2), ("planned", 3))
        return True if self._returns and returning else None

    def _expand(self, number: int, now: Rehearsal, cost: int, unusual: bool, further: _Level) -> None:
        """The moves of this cost were made; states that nobody has met before are added to `further`."""
        now.memory.tidy()
        reached: list[int] = []
        try:
            for move in moves(now, unusual):
                if move.cost == cost:
                    then = after(now, move)
                    self.covered.calls += 1
                    to = self._reach(number, then, further)
                    if to != number:
                        reached.append(to)
                    elif not cost:
                        raise Broken(_ENDLESS, move)
        except Broken as broken:
            raise self._counterexample(str(broken), number, broken.move) from broken
        self._ways.lead(number, cost, reached)

    def _reach(self, parent: int, now: Rehearsal, further: _Level) -> int:
        """The state's number. It is put into `further` where it is new."""
        number = self._numbers.setdefault(now.key(), len(self._numbers))
        if number == len(self._parents):
            self._parents.append(parent)
            self._ways.add()
            further.append((number, now))
        return number

    def _counterexample(self, broken: str, number: int, last: Move | None) -> Counterexample:
        made = [*self._made(number), *([last] if last else [])]
        return Counterexample(broken, story(made), sum(move.cost for move in made))

    def _made(self, number: int) -> Iterator[Move]:
        """The moves that first led to the state, found again from the beginning: only the way is kept."""
        way = [number]
        while self._parents[way[-1]] >= 0:
            way.append(self._parents[way[-1]])
        now, spent = self._origin, 0
        for to in reversed(way[:-1]):
            move, now = next(self._leading(now, spent < self._faults, to))
            spent += move.cost
            yield move

    def _leading(self, now: Rehearsal, unusual: bool, to: int) -> Iterator[tuple[Move, Rehearsal]]:
        for move in moves(now, unusual):
            with suppress(Broken):
                then = after(now, move)
                if self._numbers.get(then.key()) == to:
                    yield move, then


@contextmanager
def _without_garbage_collection(memory: Memory) -> Iterator[None]:
    """Values hold no circles, and there are millions: looking for some takes a third of the time. So what is remembered
    is forgotten before anybody looks again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        memory.forget()
        if was_on:
            gc.enable()


def after(now: Rehearsal, move: Move) -> Rehearsal:
    """The rehearsal after the move, judged. Raises Broken, which knows the move."""
    try:
        then = move.made(now._replace(happened=()), *move.given)
        if not then.state.finish:
            then = driven(then)
        invariants.judge(then)
    except Broken as broken:
        raise Broken(str(broken), move) from broken
    except Exception as error:
        raise Broken(repr(error), move) from error
    return then
