"""The audit trail: append-only entries, each chained to the one before by its hash (I12)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from orchestrator.domain.base import Frozen
from orchestrator.ports import Journal

_HEAD = "audit-head"
_PREFIX = "audit/"
_START = "0" * 64


class AuditEntry(Frozen):
    """Who did what, to what, under which plan.

    `previous` is the hash of the entry before. `at` in seconds since the epoch.
    `what`: `effect`, `ended`, `command`, `refused`, `claimed` or `finished`. `detail` never holds a secret (I14).
    """

    number: int
    previous: str
    at: float
    what: str
    group: str
    who: str
    plan: str
    detail: dict[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 over the entry, its predecessor's hash included."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class NewEntry(Frozen):
    """An entry before it has its place in the chain."""

    at: float
    what: str
    group: str
    who: str
    plan: str
    detail: dict[str, Any]


def appended(journal: Journal, new: NewEntry) -> tuple[tuple[str, str, int], ...]:
    """The changes that append `new`: to be swapped together with what it tells about, or by themselves."""
    head = journal.read(_HEAD).get(_HEAD)
    number, previous = json.loads(head[0]) if head else (0, _START)
    entry = AuditEntry(number=number + 1, previous=previous, **dict(new))
    return (
        (_key(entry.number), entry.model_dump_json(), 0),
        (_HEAD, json.dumps([entry.number, entry.hash]), head[1] if head else 0),
    )


def append(journal: Journal, new: NewEntry) -> None:
    """The entry stands at the end of the chain."""
    while not journal.swap(*appended(journal, new)):
        pass


def entries(journal: Journal) -> Iterator[AuditEntry]:
    """Every entry, oldest first."""
    for _, (value, _) in sorted(journal.read(_PREFIX).items()):
        yield AuditEntry.model_validate_json(value)


def verify(journal: Journal) -> str | None:
    """What breaks the chain; None where every entry is where it was written."""
    previous, number = _START, 0
    for key, (value, _) in sorted(journal.read(_PREFIX).items()):
        number += 1
        broken = _broken(key, value, number, previous)
        if broken:
            return broken
        previous = AuditEntry.model_validate_json(value).hash
    head = journal.read(_HEAD).get(_HEAD)
    if (head[0] if head else json.dumps([0, _START])) != json.dumps([number, previous]):
        return f"the chain ends at entry {number}, but its head says otherwise: the tail was cut or replaced"
    return None


def _broken(key: str, value: str, number: int, previous: str) -> str | None:
    """Why the entry under `key` is not the one that was written as `number`, after the one whose hash is given."""
    try:
        entry = AuditEntry.model_validate_json(value)
    except ValidationError:
        return f"entry {number} is no entry any more: it was changed"
    if entry.number != number or key != _key(number):
        return f"entry {number} is missing: the next one is {entry.number}"
    if entry.previous != previous:
        return f"entry {number} does not follow from the one before it: one of the two was changed"
    return None


def _key(number: int) -> str:
    return f"{_PREFIX}{number:012d}"
