"""The journal on etcd, for more than one control host: three or five members, the most of them at no one site.

Each key of the journal is a key of etcd under the prefix, and its version is etcd's own. Every read and every swap is
one transaction that also compares the journal's identity, so that an emptied or exchanged store is noticed at once.
Nothing is read from a member alone (`serializable`): it may be behind.

A swap may be sent twice: its comparisons let it be made once, whichever arrives first, and for ever not after another
write. Each value carries the stamp of the swap that wrote it; by this one knows a swap whose answer was lost.
"""

from __future__ import annotations

import threading
import uuid
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from pydantic import Base64Str, BaseModel, ConfigDict, ValidationError

from orchestrator.domain.errors import JournalUnavailable
from orchestrator.runtime.etcd_gateway import Gateway
from orchestrator.runtime.journal import WAY_OUT

_ID = "journal/id"
_TXN = "/v3/kv/txn"
_ADVICE = ": look at the world with `tideover status`, and start again"
_STAMP = 32
"""Hexadecimal digits in front of each value, and a line break: which swap wrote it."""
PAGE = 500
"""Keys that one answer holds at most, so that each stays within the time for one member."""

Found = dict[str, tuple[str, str, int]]
"""Key to (stamp, value, version)."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Entry(_Answer):
    key: Base64Str
    value: Base64Str = ""
    version: int


class _Range(_Answer):
    kvs: tuple[_Entry, ...] = ()
    more: bool = False


class _Response(_Answer):
    response_range: _Range | None = None


class _Header(_Answer):
    cluster_id: int
    revision: int


class _Transaction(_Answer):
    """What etcd answers; the JSON leaves out what is false or empty."""

    header: _Header
    succeeded: bool = False
    responses: tuple[_Response, ...] = ()


class EtcdJournal:
    """Keys with versions in etcd; every swap is on the disks of most members when it returns, durable or not.

    A prefix without an identity is not an empty journal: it is made by `create` only, so that a lost one is noticed.
    So are, while it is in use, an identity that is gone or is another one, another cluster, and a cluster that was put
    back to an older state.
    """

    def __init__(self, gateway: Gateway, prefix: str) -> None:
        self._gateway, self._prefix = gateway, prefix
        self.made = False
        """Whether it was made by the `create` that returned this one."""
        self._lock, self._newest, self._cluster, self._changed = threading.Lock(), 0, 0, ""
        answer, _ = self._asked({"success": [self._range(_ID)]})
        found = self._entries(answer)
        if _ID not in found:
            raise JournalUnavailable(f"there is no journal in {self}: {WAY_OUT}")
        stamp, self._id, _ = found[_ID]
        same = {"target": "VALUE", "result": "EQUAL", "key": self._key(_ID), "value": _b64(_stamped(stamp, self._id))}
        self._is_this_one = same

    def __str__(self) -> str:
        return f"{self._gateway} under {self._prefix}/"

    @classmethod
    def create(cls, gateway: Gateway, prefix: str) -> EtcdJournal:
        """The journal under the prefix, made with a new identity where there was none."""
        key, identity = _b64(f"{prefix}/{_ID}"), uuid.uuid4().hex
        unless = {"target": "VERSION", "result": "EQUAL", "key": key, "version": "0"}
        put = {"request_put": {"key": key, "value": _b64(_stamped(identity, identity))}}
        gateway.ask(_TXN, {"compare": [unless], "success": [put]}, writes=True)
        journal = cls(gateway, prefix)
        journal.made = journal.id == identity
        return journal

    @property
    def id(self) -> str:
        """The identity given at creation."""
        return self._id

    def read(self, prefix: str) -> dict[str, tuple[str, int]]:
        """Every key that starts with `prefix`, with its value and version, all at one moment; as new as any write that
        was acknowledged before. Raises JournalUnavailable."""
        start, end = f"{self._prefix}/{prefix}", _b64(_after(f"{self._prefix}/{prefix}".encode()))
        found: Found = {}
        revision = 0
        while True:
            page = {"key": _b64(start), "range_end": end, "limit": str(PAGE), "revision": str(revision)}
            answer, _ = self._asked(
                {
                    "compare": [self._is_this_one],
                    "success": [{"request_range": page}],
                    "failure": [self._range(_ID)],
                }
            )
            entries = self._entries(answer)
            if not answer.succeeded:
                raise self._another(entries)
            found |= entries
            if not self._page(answer).more:
                return {key: (value, version) for key, (_, value, version) in found.items()}
            start, revision = f"{self._prefix}/{max(entries, key=str.encode)}\0", revision or answer.header.revision

    def swap(self, *changes: tuple[str, str, int], durable: bool = True) -> bool:  # noqa: ARG002 -- etcd always is
        """Write all changes if every version is still the one seen; else none, and False.

        Raises JournalUnavailable where nobody knows which: then all of them are written, now or later, or none is.
        """
        stamp = uuid.uuid4().hex
        puts = [{"key": self._key(key), "value": _b64(_stamped(stamp, value))} for key, value, _ in changes]
        answer, doubtful = self._asked(
            {
                "compare": [self._is_this_one, *(self._is_at(key, version) for key, _, version in changes)],
                "success": [{"request_put": put} for put in puts],
                "failure": [self._range(key) for key in (_ID, *(key for key, _, _ in changes))],
            },
            writes=True,
        )
        if answer.succeeded:
            return True
        found = self._entries(answer)
        if found.get(_ID, ("", "", 0))[1] != self._id:
            raise self._another(found)
        return doubtful and self._was_written(stamp, found, changes)

    def trouble(self) -> dict[str, str]:
        """Why each member does not answer; empty text where it does."""
        return self._gateway.trouble(_TXN, {"success": [self._range(_ID)]})

    def _was_written(self, stamp: str, found: Found, changes: Iterable[tuple[str, str, int]]) -> bool:
        """Whether a request whose answer was lost wrote the changes, told by who wrote the version that follows.

        The request can do nothing any more where a version has risen: its comparisons fail for ever.
        """
        for key, _, seen in changes:
            by, _, version = found.get(key, ("", "", 0))
            if version == seen + 1:
                return by == stamp
        risen = [found.get(key, ("", "", 0))[2] > seen for key, _, seen in changes]
        if any(risen) and not all(risen):
            return False
        why = "the answer to a write was lost, and others have written since: nobody knows whether it was made"
        raise JournalUnavailable(f"{why}; look at the group with `tideover status` before trying again")

    def _asked(self, transaction: dict[str, Any], *, writes: bool = False) -> tuple[_Transaction, bool]:
        """The answer, and whether an earlier try may have carried the transaction out. Raises JournalUnavailable."""
        newest = self._newest
        if self._changed:
            raise JournalUnavailable(self._changed)
        said, doubtful = self._gateway.ask(_TXN, transaction, writes=writes)
        try:
            answer = _Transaction.model_validate(said)
        except ValidationError as error:
            raise JournalUnavailable(f"what {self._gateway} answered is not etcd's: {_first(error)}") from error
        header = answer.header
        with self._lock:
            self._cluster = self._cluster or header.cluster_id
            if header.cluster_id != self._cluster:
                self._changed = f"{self._gateway} was replaced while it was in use, or is two clusters{_ADVICE}"
            elif header.revision < newest + (writes and answer.succeeded):  # each write that is made raises it
                self._changed = f"{self} was put back to an older state while it was in use, as from a backup{_ADVICE}"
            self._newest = max(self._newest, header.revision)
        if self._changed:
            raise JournalUnavailable(self._changed)
        return answer, doubtful

    def _page(self, answer: _Transaction) -> _Range:
        """The one range that was asked for. What lacks it must not pass for an empty journal."""
        for response in answer.responses:
            if response.response_range is not None:
                return response.response_range
        raise JournalUnavailable(f"what {self._gateway} answered is not etcd's: it has no range")

    def _entries(self, answer: _Transaction) -> Found:
        start = len(self._prefix) + 1
        found = {}
        ranges = (response.response_range or _Range() for response in answer.responses)
        for entry in (entry for each in ranges for entry in each.kvs):
            stamp, line_break, value = entry.value[:_STAMP], entry.value[_STAMP : _STAMP + 1], entry.value[_STAMP + 1 :]
            if line_break != "\n":
                raise JournalUnavailable(
                    f"{entry.key} in {self._gateway} was not written by Tideover: find out by whom"
                )
            found[entry.key[start:]] = stamp, value, entry.version
        return found

    def _another(self, found: Found) -> JournalUnavailable:
        what = "holds another journal now" if _ID in found else "holds no journal any more"
        return JournalUnavailable(
            f"{self} {what}: it was lost or replaced while it was in use; restore it, start again"
        )

    def _is_at(self, key: str, version: int) -> dict[str, str]:
        return {"target": "VERSION", "result": "EQUAL", "key": self._key(key), "version": str(version)}

    def _range(self, key: str) -> dict[str, Any]:
        return {"request_range": {"key": self._key(key)}}

    def _key(self, key: str) -> str:
        return _b64(f"{self._prefix}/{key}")


def _stamped(stamp: str, value: str) -> str:
    return f"{stamp}\n{value}"


def _after(prefix: bytes) -> bytes:
    """The first key that does not start with the prefix; UTF-8 has no byte 0xff, so that the last one can rise."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _b64(text: str | bytes) -> str:
    return b64encode(text.encode() if isinstance(text, str) else text).decode()


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"
