"""Records of Route 53 hosted zones over the real SDK and HTTP."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.domain.catalog import DnsPlace, Site
from orchestrator.domain.errors import Conflict, Doubtful, Misconfigured, NotFound, ProviderError, WrongIdentity
from orchestrator.domain.world import Records, State
from orchestrator.ports import Resource
from providers.aws.errors import Throttled
from providers.aws.route53_record import PROPAGATION, Route53Record
from providers.aws.spec import RecordSettings
from tests.providers.aws_world import AwsWorld, Fault
from tests.providers.aws_world.binding import SECRET, SITES, bind
from tests.providers.contract import Harness, RecordedCall, ResourceContract, settle
from tests.providers.frozen import ComparedAndSet

pytest_plugins = ["tests.providers.aws_world.fixtures"]
pytestmark = pytest.mark.usefixtures("aws")

OLD = Records(records={"A": ("10.0.1.10",)}, ttl=30)
NEW = Records(records={"A": ("10.0.2.10", "10.0.2.11"), "AAAA": ("2001:db8::2",)}, ttl=30)
NONE = Records(records={}, ttl=30)


class Zone:
    """A hosted zone of its own name, arranged on the plain port."""

    def __init__(self, aws: AwsWorld) -> None:
        self.aws, self.name = aws, f"{secrets.token_hex(4)}.example.com"
        self.record = f"db.{self.name}"
        self.id = self.create()

    def create(self, **config: Any) -> str:
        created = self.aws.client("route53", plain=True).create_hosted_zone(
            Name=self.name, CallerReference=secrets.token_hex(8), **config
        )
        return str(created["HostedZone"]["Id"]).rpartition("/")[2]

    def adapter(self, *, sites: dict[str, Site] = SITES, **changes: Any) -> Route53Record:
        keys: dict[str, Any] = {"zone": self.name, "record": self.record, "ttl": "30s", **changes}
        places = {"az-a": DnsPlace(a="10.0.1.10"), "az-b": DnsPlace(a="10.0.2.10")}
        return Route53Record(bind(places, settings=RecordSettings(**keys), sites=sites))

    def set(self, action: str = "UPSERT", *, plain: bool = True, **record_set: Any) -> None:
        change = {"Action": action, "ResourceRecordSet": {"Name": self.record, "Type": "A", **record_set}}
        self.aws.client("route53", plain=plain).change_resource_record_sets(
            HostedZoneId=self.id, ChangeBatch={"Changes": [change]}
        )

    def put(self, wanted: Records) -> None:
        for kind, values in wanted.records.items():
            self.set(Type=kind, TTL=wanted.ttl, ResourceRecords=[{"Value": value} for value in values])

    def look(self) -> Records:
        listed = self.aws.client("route53", plain=True).list_resource_record_sets(HostedZoneId=self.id)
        found = [entry for entry in listed["ResourceRecordSets"] if entry["Name"] == f"{self.record}."]
        records = {entry["Type"]: tuple(sorted(v["Value"] for v in entry["ResourceRecords"])) for entry in found}
        return Records(records=records, ttl=found[0]["TTL"] if found else 30)


@pytest.fixture
def zone(aws: AwsWorld) -> Zone:
    return Zone(aws)


class RecordHarness:
    resource: Resource
    start: State
    goal: State
    secrets: Sequence[str] = tuple(SECRET.values())

    def __init__(self, zone: Zone, start: Records, goal: Records) -> None:
        self.zone, self.start, self.goal = zone, start, goal
        zone.put(start)
        self.resource = zone.adapter()

    def look(self) -> State:
        return self.zone.look()

    def picture(self) -> object:
        return self.look(), self.zone.aws.faults.changes

    def overtake(self) -> None:
        for kind, values in self.zone.look().records.items():
            self.zone.set("DELETE", Type=kind, TTL=30, ResourceRecords=[{"Value": value} for value in values])
        self.zone.put(Records(records={"A": ("10.9.9.9",)}, ttl=30))

    def cut(self) -> AbstractContextManager[None]:
        return self.zone.aws.cut()


class TestReplace(ComparedAndSet, ResourceContract):
    covers = "aws.route53_record records"

    @pytest.fixture
    def harness(self, zone: Zone) -> Harness:
        return RecordHarness(zone, OLD, NEW)


class TestCreate(ComparedAndSet, ResourceContract):
    covers = "aws.route53_record records"

    @pytest.fixture
    def harness(self, zone: Zone) -> Harness:
        return RecordHarness(zone, NONE, OLD)


class TestRemove(ComparedAndSet, ResourceContract):
    covers = "aws.route53_record records"

    @pytest.fixture
    def harness(self, zone: Zone) -> Harness:
        return RecordHarness(zone, NEW, NONE)


class TestAddressesToCname(ComparedAndSet, ResourceContract):
    covers = "aws.route53_record records"

    @pytest.fixture
    def harness(self, zone: Zone) -> Harness:
        return RecordHarness(zone, OLD, Records(records={"CNAME": ("db.az-b.example.net",)}, ttl=30))


def test_there_and_back_again(zone: Zone) -> None:
    zone.put(OLD)
    record = zone.adapter()
    for wanted in (NEW, OLD, NEW):
        record.apply(wanted, record.observe(), RecordedCall())
        settle(record, wanted)


def test_nothing_is_shown_before_the_change_is_insync(zone: Zone) -> None:
    zone.put(OLD)
    record, call = zone.adapter(), RecordedCall()
    record.apply(NEW, record.observe(), call)
    pending = record.observe()
    assert zone.look() == NEW, "Route 53 lists a change at once, PENDING or not"
    assert pending.states == ()
    assert (pending.facts["status"], [pending.facts["change"]]) == ("PENDING", call.tokens[1:])
    assert settle(record, NEW).facts["status"] == "INSYNC"


def test_the_next_attempt_follows_the_change_instead_of_asking_twice(zone: Zone) -> None:
    zone.put(OLD)
    first, call = zone.adapter(), RecordedCall()
    first.apply(NEW, first.observe(), call)
    second, resumed = zone.adapter(), RecordedCall()
    second.resume(call.tokens[-1])
    pending = second.observe()
    assert (pending.states, pending.facts["change"]) == ((), call.tokens[-1])
    second.apply(NEW, pending, resumed)
    assert resumed.guards == 0
    settle(second, NEW)
    assert len(zone.aws.faults.requests("ChangeResourceRecordSets")) == 1


def test_a_change_that_route53_does_not_remember_is_over(zone: Zone) -> None:
    zone.put(OLD)
    record = zone.adapter()
    record.resume("C0000000000000000000")
    assert record.observe().satisfies(OLD)


def test_after_a_lost_worker_nothing_is_shown_that_may_not_have_reached_every_name_server(zone: Zone) -> None:
    """It has heard no answer, and left when it sent the batch. The next one sends it again, and so learns of it."""
    zone.put(OLD)
    first, call = zone.adapter(), RecordedCall()
    first.apply(NEW, first.observe(), call)
    second, again = zone.adapter(), RecordedCall()
    second.resume(call.tokens[0])
    assert second.observe().states == ()
    second.apply(NEW, second.observe(), again)
    assert (again.guards, second.observe().facts["change"]) == (1, again.tokens[-1])
    settle(second, NEW)


def test_what_was_sent_long_ago_has_reached_every_name_server(zone: Zone) -> None:
    zone.put(NEW)
    record = zone.adapter()
    record.resume(f"sent at {time.time() - PROPAGATION}")
    assert record.observe().satisfies(NEW)


def test_a_followed_change_that_was_overwritten_is_asked_anew(zone: Zone) -> None:
    zone.put(OLD)
    first, call = zone.adapter(), RecordedCall()
    first.apply(NEW, first.observe(), call)
    third = zone.adapter()
    third.apply(OLD, third.observe(), RecordedCall())
    again, resumed = zone.adapter(), RecordedCall()
    again.resume(call.tokens[-1])
    again.apply(NEW, again.observe(), resumed)
    assert resumed.guards == 1
    settle(again, NEW)


def test_a_change_by_another_hand_before_the_request_is_a_conflict(zone: Zone) -> None:
    zone.put(OLD)
    record, call = zone.adapter(), RecordedCall()
    seen = record.observe()
    zone.put(Records(records={"A": ("192.0.2.66",)}, ttl=30))
    with pytest.raises(Conflict, match=r"192.0.2.66.*was read before; look again"):
        record.apply(NEW, seen, call)
    assert call.guards == 0


@pytest.mark.parametrize("other", [Records(records={"A": ("192.0.2.66",)}, ttl=30), OLD.model_copy(update={"ttl": 60})])
def test_a_change_by_another_hand_during_the_request_is_refused_by_route53(zone: Zone, other: Records) -> None:
    zone.put(OLD)
    record, call = zone.adapter(), RecordedCall()
    call.guard = lambda: zone.put(other)  # type: ignore[method-assign]  # somebody is quicker
    with pytest.raises(Conflict, match=r"InvalidChangeBatch.*do not match the current values") as caught:
        record.apply(NEW, record.observe(), call)
    assert caught.value.surely_not_done
    assert zone.look() == other


def test_a_record_that_appears_during_the_request_is_not_overwritten(zone: Zone) -> None:
    record, call = zone.adapter(), RecordedCall()
    call.guard = lambda: zone.put(OLD)  # type: ignore[method-assign]  # somebody is quicker
    with pytest.raises(Conflict, match=r"InvalidChangeBatch.*already exists"):
        record.apply(NEW, record.observe(), call)
    assert zone.look() == OLD


@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        (Fault.THROTTLED, Throttled, False),
        (Fault.ERROR_BEFORE, Doubtful, False),
        (Fault.ERROR_AFTER, Doubtful, True),
        (Fault.CUT_BEFORE, Doubtful, False),
        (Fault.CUT_AFTER, Doubtful, True),
    ],
)
def test_a_fault_at_the_change_is_told_as_what_it_is_and_asked_once(
    zone: Zone, fault: Fault, error: type[ProviderError], done: bool
) -> None:
    zone.put(OLD)
    record, call = zone.adapter(), RecordedCall()
    seen = record.observe()
    zone.aws.fail("ChangeResourceRecordSets", fault)
    with pytest.raises(error):
        record.apply(NEW, seen, call)
    assert zone.look() == (NEW if done else OLD)
    assert (call.guards, len(call.tokens)) == (1, 1)


def test_after_a_lost_answer_insync_is_not_assumed_and_the_next_attempt_learns_it(zone: Zone) -> None:
    zone.put(OLD)
    record = zone.adapter()
    seen = record.observe()
    zone.aws.fail("ChangeResourceRecordSets", Fault.CUT_AFTER)
    with pytest.raises(Doubtful):
        record.apply(NEW, seen, RecordedCall())
    unanswered = record.observe()
    assert unanswered.states == ()
    assert "not answered" in unanswered.facts["status"]
    record.apply(NEW, unanswered, RecordedCall())
    settle(record, NEW)


@pytest.mark.parametrize(
    ("record_set", "said"),
    [
        ({"SetIdentifier": "a", "Weight": 10, "TTL": 30, "ResourceRecords": [{"Value": "10.0.1.10"}]}, "Weight"),
        (
            {"SetIdentifier": "a", "Failover": "PRIMARY", "TTL": 30, "ResourceRecords": [{"Value": "10.0.1.10"}]},
            "Failover",
        ),
        (
            {
                "AliasTarget": {
                    "HostedZoneId": "Z35SXDOTRQ7X7K",
                    "DNSName": "lb.example.net.",
                    "EvaluateTargetHealth": False,
                }
            },
            "an alias to lb.example.net",
        ),
    ],
)
def test_a_routed_record_is_refused(zone: Zone, record_set: dict[str, Any], said: str) -> None:
    zone.set(**record_set)
    with pytest.raises(Misconfigured, match=rf"{said}.*simple records only"):
        zone.adapter().observe()


def test_records_with_different_ttls_are_refused(zone: Zone) -> None:
    zone.put(OLD)
    zone.put(Records(records={"AAAA": ("2001:db8::2",)}, ttl=300))
    with pytest.raises(Misconfigured, match=r"different TTLs \(30, 300 s\)"):
        zone.adapter().observe()


def test_other_types_and_other_names_are_left_alone(zone: Zone) -> None:
    text: dict[str, Any] = {"Type": "TXT", "TTL": 300, "ResourceRecords": [{"Value": '"owner=shop"'}]}
    zone.set(**text)
    zone.set(Name=f"db2.{zone.name}", TTL=5, ResourceRecords=[{"Value": "192.0.2.9"}])
    record = zone.adapter()
    assert record.observe().satisfies(NONE)
    record.apply(OLD, record.observe(), RecordedCall())
    settle(record, OLD)
    assert zone.look().records == {"A": ("10.0.1.10",), "TXT": ('"owner=shop"',)}


def test_a_wildcard_is_found_under_route53s_spelling(zone: Zone) -> None:
    zone.set(Name=f"\\052.{zone.name}", TTL=30, ResourceRecords=[{"Value": "10.0.1.10"}])
    assert zone.adapter(record=f"*.{zone.name}").observe().satisfies(OLD)


def test_two_zones_of_one_name_are_both_named(zone: Zone) -> None:
    other = zone.create(HostedZoneConfig={"PrivateZone": True}, VPC={"VPCRegion": "eu-central-1", "VPCId": "vpc-1"})
    with pytest.raises(Misconfigured) as caught:
        zone.adapter().observe()
    assert f"{zone.id} (public)" in str(caught.value)
    assert f"{other} (private)" in str(caught.value)
    zone.put(OLD)
    chosen = zone.adapter(hosted_zone=zone.id)
    assert chosen.observe().satisfies(OLD)
    assert chosen.observe().identity == f"{zone.id}/{zone.record}."


def test_a_zone_id_that_belongs_to_another_name_is_refused(zone: Zone) -> None:
    with pytest.raises(WrongIdentity, match=rf"{zone.id} is named {zone.name}., not shop.example.org."):
        zone.adapter(hosted_zone=zone.id, zone="shop.example.org", record="db.shop.example.org").observe()


def test_an_unknown_zone_is_not_found(zone: Zone) -> None:
    with pytest.raises(NotFound, match=r"no hosted zone named gone.example.org"):
        zone.adapter(zone="gone.example.org", record="db.gone.example.org").observe()
    with pytest.raises(NotFound, match="NoSuchHostedZone"):
        zone.adapter(hosted_zone="Z00000000000000000000").observe()


def test_a_site_in_route53s_own_region_is_warned_of(zone: Zone) -> None:
    assert zone.adapter().observe().warnings == ()
    sites = {**SITES, "virginia": Site(provider="aws", region="us-east-1")}
    assert "us-east-1 only, where virginia stands" in zone.adapter(sites=sites).observe().warnings[0]


def test_a_record_outside_of_its_zone_is_an_error_at_review() -> None:
    with pytest.raises(ValidationError, match="not in zone"):
        RecordSettings(zone="shop.example.com", record="db.example.com", ttl="30s")
