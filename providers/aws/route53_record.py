"""The answers for one name in a Route 53 hosted zone.

One change batch holds DELETE of what was read and CREATE of what is wanted. Route 53 makes all of a batch or nothing,
and refuses a DELETE whose values are not the current ones, so the batch is a compare-and-set over all records at the
name. A batch is PENDING until every name server has it; this adapter shows the new records only once it is INSYNC.

Changes are taken in us-east-1 alone, wherever the zone is served ("Control planes and data planes" in AWS Fault
Isolation Boundaries): a runbook that leaves that region cannot count on its record being changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from orchestrator.domain.catalog import DnsPlace
from orchestrator.domain.errors import Conflict, Doubtful, Misconfigured, NotFound
from orchestrator.domain.world import Reading, Records, State
from orchestrator.ports import Binding, Call
from providers.aws.clients import client
from providers.aws.errors import translated
from providers.aws.hosted_zone import find_zone, presented
from providers.aws.spec import RecordSettings

CONTROL_REGION = "us-east-1"
ANSWERS = ("A", "AAAA", "CNAME")
"""The types that lead a client somewhere; any other record at the name is left alone."""

PROPAGATION = 60.0
"""Seconds in which changes "generally propagate to all Route 53 name servers" (ChangeResourceRecordSets)."""

_SENT = "sent at "
"""Begins the token of a batch whose answer is not known; its seconds since the epoch follow."""

RecordSet = dict[str, Any]


class Route53Record:
    """One name, read with ListResourceRecordSets and set with ChangeResourceRecordSets."""

    def __init__(self, binding: Binding[RecordSettings, DnsPlace]) -> None:
        self._settings = binding.settings
        self._name = presented(binding.settings.record)
        self._what = f"Route 53 record {self._name}"
        self._region = next((site.region for site in binding.sites.values() if site.provider == "aws"), None)
        self._near_control = sorted(name for name, site in binding.sites.items() if site.region == CONTROL_REGION)
        self._secret = binding.secret
        self._zone: str | None = None
        self._change: str | None = None
        self._unanswered_until = 0.0

    def resume(self, token: str) -> None:
        """The change of an earlier attempt is followed: nothing is shown before it has reached every name server."""
        if token.startswith(_SENT):
            self._unanswered_until = float(token.removeprefix(_SENT)) + PROPAGATION
        else:
            self._change = token

    def observe(self) -> Reading:
        """The records at the name, once the last change made from here has reached every name server."""
        found = self._list()
        settled, propagation = self._propagation()
        return Reading(
            states=(self._records(found),) if settled else (),
            authority=f"Route 53 API, hosted zone {self._zone}",
            authoritative=True,
            identity=f"{self._zone}/{self._name}",
            warnings=tuple(
                f"{self._what} can be changed through {CONTROL_REGION} only, where {site} stands: should that region "
                "be lost, clients follow the address and not the name"
                for site in self._near_control
            ),
            facts={"hosted_zone": str(self._zone), "name": self._name, **propagation},
        )

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """Route 53 has accepted one batch that replaces exactly the records that `observed` shows."""
        if not isinstance(desired, Records) or set(desired.records) - set(ANSWERS):
            msg = f"{self._what} answers {', '.join(ANSWERS)} with a TTL; it cannot be asked for: {desired}"
            raise Misconfigured(msg)
        found = self._list()
        current = self._records(found)
        if current == desired and self._change and not self._propagation()[0]:
            return  # it is on its way: asked for by an earlier attempt
        seen = observed.state("records")
        if seen is not None and seen != current:
            msg = f"{self._what} is now {current}, but {seen} was read before; look again"
            raise Conflict(msg)
        batch = [
            *({"Action": "DELETE", "ResourceRecordSet": record_set} for record_set in found),
            *({"Action": "CREATE", "ResourceRecordSet": record_set} for record_set in self._wanted(desired)),
        ]
        if batch:
            self._send(batch, call)

    def _send(self, batch: list[dict[str, Any]], call: Call) -> None:
        route53, now = self._route53(), time.time()
        call.checkpoint(f"{_SENT}{now}")  # should nobody hear the answer
        try:
            with translated(f"{self._what}, changing it"):
                call.guard()
                answer = route53.change_resource_record_sets(HostedZoneId=self._zone, ChangeBatch={"Changes": batch})
        except Doubtful:
            # No ID to ask for: if the batch arrived, it is only known to have propagated after a while.
            self._change, self._unanswered_until = None, now + PROPAGATION
            raise
        self._change, self._unanswered_until = answer["ChangeInfo"]["Id"], 0.0
        call.checkpoint(answer["ChangeInfo"]["Id"])

    def _propagation(self) -> tuple[bool, dict[str, str]]:
        """Whether the last change made from here has reached every name server, and what is known of it."""
        if self._change is not None:
            try:
                status = self._status(self._change)
            except NotFound:
                return True, {"change": self._change, "status": "no longer known to Route 53"}
            return status == "INSYNC", {"change": self._change, "status": status}
        if time.time() < self._unanswered_until:
            return False, {"status": f"the last batch was not answered; shown {PROPAGATION:g} s after it was sent"}
        return True, {}

    def _status(self, change: str) -> str:
        route53 = self._route53()
        with translated(f"{self._what}, asking for change {change}"):
            return str(route53.get_change(Id=change)["ChangeInfo"]["Status"])

    def _list(self) -> list[RecordSet]:
        """The address records at the name, as Route 53 writes them. Raises Misconfigured where one is not simple."""
        found = [record_set for record_set in self._listed() if record_set["Type"] in ANSWERS]
        for record_set in found:
            routed = _routing(record_set)
            if routed:
                msg = (
                    f"{self._what} has a {record_set['Type']} record with {routed}; Tideover sets simple records only: "
                    "replace it by one with TTL and values, or leave this name to whoever routes it"
                )
                raise Misconfigured(msg)
        return found

    def _listed(self) -> Iterator[RecordSet]:
        """Every record set at the name; a page holds more than a name can have simple ones."""
        route53 = self._route53()
        if self._zone is None:
            self._zone = find_zone(route53, self._settings.zone, self._settings.hosted_zone)
        with translated(f"{self._what}, reading it"):
            page = route53.list_resource_record_sets(
                HostedZoneId=self._zone, StartRecordName=self._name, MaxItems="100"
            )
        return (listed for listed in page["ResourceRecordSets"] if presented(listed["Name"]) == self._name)

    def _records(self, found: list[RecordSet]) -> Records:
        ttls = sorted({int(record_set["TTL"]) for record_set in found})
        if len(ttls) > 1:
            msg = f"{self._what} has records with different TTLs ({', '.join(map(str, ttls))} s): give them one"
            raise Misconfigured(msg)
        records = {
            record_set["Type"]: tuple(sorted(entry["Value"] for entry in record_set["ResourceRecords"]))
            for record_set in found
        }
        return Records(records=records, ttl=ttls[0] if ttls else int(self._settings.ttl))

    def _wanted(self, desired: Records) -> Iterator[RecordSet]:
        for kind, values in sorted(desired.records.items()):
            yield {
                "Name": self._name,
                "Type": kind,
                "TTL": desired.ttl,
                "ResourceRecords": [{"Value": value} for value in values],
            }

    def _route53(self) -> Any:
        # The region chooses no more than the partition (aws, aws-cn, aws-us-gov): the service is global.
        return client("route53", self._region or CONTROL_REGION, self._secret)


def _routing(record_set: RecordSet) -> str | None:
    """What makes a record set more than a simple one; None for a simple one."""
    if "AliasTarget" in record_set:
        return f"an alias to {record_set['AliasTarget'].get('DNSName')}"
    if "SetIdentifier" in record_set:
        policies = ("Weight", "Failover", "Region", "GeoLocation", "GeoProximityLocation", "CidrRoutingConfig")
        policy = next((name for name in policies if name in record_set), "MultiValueAnswer")
        return f"a routing policy ({policy}, set {record_set['SetIdentifier']})"
    if "TrafficPolicyInstanceId" in record_set:
        return f"a traffic policy ({record_set['TrafficPolicyInstanceId']})"
    return None
