"""Equal values are one: what makes a search through all schedules finite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from orchestrator.domain.engine import fold, next_actions
from orchestrator.domain.plan import Plan
from orchestrator.domain.state import Action, Event, ExecutionState, StepRecord

NOT_FOLDED = {"folded": False}
"""Metadata of a dataclass's field by which two states are not told apart: the way that led here."""

_FOR_PEOPLE: Mapping[type, frozenset[str]] = {StepRecord: frozenset({"said", "started_at"})}
"""What no rule reads: words and a time that are only shown. When a step ended is read: an approval expires after it."""

_REMEMBERED = 400_000


class Folding:
    """Gives equal values the same number, by what they hold. Not thread-safe."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._remembered: dict[int, tuple[object, int]] = {}

    def number(self, value: Any) -> int:
        """The number of every value that is equal to this one, in what rules read of it."""
        if value is None or isinstance(value, str | float | int):
            return self._numbered((type(value), value))
        known = self._remembered.get(id(value))
        if known is not None:
            return known[1]
        number = self._numbered(self._parts(value))
        if len(self._remembered) > _REMEMBERED:
            self._remembered.clear()
        self._remembered[id(value)] = (value, number)  # kept alive: another value must not get its id
        return number

    def _numbered(self, key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _parts(self, value: Any) -> object:
        kind, number = type(value), self.number
        if isinstance(value, BaseModel):
            shown = _FOR_PEOPLE.get(kind)
            if shown is None:
                return (kind, *map(number, value.__dict__.values()))
            return (kind, *[number(part) for name, part in value.__dict__.items() if name not in shown])
        if isinstance(value, Mapping):
            return (dict, frozenset((key, number(part)) for key, part in value.items()))
        if isinstance(value, tuple | list):
            return (tuple, *map(number, value))
        if isinstance(value, frozenset):
            return (frozenset, frozenset(map(number, value)))
        if is_dataclass(value):
            return (kind, *[number(getattr(value, name)) for name in _folded_fields(kind)])  # type: ignore[arg-type]  # a class is hashable
        msg = f"no rule for a {kind.__name__}"
        raise TypeError(msg)


class NotPure(AssertionError):
    """The engine is no function of what it is given."""


class Memory:
    """What the engine makes of a state, found out once for all states that are equal."""

    def __init__(self) -> None:
        self._folding = Folding()
        self._states: dict[tuple[int, int], ExecutionState] = {}
        self._actions: dict[int, tuple[Action, ...]] = {}

    def fold(self, plan: Plan, state: ExecutionState, event: Event) -> ExecutionState:
        """The state after `event`, or one that is equal in what rules read of it. One memory serves one plan.

        Raises NotPure where the engine makes two states of the same.
        """
        key = self._folding.number(state), self._folding.number(event)
        if key not in self._states:
            self._states[key] = fold(plan, state, event)
            if fold(plan, state, event) != self._states[key]:
                raise NotPure("the same event folds to another state")
        return self._states[key]

    def next_actions(self, plan: Plan, state: ExecutionState) -> tuple[Action, ...]:
        """What the engine asks for."""
        key = self._folding.number(state)
        if key not in self._actions:
            self._actions[key] = tuple(next_actions(plan, state))
        return self._actions[key]


@cache
def _folded_fields(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.metadata.get("folded", True))
