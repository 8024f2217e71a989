"""moto's Route 53 over HTTP, with change batches that hold or fail as a whole, as in AWS.

moto (5.2) deletes a record whatever values are given, refuses to create again what the same batch deletes, and lets a
reader in between the two. A compare-and-set would prove nothing against it, and a name would be gone for an instant.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]  # boto3 ships no types
from botocore.config import Config  # type: ignore[import-untyped]
from moto.route53.exceptions import ResourceRecordAlreadyExists, Route53ClientError
from moto.route53.models import RecordSet, Route53Backend
from moto.server import ThreadedMotoServer

LOOPBACK, REGION = "127.0.0.1", "us-east-1"
ACCESS_KEY_ID, SECRET_ACCESS_KEY = "demo", "demo"

_changing = threading.Lock()


@contextmanager
def serving(port: int) -> Iterator[str]:
    """The API answers on this port of the loopback address, at the URL yielded; moto is as it was afterwards."""
    moto = Route53Backend.change_resource_record_sets
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=port, verbose=False)
    Route53Backend.change_resource_record_sets = _change  # type: ignore[method-assign]
    server.start()
    try:
        host, chosen = server.get_host_and_port()
        yield f"http://{host}:{chosen}"
    finally:
        server.stop()
        Route53Backend.change_resource_record_sets = moto  # type: ignore[method-assign]


def connect(endpoint: str) -> Any:
    """A client for the API at `endpoint`."""
    return boto3.client(
        "route53",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}),
    )


def _change(self: Route53Backend, zoneid: str, change_list: list[dict[str, Any]]) -> None:
    with _changing:
        zone = self.get_hosted_zone(zoneid)
        zone.rrsets = changed(zone.rrsets, change_list)


def changed(before: Iterable[RecordSet], batch: Iterable[dict[str, Any]]) -> list[RecordSet]:
    """The zone's record sets after the batch. Raises Route53ClientError where one change does not fit what is there."""
    after = {(found.name.lower(), found.type): found for found in before}
    for change in batch:
        described = change["ResourceRecordSet"]
        name, kind = f"{described['Name'].rstrip('.')}.".lower(), described["Type"]
        values = [one["Value"] for one in described.get("ResourceRecords", ())]
        record_set = RecordSet({**described, "Name": name, "ResourceRecords": values})  # type: ignore[abstract]
        current = after.get((name, kind))
        if change["Action"] == "DELETE":
            if current is None or _content(current) != _content(record_set):
                why = "it was not found" if current is None else "the values provided do not match the current values"
                told = f"Tried to delete resource record set [name='{name}', type='{kind}'] but {why}"
                raise Route53ClientError("InvalidChangeBatch", told)
            del after[name, kind]
            continue
        if change["Action"] == "CREATE" and current is not None:
            raise ResourceRecordAlreadyExists(name=name, _type=kind)
        after[name, kind] = record_set
    return list(after.values())


def _content(record_set: RecordSet) -> tuple[int, list[str]]:
    return int(record_set.ttl or 0), sorted(record_set.records)
