"""The search through every placement of up to k faults: states that are equal are looked at once."""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from orchestrator.domain.engine import fold
from orchestrator.domain.rehearsal import invariants
from orchestrator.domain.rehearsal.driving import Broken, Rehearsal, driven
from orchestrator.domain.rehearsal.folding import Folding
from orchestrator.domain.rehearsal.moves import Move, moves

LONGEST = 300
"""Moves after which a rehearsal that has not ended counts as one that never will."""


@dataclass
class Covered:
    """What a search has seen. `ends`: how executions ended (`forced SUCCEEDED`), counted by state."""

    faults: int
    calls: int = 0
    states: int = 0
    schedules: int = 0
    ends: Counter[str] = field(default_factory=Counter)


class Counterexample(Exception):
    """The shortest way to a broken invariant: what happened, in order. `faults`: how many of it were unusual."""

    def __init__(self, broken: str, story: tuple[str, ...], faults: int) -> None:
        super().__init__(broken)
        self.broken, self.story, self.faults = broken, story, faults

    def __str__(self) -> str:
        return "\n".join((self.broken, *self.story))


@dataclass(frozen=True)
class _Came:
    """How a state was first reached."""

    parent: int | None
    move: str
    spent: int
    depth: int


class Search:
    """One origin, searched breadth first within each number of faults: the first violation has the fewest."""

    def __init__(self, origin: Rehearsal, faults: int) -> None:
        self.covered = Covered(faults)
        self._faults, self._folding = faults, Folding()
        first = self._folding.number(origin)
        self._came = {first: _Came(None, "", 0, 0)}
        self._waiting = {first: origin}
        self._layers = [deque([first]), *(deque[int]() for _ in range(faults))]
        self._ways: dict[int, list[tuple[int, int]]] = {}

    def run(self) -> Covered:
        """What was seen on every path. Raises Counterexample where an invariant does not hold."""
        with _without_garbage_collection():
            for spent, layer in enumerate(self._layers):
                while layer:
                    number = layer.popleft()
                    if number in self._waiting:
                        self._expand(number, self._waiting.pop(number), spent)
        self.covered.states = len(self._came)
        self.covered.schedules = self._schedules()
        return self.covered

    def _expand(self, number: int, now: Rehearsal, spent: int) -> None:
        if now.state.finish:
            self.covered.ends[f"{now.plan.mode} {now.state.finish.end}"] += 1
        self._ways[number] = []
        try:
            if self._came[number].depth > LONGEST:
                raise Broken("it does not come to an end")
            for move in moves(now, spent < self._faults):
                self._follow(number, now, move, spent)
        except Broken as broken:
            raise self._counterexample(str(broken), number, broken.move) from broken

    def _follow(self, number: int, now: Rehearsal, move: Move, spent: int) -> None:
        then = after(now, move)
        reached = self._folding.number(then)
        self.covered.calls += 1
        if reached != number:
            self._ways[number].append((reached, move.cost))
            self._reach(reached, then, _Came(number, move.name, spent + move.cost, self._came[number].depth + 1))
        elif not move.cost:
            raise Broken(f"it does not come to an end: {move.name}", move)

    def _reach(self, number: int, now: Rehearsal, came: _Came) -> None:
        known = self._came.get(number)
        if known is None or (number in self._waiting and came.spent < known.spent):
            self._came[number] = came
            self._waiting[number] = now
            self._layers[came.spent].append(number)

    def _counterexample(self, broken: str, number: int, last: Move | None) -> Counterexample:
        story, faults = [last.name] if last else [], last.cost if last else 0
        faults += self._came[number].spent
        here: int | None = number
        while here is not None:
            came = self._came[here]
            story.append(came.move)
            here = came.parent
        return Counterexample(broken, tuple(reversed(story[:-1])), faults)

    def _schedules(self) -> int:
        """How many different ways there are to an end, with up to so many faults. Raises Counterexample on a circle."""
        first = next(iter(self._came))
        counted: dict[tuple[int, int], int] = {}
        stack, open_ = [(first, self._faults)], set[tuple[int, int]]()
        while stack:
            at = stack[-1]
            ways = [(to, at[1] - cost) for to, cost in self._ways[at[0]] if cost <= at[1]]
            missing = [way for way in ways if way not in counted]
            if at not in counted and missing:
                open_.add(at)
                if circle := open_.intersection(missing):
                    raise self._counterexample("it does not come to an end", circle.pop()[0], None)
                stack.extend(missing)
                continue
            stack.pop()
            open_.discard(at)
            counted[at] = sum(counted[way] for way in ways) or 1
        return counted[first, self._faults]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Values hold no circles, and there are millions: looking for some takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def after(now: Rehearsal, move: Move) -> Rehearsal:
    """The rehearsal after the move, judged. Raises Broken, which knows the move."""
    try:
        then = move.made(now)
        if not then.state.finish:
            then = driven(then)
        invariants.judge(now, then)
        if then.state.finish and now.events and fold(then.plan, then.state, now.events[-1]) != then.state:
            raise Broken("an event after the end changes something")
    except Broken as broken:
        raise Broken(str(broken), move) from broken
    except Exception as error:
        raise Broken(repr(error), move) from error
    return then
