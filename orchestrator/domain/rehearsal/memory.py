"""Equal values are one, and what was found out of them once is not found out again: what makes a search finite, fast.

Everything that a rehearsal is made of is a value, and every step of it a pure function of values. So each value has a
digest of what it holds, a state of the rehearsal is a digest of such digests, and the answer of a function is kept by
the digests of what it was given. Digests have 128 bits: among a hundred million states, that two which differ would
have the same one is less likely than one in 10^22.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from hashlib import blake2b
from typing import Any, TypeVar

from pydantic import BaseModel

ROOM = 1_000_000
"""Values that are remembered at once: about a gigabyte. With a quarter of it a long search takes half as long again."""

T = TypeVar("T")


class Whole:
    """Base of what is equal to itself only, and is never looked into."""


class Memory:
    """Gives equal values the same digest, and functions of equal values the same answer. Not thread-safe."""

    def __init__(self) -> None:
        self._whole: dict[int, tuple[Whole, bytes]] = {}
        self._kinds: dict[type, bytes] = {}
        self.forget()

    def forget(self) -> None:
        """Nothing is remembered; digests stay what they are."""
        self._digests: dict[int, bytes] = {}
        self._kept: list[object] = []  # kept alive: another value must not get the id of one in `_digests`
        self._first: dict[bytes, Any] = {}
        self._answers: dict[tuple[object, ...], Any] = {}
        self._given: dict[tuple[object, ...], tuple[Any, tuple[object, ...]]] = {}

    def tidy(self) -> None:
        """What was remembered is forgotten where it is more than there is room for."""
        if len(self._kept) > ROOM:
            self.forget()

    def digest(self, value: object) -> bytes:
        """The same for every value that is equal to this one, in all that it holds."""
        known = self._digests.get(id(value))
        if known is None:
            known = self._digests[id(value)] = self._made(value)
            self._kept.append(value)
        return known

    def digest_of(self, values: tuple[object, ...]) -> bytes:
        """The same for every row of values that are equal, each to each."""
        return _digest(self._digests_of(values))

    def _digests_of(self, values: Iterable[object]) -> bytes:
        """The digest of each value, one after the other."""
        values = tuple(values)
        known = self._digests
        try:
            return b"".join([known[id(value)] for value in values])
        except KeyError:
            return b"".join([self.digest(value) for value in values])

    def same(self, value: T) -> T:
        """The first value that was equal to this one: one that is known is told apart fastest."""
        return self._first.setdefault(self.digest(value), value)  # type: ignore[no-any-return]

    def of(self, function: Callable[..., T], *given: object) -> T:
        """`function(*given)`, found out once for all that is equal. `function` is pure, and defined in a module."""
        same = (function, *map(id, given))
        known = self._given.get(same)
        if known is None:
            known = self._given[same] = self._answer(function, given), given  # kept alive, as above
        return known[0]

    def _answer(self, function: Callable[..., T], given: tuple[object, ...]) -> T:
        key = (function, self._digests_of(given))
        if key not in self._answers:
            self._answers[key] = self.same(function(*given))
        return self._answers[key]  # type: ignore[no-any-return]

    def _made(self, value: Any) -> bytes:
        kind, digests = type(value), self._digests_of
        if value is None or isinstance(value, str | float | int):
            return _digest(self._kind(kind) + repr(value).encode())
        if isinstance(value, BaseModel):
            return _digest(self._kind(kind) + digests(value.__dict__.values()))
        if isinstance(value, tuple | list):
            return _digest(self._kind(kind) + digests(value))
        if isinstance(value, Mapping):
            return _digest(self._kind(dict) + digests(value) + digests(value.values()))
        if isinstance(value, frozenset):
            return _digest(self._kind(frozenset) + b"".join(sorted([self.digest(part) for part in value])))
        if isinstance(value, Whole):
            return self._whole.setdefault(id(value), (value, _digest(f"whole {len(self._whole)}".encode())))[1]
        if is_dataclass(value):
            return _digest(self._kind(kind) + digests(vars(value).values()))
        msg = f"no rule for a {kind.__name__}"
        raise TypeError(msg)

    def _kind(self, kind: type) -> bytes:
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = _digest(f"{kind.__module__}.{kind.__qualname__}".encode())
        return known


def _digest(of: bytes) -> bytes:
    return blake2b(of, digest_size=16).digest()
