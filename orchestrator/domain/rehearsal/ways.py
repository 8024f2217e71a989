"""Where each state of a search leads: a graph in rows of numbers, of which there may be tens of millions."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_NOWHERE = -1


class Circle(Exception):
    """A way leads back to the state `at` without a fault."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Ways:
    """States are numbered from 0, in the order in which they are added; 0 is where everything begins."""

    def __init__(self) -> None:
        self._begin = array("q"), array("q")  # by cost: where a state's row begins in `_rows`
        self._rows = array("q")  # how many, and which

    def add(self) -> None:
        """There is one more state, which leads nowhere yet."""
        for begin in self._begin:
            begin.append(_NOWHERE)

    def lead(self, state: int, cost: int, to: Iterable[int]) -> None:
        """The state leads to these by one move each that costs no fault, or one."""
        self._begin[cost][state] = len(self._rows)
        to = list(to)
        self._rows.append(len(to))
        self._rows.extend(to)

    def leads(self, state: int, cost: int) -> array[int]:
        """The states that it leads to by one move of this cost."""
        begin = self._begin[cost][state]
        if begin == _NOWHERE:
            return array("q")
        return self._rows[begin + 1 : begin + 1 + self._rows[begin]]

    def count(self, faults: int) -> int:
        """How many ways there are from the first state to an end, with up to so many faults. Raises Circle."""
        order = self._in_order()
        fewer: list[int] | None = None
        for _ in range(faults + 1):
            counted = [1] * len(order)
            for state in order:
                ways = sum([counted[to] for to in self.leads(state, 0)])
                if fewer is not None:
                    ways += sum([fewer[to] for to in self.leads(state, 1)])
                counted[state] = ways or 1
            fewer = counted
        return counted[0]

    def _in_order(self) -> array[int]:
        """Every state, after all that it leads to without a fault. Raises Circle."""
        unseen, open_, done = range(3)
        order, found = array("q"), bytearray(len(self._begin[0]))
        for start in range(len(found)):
            stack = [start]
            while stack:
                at = stack[-1]
                if found[at] == unseen:
                    found[at] = open_
                    for to in self.leads(at, 0):
                        if found[to] == open_:
                            raise Circle(to)
                        if found[to] == unseen:
                            stack.append(to)
                    continue
                stack.pop()
                if found[at] == open_:
                    found[at] = done
                    order.append(at)
        return order
