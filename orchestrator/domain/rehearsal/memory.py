"""Equal values are one, and what was found out of them once is not found out again: what makes a search finite, fast.

Everything that a rehearsal is made of is a value, and every step of it a pure function of values. So each value gets a
number by what it holds, a state of the rehearsal is a row of such numbers, and the answer of a function is kept by the
numbers of what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from orchestrator.domain.state import StepRecord

_FOR_PEOPLE: Mapping[type, frozenset[str]] = {StepRecord: frozenset({"said", "started_at"})}
"""What no rule reads: words and a time that are only shown. When a step ended is read: an approval expires after it."""

T = TypeVar("T")


class Whole:
    """Base of what is equal to itself only, and is never looked into."""


class Memory:
    """Gives equal values the same number, and functions of equal values the same answer. Not thread-safe."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._seen: dict[int, tuple[object, int]] = {}
        self._first: dict[int, Any] = {}
        self._answers: dict[tuple[object, ...], Any] = {}
        self._given: dict[tuple[object, ...], tuple[Any, tuple[object, ...]]] = {}

    def number(self, value: object) -> int:
        """The number of every value that is equal to this one, in what rules read of it."""
        known = self._seen.get(id(value))
        if known is not None:
            return known[1]
        number = self._numbers.setdefault(self._parts(value), len(self._numbers))
        self._seen[id(value)] = (value, number)  # kept alive: another value must not get its id
        return number

    def numbers(self, values: Iterable[object]) -> tuple[int, ...]:
        """The number of each value."""
        seen = self._seen
        return tuple([seen[id(value)][1] if id(value) in seen else self.number(value) for value in values])

    def same(self, value: T) -> T:
        """The first value that was equal to this one: one that is known is told apart fastest."""
        return self._first.setdefault(self.number(value), value)  # type: ignore[no-any-return]

    def of(self, function: Callable[..., T], *given: object) -> T:
        """`function(*given)`, found out once for all that is equal. `function` is pure, and defined in a module."""
        same = (function, *map(id, given))
        known = self._given.get(same)
        if known is None:
            known = self._given[same] = self._answer(function, given), given  # kept alive, as above
        return known[0]

    def _answer(self, function: Callable[..., T], given: tuple[object, ...]) -> T:
        key = (function, *self.numbers(given))
        if key not in self._answers:
            self._answers[key] = self.same(function(*given))
        return self._answers[key]  # type: ignore[no-any-return]

    def _parts(self, value: Any) -> object:
        kind, numbers = type(value), self.numbers
        if value is None or isinstance(value, str | float | int):
            return (kind, value)
        if isinstance(value, BaseModel):
            shown = _FOR_PEOPLE.get(kind)
            if shown is None:
                return kind, numbers(value.__dict__.values())
            return kind, numbers([part for name, part in value.__dict__.items() if name not in shown])
        if isinstance(value, tuple | list):
            return kind, numbers(value)
        if isinstance(value, Mapping):
            return dict, frozenset(zip(value, numbers(value.values()), strict=True))
        if isinstance(value, frozenset):
            return frozenset, frozenset(numbers(value))
        if isinstance(value, Whole):
            return (kind, id(value))
        if is_dataclass(value):
            return kind, numbers(vars(value).values())
        msg = f"no rule for a {kind.__name__}"
        raise TypeError(msg)
