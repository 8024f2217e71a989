"""Route 53 as it is: a batch is checked against what is there now, and propagates before it is INSYNC.

moto accepts a DELETE of any value that was ever created at the name and a CREATE beside a record that exists, and
refuses to create again what was deleted in the same batch; each of its changes is INSYNC at once under the same ID.
Messages are AWS's own, as users quote them.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from xml.etree import ElementTree as Xml

from tests.providers.aws_world.wire import Answer, Forward, Request, parsed, refusal, with_route53

NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
Xml.register_namespace("", NAMESPACE)
_N = f"{{{NAMESPACE}}}"

Key = tuple[str, str, str]
Zone = Mapping[Key, Xml.Element]


class BatchRefusedError(Exception):
    """The batch does not fit what is in the zone."""


class Route53:
    """Answers ChangeResourceRecordSets and GetChange; lets everything else through to moto."""

    def __init__(self, pending_reads: int) -> None:
        self.pending_reads = pending_reads
        self._pending: dict[str, int] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request, forward: Forward) -> Answer:
        """What AWS would answer."""
        if request.action == "GetChange":
            return self._change_status(request)
        if request.action != "ChangeResourceRecordSets":
            return forward(request)
        with self._lock:
            return self._change(request, forward)

    def _change(self, request: Request, forward: Forward) -> Answer:
        listed = forward(with_route53(request, "GET", request.path))
        if listed.status != 200:
            return listed
        before = {_key(found): found for found in parsed(listed.body).iter(f"{_N}ResourceRecordSet")}
        try:
            after = changed(before, parsed(request.body))
        except BatchRefusedError as refused:
            return refusal(request, "InvalidChangeBatch", f"[{refused}]")
        batch = _batch(before, after)
        if batch is not None:
            done = forward(with_route53(request, "POST", request.path, batch))
            if done.status != 200:
                return done
        change = f"C{secrets.token_hex(10).upper()}"
        self._pending[change] = self.pending_reads
        return _change_info("ChangeResourceRecordSetsResponse", change, "PENDING")

    def _change_status(self, request: Request) -> Answer:
        change = request.path.rpartition("/")[2]
        with self._lock:
            if change not in self._pending:
                return refusal(request, "NoSuchChange", f"A change with the ID {change} does not exist.", 404)
            left = self._pending[change]
            self._pending[change] = max(0, left - 1)
        return _change_info("GetChangeResponse", change, "PENDING" if left else "INSYNC")


def changed(before: Zone, request: Xml.Element) -> dict[Key, Xml.Element]:
    """The zone after a batch, change by change. Raises BatchRefusedError where one does not fit."""
    zone = dict(before)
    for change in request.iter(f"{_N}Change"):
        action, record_set = change.findtext(f"{_N}Action"), change.find(f"{_N}ResourceRecordSet")
        assert record_set is not None
        key = _key(record_set)
        told = f"resource record set [name='{key[0]}', type='{key[1]}']"
        if action == "DELETE":
            if key not in zone:
                raise BatchRefusedError(f"Tried to delete {told} but it was not found")
            if _canonical(zone[key]) != _canonical(record_set):
                raise BatchRefusedError(
                    f"Tried to delete {told} but the values provided do not match the current values"
                )
            del zone[key]
        elif action == "CREATE" and key in zone:
            raise BatchRefusedError(f"Tried to create {told} but it already exists")
        else:
            zone[key] = record_set
    for name, kind, _ in zone:
        if kind == "CNAME" and len({other for owner, other, _ in zone if owner == name}) > 1:
            raise BatchRefusedError(f"RRSet of type CNAME with DNS name {name} is not permitted as it conflicts")
    return zone


def _key(record_set: Xml.Element) -> Key:
    name = (record_set.findtext(f"{_N}Name") or "").lower().rstrip(".") + "."
    return name, record_set.findtext(f"{_N}Type") or "", record_set.findtext(f"{_N}SetIdentifier") or ""


def _canonical(element: Xml.Element) -> tuple[object, ...]:
    """The record set with its values in no order and its name in one spelling."""
    text = (element.text or "").strip()
    if element.tag == f"{_N}Name":
        text = text.lower().rstrip(".")
    return element.tag, text, tuple(sorted(map(_canonical, element), key=repr))


def _batch(before: Zone, after: Zone) -> bytes | None:
    """The same change in words that moto understands: UPSERT for all that is new, DELETE for what is gone."""
    differing = {k for k in after if k not in before or _canonical(before[k]) != _canonical(after[k])}
    changes = [("DELETE", before[key]) for key in before if key not in after]
    changes += [("UPSERT", after[key]) for key in after if key in differing]
    if not changes:
        return None
    root = Xml.Element(f"{_N}ChangeResourceRecordSetsRequest")
    listed = Xml.SubElement(Xml.SubElement(root, f"{_N}ChangeBatch"), f"{_N}Changes")
    for action, record_set in changes:
        change = Xml.SubElement(listed, f"{_N}Change")
        Xml.SubElement(change, f"{_N}Action").text = action
        change.append(record_set)
    return Xml.tostring(root)


def _change_info(root: str, change: str, status: str) -> Answer:
    info = f"<Id>/change/{change}</Id><Status>{status}</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt>"
    return Answer(
        200, f'<?xml version="1.0"?><{root} xmlns="{NAMESPACE}"><ChangeInfo>{info}</ChangeInfo></{root}>'.encode()
    )
