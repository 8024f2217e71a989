"""The same contract on a real AWS account, where the environment names one.

Credentials come from boto3's own chain. What is named is stopped, started and moved: name nothing that is needed.

    TIDEOVER_TEST_AWS_REGION       such as eu-central-1; needed by all of these tests
    TIDEOVER_TEST_AWS_INSTANCE_A   an EBS-backed instance that may be stopped
    TIDEOVER_TEST_AWS_INSTANCE_B   another one in the same region
    TIDEOVER_TEST_AWS_ALLOCATION   an elastic IP (eipalloc-…) that may be moved between the two
    TIDEOVER_TEST_AWS_HOSTED_ZONE  the ID of a hosted zone, in which `tideover-test` is created and removed
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from orchestrator.domain.catalog import DnsPlace, Site
from orchestrator.domain.world import Holder, Power, Reading, Records, State
from orchestrator.ports import Call, Resource
from providers.aws.ec2_instance import Ec2Instance
from providers.aws.elastic_ip import ElasticIp
from providers.aws.route53_record import Route53Record
from providers.aws.spec import AddressPlace, AddressSettings, InstancePlace, RecordSettings
from tests.providers.aws_world.binding import bind
from tests.providers.contract import Harness, ResourceContract, settle

PATIENCE = 600.0
"""Seconds that a real instance may take to stop or start."""


def given(name: str) -> str:
    """The variable's value; skips the test by name where it is not set."""
    variable = f"TIDEOVER_TEST_AWS_{name}"
    if not os.environ.get(variable):
        pytest.skip(f"no AWS account to test on: {variable} is not set")
    return os.environ[variable]


def account_client(service: str) -> Any:
    """A client of the test's own."""
    return boto3.Session(region_name=given("REGION")).client(service)


def account_sites() -> dict[str, Site]:
    return {name: Site(provider="aws", region=given("REGION")) for name in ("az-a", "az-b")}


class Patient:
    """A resource whose apply returns once the state is read back: real machines outlast the contract's patience."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def observe(self) -> Reading:
        return self._resource.observe()

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        self._resource.apply(desired, observed, call)
        settle(self._resource, desired, PATIENCE)


class AccountHarness:
    secrets: Sequence[str] = ()

    def __init__(self, resource: Resource, start: State, goal: State, look: Callable[[], State]) -> None:
        self.resource: Resource = Patient(resource)
        self.start, self.goal, self._look = start, goal, look

    def look(self) -> State:
        return self._look()

    def picture(self) -> object:
        return self._look()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Leads the adapter's clients to a port that does not listen, and shows that it does not."""
        with socket.socket() as bound, pytest.MonkeyPatch.context() as patch:
            bound.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(bound.getsockname())
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bound.getsockname()[1]}")
            yield

    def wait_for_start(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.look() != self.start:
            assert time.monotonic() < deadline, f"the account does not come to {self.start}"
            time.sleep(2)


class TestPowerOff(ResourceContract):
    covers = "aws.ec2_instance power off"

    @pytest.fixture
    def harness(self) -> Harness:
        ec2, instance = account_client("ec2"), given("INSTANCE_A")

        def state() -> str:
            found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
            return str(found["State"]["Name"])

        def look() -> State:
            return Power(power="on" if state() == "running" else "off")

        if state() == "stopping":
            ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance])
        ec2.start_instances(InstanceIds=[instance])
        resource = Ec2Instance(
            bind({"az-a": InstancePlace(machine=instance)}, site="az-a", sites=account_sites(), secret={})
        )
        made = AccountHarness(resource, Power(power="on"), Power(power="off"), look)
        made.wait_for_start()
        return made


class TestMoveTheAddress(ResourceContract):
    covers = "aws.elastic_ip holder"

    @pytest.fixture
    def harness(self) -> Harness:
        ec2, allocation = account_client("ec2"), given("ALLOCATION")
        machines = {"az-a": given("INSTANCE_A"), "az-b": given("INSTANCE_B")}

        def look() -> State:
            found = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]
            return Holder(site=next((s for s, machine in machines.items() if machine == found.get("InstanceId")), None))

        ec2.associate_address(AllocationId=allocation, InstanceId=machines["az-a"], AllowReassociation=True)
        places = {site: AddressPlace(machine=machine) for site, machine in machines.items()}
        settings = AddressSettings(allocation=allocation)
        resource = ElasticIp(bind(places, settings=settings, sites=account_sites(), secret={}))
        made = AccountHarness(resource, Holder(site="az-a"), Holder(site="az-b"), look)
        made.wait_for_start()
        return made


class TestCreateTheRecord(ResourceContract):
    covers = "aws.route53_record records"

    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        route53, zone_id = account_client("route53"), given("HOSTED_ZONE")
        zone = route53.get_hosted_zone(Id=zone_id)["HostedZone"]["Name"].rstrip(".")
        name = f"tideover-test.{zone}"

        def listed() -> list[dict[str, Any]]:
            page = route53.list_resource_record_sets(HostedZoneId=zone_id, StartRecordName=name, MaxItems="10")
            return [found for found in page["ResourceRecordSets"] if found["Name"] == f"{name}."]

        def remove() -> None:
            changes = [{"Action": "DELETE", "ResourceRecordSet": found} for found in listed()]
            if changes:
                route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})

        def look() -> State:
            values = {r["Type"]: tuple(sorted(v["Value"] for v in r["ResourceRecords"])) for r in listed()}
            return Records(records=values, ttl=30)

        remove()
        settings = RecordSettings(zone=zone, record=name, ttl="30s", hosted_zone=zone_id)
        places = {"az-a": DnsPlace(a="192.0.2.1"), "az-b": DnsPlace(a="192.0.2.2")}
        resource = Route53Record(bind(places, settings=settings, sites=account_sites(), secret={}))
        goal = Records(records={"A": ("192.0.2.1",)}, ttl=30)
        yield AccountHarness(resource, Records(records={}, ttl=30), goal, look)
        remove()
