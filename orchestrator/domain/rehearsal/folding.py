"""Equal values are one: what makes a search through all schedules finite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from orchestrator.domain.rehearsal.driving import Rehearsal
from orchestrator.domain.state import StepRecord

_FOR_PEOPLE: Mapping[type, frozenset[str]] = {
    StepRecord: frozenset({"said", "started_at", "ended_at"}),
    Rehearsal: frozenset({"missions", "events", "sent", "promotions"}),
}
"""What no rule reads: words and times that are only shown, and the way that led here."""

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
            shown = _FOR_PEOPLE.get(kind, frozenset())
            return (kind, *[number(part) for name, part in value.__dict__.items() if name not in shown])
        if isinstance(value, Mapping):
            return (dict, frozenset((key, number(part)) for key, part in value.items()))
        if isinstance(value, tuple | list):
            return (tuple, *[number(part) for part in value])
        if isinstance(value, frozenset):
            return (frozenset, frozenset(number(part) for part in value))
        if is_dataclass(value):
            shown = _FOR_PEOPLE.get(kind, frozenset())
            return (kind, *[number(getattr(value, f.name)) for f in fields(value) if f.name not in shown])
        msg = f"no rule for a {kind.__name__}"
        raise TypeError(msg)
