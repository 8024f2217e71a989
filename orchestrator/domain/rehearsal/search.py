"""The search through every placement of up to k faults: states that are equal are looked at once."""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.domain.rehearsal import invariants
from orchestrator.domain.rehearsal.driving import Broken, Rehearsal, driven
from orchestrator.domain.rehearsal.moves import Move, moves
from orchestrator.domain.rehearsal.story import story
from orchestrator.domain.state import End, Finish

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
    """The shortest way to a broken invariant: what happened, in order. `faults`: how many of it were unusual, each of
    which begins with an exclamation mark in the story."""

    def __init__(self, broken: str, story: tuple[str, ...], faults: int) -> None:
        super().__init__(broken, story, faults)
        self.broken, self.story, self.faults = broken, story, faults

    def __str__(self) -> str:
        return "\n".join((self.broken, *self.story))


class _Came(NamedTuple):
    """How a state was first reached."""

    parent: int | None
    move: Move | None
    spent: int
    depth: int


class Search:
    """One origin, searched breadth first within each number of faults: the first violation has the fewest.

    `succeeds`: without a fault the first execution has to. Where it does not, there is nothing to rehearse.
    """

    def __init__(self, origin: Rehearsal, faults: int, succeeds: bool = False) -> None:
        self.covered, self._succeeds = Covered(faults), succeeds
        self._faults = faults
        self._states: dict[object, int] = {}
        first = self._number(origin)
        self._came = {first: _Came(None, None, 0, 0)}
        self._waiting = {first: origin}
        self._layers = [deque([first]), *(deque[int]() for _ in range(faults))]
        self._ways: dict[int, tuple[list[int], list[int]]] = {}

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
        self._ways[number] = [], []
        try:
            if self._came[number].depth > LONGEST:
                raise Broken("it does not come to an end")
            if now.state.finish:
                self._ended(now, now.state.finish, spent)
            for move in moves(now, spent < self._faults):
                self._follow(number, now, move, spent)
        except Broken as broken:
            raise self._counterexample(str(broken), number, broken.move) from broken

    def _ended(self, now: Rehearsal, finish: Finish, spent: int) -> None:
        self.covered.ends[f"{now.plan.mode} {finish.end}"] += 1
        if self._succeeds and now.past.number == 1 and not spent and finish.end is not End.SUCCEEDED:
            raise Broken(f"without any fault it does not succeed: {finish.end}: {finish.why}")

    def _number(self, now: Rehearsal) -> int:
        return self._states.setdefault(now.key(), len(self._states))

    def _follow(self, number: int, now: Rehearsal, move: Move, spent: int) -> None:
        then = after(now, move)
        reached = self._number(then)
        self.covered.calls += 1
        if reached != number:
            self._ways[number][move.cost].append(reached)
            self._reach(reached, then, _Came(number, move, spent + move.cost, self._came[number].depth + 1))
        elif not move.cost:
            raise Broken(f"it does not come to an end: {move}", move)

    def _reach(self, number: int, now: Rehearsal, came: _Came) -> None:
        known = self._came.get(number)
        if known is None or (number in self._waiting and came.spent < known.spent):
            self._came[number] = came
            self._waiting[number] = now
            self._layers[came.spent].append(number)

    def _counterexample(self, broken: str, number: int, last: Move | None) -> Counterexample:
        made, faults = [last] if last else [], last.cost if last else 0
        faults += self._came[number].spent
        here: int | None = number
        while here is not None:
            came = self._came[here]
            made += [came.move] if came.move else []
            here = came.parent
        return Counterexample(broken, story(reversed(made)), faults)

    def _schedules(self) -> int:
        """How many different ways there are to an end, with up to so many faults. Raises Counterexample on a circle."""
        order = self._in_order()
        fewer: dict[int, int] | None = None
        for _ in self._layers:
            counted: dict[int, int] = {}
            for number in order:
                free, faulty = self._ways[number]
                ways = sum([counted[to] for to in free])
                if fewer is not None:
                    ways += sum([fewer[to] for to in faulty])
                counted[number] = ways or 1
            fewer = counted
        return counted[order[-1]]

    def _in_order(self) -> list[int]:
        """Every state, after all that it leads to without a fault; the first one last."""
        order: list[int] = []
        open_, done = set[int](), set[int]()
        for start in reversed(self._came):
            stack = [start]
            while stack:
                at = stack[-1]
                if at not in done and at not in open_:
                    open_.add(at)
                    missing = [to for to in self._ways[at][0] if to not in done]
                    if circle := open_.intersection(missing):
                        raise self._counterexample("it does not come to an end", circle.pop(), None)
                    stack.extend(missing)
                    continue
                stack.pop()
                if at in open_:
                    open_.discard(at)
                    done.add(at)
                    order.append(at)
        return order


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
        then = move.made(now._replace(happened=()), *move.given)
        if not then.state.finish:
            then = driven(then)
        invariants.judge(then)
    except Broken as broken:
        raise Broken(str(broken), move) from broken
    except Exception as error:
        raise Broken(repr(error), move) from error
    return then
