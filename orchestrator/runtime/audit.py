"""The audit trail: append-only entries, each chained to the one before by its hash (I12).

The chain shows by itself what was flipped, deleted or reordered in it. Whoever can write the journal can also cut its
tail, or write all of it anew with the right hashes: that shows only against a `Checkpoint` that is kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from orchestrator.domain.audit import Checkpoint
from orchestrator.domain.base import Frozen
from orchestrator.domain.commands import OperatorInput
from orchestrator.domain.errors import JournalUnavailable
from orchestrator.ports import Journal
from orchestrator.runtime.decoding import decoded

_TRAIL = "audit"
_HEAD = f"{_TRAIL}-head"
_PREFIX = f"{_TRAIL}/"
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


@dataclass(frozen=True)
class Broken:
    """What breaks the chain, by the number of the entry that shows it, and what to do next."""

    found: str
    way_out: str

    def __str__(self) -> str:
        """Both, in one line."""
        return f"{self.found}; {self.way_out}"


def spoken(execution: str, group: str, plan: str, command: str, said: object, refused: str | None = None) -> NewEntry:
    """The entry of what a human said to an execution, taken or refused. `said` may be what is no command at all."""
    fields = said.model_dump(mode="json", exclude={"command"}) if isinstance(said, OperatorInput) else {}
    return NewEntry(
        at=time.time(),
        what="command" if refused is None else "refused",
        group=group,
        who=str(fields.pop("by", "unknown")),
        plan=plan,
        detail={"execution": execution, "command": command, **fields, **({"why": refused} if refused else {})},
    )


def appended(journal: Journal, new: NewEntry) -> tuple[tuple[str, str, int], ...]:
    """The changes that append `new`: to be swapped together with what it tells about, or by themselves.

    Raises JournalUnavailable where the trail has lost its head: nothing could ever be appended to it.
    """
    number, previous, version = _head(journal)
    entry = AuditEntry(number=number + 1, previous=previous, **dict(new))
    key = _key(entry.number)
    if journal.read(key) and _head(journal)[2] == version:
        raise JournalUnavailable(f"the audit trail goes on after its head, entry {number}: `tideover audit verify`")
    return (
        (key, entry.model_dump_json(), 0),
        (_HEAD, json.dumps([entry.number, entry.hash]), version),
    )


def append(journal: Journal, new: NewEntry) -> None:
    """The entry stands at the end of the chain."""
    while not journal.swap(*appended(journal, new)):
        pass


def entries(journal: Journal) -> Iterator[AuditEntry]:
    """Every entry, oldest first. Raises JournalUnavailable at one that was changed into none."""
    for key, (value, _) in sorted(journal.read(_PREFIX).items()):
        yield decoded(AuditEntry.model_validate_json, key, value, "`tideover audit verify` tells how far it is whole")


def checkpoint(journal: Journal) -> Checkpoint:
    """Where the chain ends now: to be kept where whoever can write the journal cannot."""
    number, last, _ = _head(journal)
    return Checkpoint(journal=journal.id, number=number, hash=last, at=time.time())


def verify(journal: Journal, checkpoints: Sequence[Checkpoint] = ()) -> Broken | None:
    """What breaks the chain; None where every entry is where it was written and where the checkpoints saw it."""
    found = journal.read(_TRAIL)  # entries and head in one read: another process may be appending
    head = found.pop(_HEAD, (json.dumps([0, _START]), 0))[0]
    hashes = [_START]
    for number, (key, (value, _)) in enumerate(sorted(found.items()), start=1):
        why = _broken(key, value, number, hashes[-1])
        if why:
            return Broken(why, f"keep a copy of the journal and find out whose hand it was; {_trust(number - 2)}")
        hashes.append(AuditEntry.model_validate_json(value).hash)
    last = len(hashes) - 1
    if head != json.dumps([last, hashes[-1]]):
        why = (
            f"the chain ends at entry {last}, but its head says otherwise: that entry was changed, or the tail was cut"
        )
        return Broken(why, "keep a copy of the journal and compare it with a backup")
    return next((broken for seen in checkpoints if (broken := _against(seen, journal.id, hashes))), None)


def _against(seen: Checkpoint, journal: str, hashes: list[str]) -> Broken | None:
    """What the checkpoint saw and the chain holds no more. `hashes`: of every entry, by its number; 0 is the start."""
    last = len(hashes) - 1
    if seen.journal != journal:
        why = f"{seen} is of the journal {seen.journal[:8]}, this one is {journal[:8]}"
        return Broken(why, "name the journal that it was taken of; if that is gone, this one was put in its place")
    if seen.number > last:
        why = f"{seen} saw entry {seen.number}, but the chain ends at {last}: its tail was cut or all of it deleted"
        return Broken(why, "unless an old copy of the journal was restored, keep a copy and find out whose hand it was")
    if hashes[seen.number] != seen.hash:
        why = f"entry {seen.number} is not the one that {seen} saw: the chain was written anew up to there"
        return Broken(why, "trust no entry of it; keep a copy, find out whose hand it was, and compare with a backup")
    return None


def _trust(number: int) -> str:
    """How far the entries before a broken one vouch for each other."""
    return f"entries 1 to {number} are as they were written" if number > 0 else "no entry before it is vouched for"


def _broken(key: str, value: str, number: int, previous: str) -> str | None:
    """Why the entry under `key` is not the one that was written as `number`, after the one whose hash is given."""
    try:
        entry = AuditEntry.model_validate_json(value)
    except ValidationError:
        return f"entry {number} is no entry any more: it was changed"
    if entry.number != number or key != _key(number):
        return f"entry {number} is missing: the next one is {entry.number}"
    if entry.previous != previous:
        return f"entry {number} does not follow from entry {number - 1}: one of the two was changed"
    return None


def _head(journal: Journal) -> tuple[int, str, int]:
    """Number and hash of the last entry, and the version of the key that says so."""
    found = journal.read(_HEAD).get(_HEAD)
    if found is None:
        return 0, _START, 0
    try:
        number, last = json.loads(found[0].encode())
        return int(number), str(last), found[1]
    except (TypeError, ValueError):
        raise JournalUnavailable("the head of the audit trail was changed: `tideover audit verify`") from None


def _key(number: int) -> str:
    return f"{_PREFIX}{number:012d}"
