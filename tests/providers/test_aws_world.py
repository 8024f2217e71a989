"""Our loopback AWS is stricter than moto: each correction beside what moto alone lets pass (the positive controls)."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from tests.providers.aws_world import AwsWorld, Fault
from tests.providers.aws_world.faults import AFTER_EFFECT
from tests.providers.aws_world.loopback import NotLoopbackError

pytest_plugins = ["tests.providers.aws_world.fixtures"]
pytestmark = pytest.mark.usefixtures("aws")


def refusal(call: Any, **arguments: Any) -> str | None:
    """AWS's code where the call is refused; None where it passes."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


class Zone:
    """A hosted zone in which `db` answers 10.0.0.1 and has answered 10.0.0.9 before."""

    def __init__(self, aws: AwsWorld, *, plain: bool) -> None:
        self.client = aws.client("route53", plain=plain)
        self.name = f"{secrets.token_hex(4)}.example.com."
        self.id = self.client.create_hosted_zone(Name=self.name, CallerReference=self.name)["HostedZone"]["Id"]
        for value in ("10.0.0.9", "10.0.0.1"):
            self.change(("UPSERT", value))

    def change(self, *changes: tuple[str, str]) -> Any:
        batch = [
            {
                "Action": action,
                "ResourceRecordSet": {
                    "Name": f"db.{self.name}",
                    "Type": "A",
                    "TTL": 30,
                    "ResourceRecords": [{"Value": value}],
                },
            }
            for action, value in changes
        ]
        return self.client.change_resource_record_sets(HostedZoneId=self.id, ChangeBatch={"Changes": batch})

    def refusal(self, *changes: tuple[str, str]) -> str | None:
        try:
            self.change(*changes)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    def values(self) -> list[str]:
        listed = self.client.list_resource_record_sets(HostedZoneId=self.id)["ResourceRecordSets"]
        return [entry["Value"] for found in listed if found["Type"] == "A" for entry in found["ResourceRecords"]]


@pytest.fixture(params=[True, False], ids=["moto alone", "strict"])
def plain(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_delete_of_a_value_that_is_not_the_current_one(aws: AwsWorld, plain: bool) -> None:
    zone = Zone(aws, plain=plain)
    assert zone.refusal(("DELETE", "10.0.0.9")) == (None if plain else "InvalidChangeBatch")
    assert zone.values() == ([] if plain else ["10.0.0.1"])


def test_compare_and_set_with_a_stale_value(aws: AwsWorld, plain: bool) -> None:
    zone = Zone(aws, plain=plain)
    stale = zone.refusal(("DELETE", "10.0.0.9"), ("CREATE", "10.0.0.2"))
    assert stale == (None if plain else "InvalidChangeBatch")
    assert zone.values() == (["10.0.0.2"] if plain else ["10.0.0.1"])


def test_create_beside_what_exists(aws: AwsWorld, plain: bool) -> None:
    zone = Zone(aws, plain=plain)
    assert zone.refusal(("CREATE", "10.0.0.2")) == (None if plain else "InvalidChangeBatch")
    assert sorted(zone.values()) == (["10.0.0.1", "10.0.0.2"] if plain else ["10.0.0.1"])


def test_the_way_there_back_and_there_again(aws: AwsWorld, plain: bool) -> None:
    zone = Zone(aws, plain=plain)
    moves = (("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"), ("10.0.0.1", "10.0.0.2"))
    refused = [zone.refusal(("DELETE", old), ("CREATE", new)) for old, new in moves]
    assert refused == [None, None, "InvalidChangeBatch" if plain else None]
    assert zone.values() == (["10.0.0.1"] if plain else ["10.0.0.2"])


def test_a_refused_batch_changes_nothing(aws: AwsWorld) -> None:
    zone = Zone(aws, plain=False)
    refused = zone.refusal(("DELETE", "10.0.0.1"), ("CREATE", "10.0.0.2"), ("CREATE", "10.0.0.3"))
    assert refused == "InvalidChangeBatch"
    assert zone.values() == ["10.0.0.1"]


def test_a_change_is_pending_before_it_is_insync(aws: AwsWorld, plain: bool) -> None:
    zone = Zone(aws, plain=plain)
    changes = [zone.change(("UPSERT", value))["ChangeInfo"] for value in ("10.0.0.2", "10.0.0.3")]
    seen = [zone.client.get_change(Id=changes[0]["Id"])["ChangeInfo"]["Status"] for _ in range(3)]
    assert seen == (["INSYNC"] * 3 if plain else ["PENDING", "PENDING", "INSYNC"])
    assert len({change["Id"] for change in changes}) == (1 if plain else 2)
    unknown = refusal(zone.client.get_change, Id="C0000000000000000000")
    assert unknown == (None if plain else "NoSuchChange")


class Machine:
    def __init__(self, aws: AwsWorld, *, plain: bool) -> None:
        self.ec2 = aws.client("ec2", plain=plain)
        launched = aws.client("ec2", plain=True).run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
        self.id = launched["Instances"][0]["InstanceId"]

    def states(self, reads: int = 4) -> list[str]:
        found = [self.ec2.describe_instances(InstanceIds=[self.id])["Reservations"][0] for _ in range(reads)]
        return [reservation["Instances"][0]["State"]["Name"] for reservation in found]


def test_an_instance_takes_time_to_stop_and_to_start(aws: AwsWorld, plain: bool) -> None:
    machine = Machine(aws, plain=plain)
    stopped = machine.ec2.stop_instances(InstanceIds=[machine.id])["StoppingInstances"][0]
    assert stopped["CurrentState"]["Name"] == "stopping"
    assert machine.states() == (["stopped"] * 4 if plain else ["stopping", "stopping", "stopped", "stopped"])
    machine.ec2.start_instances(InstanceIds=[machine.id])
    assert machine.states() == (["running"] * 4 if plain else ["pending", "pending", "running", "running"])


def test_a_stop_of_what_is_stopped_changes_nothing(aws: AwsWorld) -> None:
    machine = Machine(aws, plain=False)
    machine.ec2.stop_instances(InstanceIds=[machine.id])
    machine.states()
    machine.ec2.stop_instances(InstanceIds=[machine.id])
    assert machine.states(1) == ["stopped"]


def test_a_terminated_instance_does_not_come_back(aws: AwsWorld, plain: bool) -> None:
    machine = Machine(aws, plain=plain)
    machine.ec2.terminate_instances(InstanceIds=[machine.id])
    machine.states()
    started = refusal(machine.ec2.start_instances, InstanceIds=[machine.id])
    assert started == (None if plain else "IncorrectInstanceState")
    assert machine.states(3)[-1] == ("running" if plain else "terminated")


class Address:
    """An elastic IP on the interface of the first of two instances."""

    def __init__(self, aws: AwsWorld, *, plain: bool) -> None:
        self.ec2 = aws.client("ec2", plain=plain)
        arranged = aws.client("ec2", plain=True)
        launched = arranged.run_instances(ImageId="ami-12c6146b", MinCount=2, MaxCount=2)["Instances"]
        self.machines = [instance["InstanceId"] for instance in launched]
        self.interfaces = [instance["NetworkInterfaces"][0]["NetworkInterfaceId"] for instance in launched]
        self.allocation = arranged.allocate_address(Domain="vpc")["AllocationId"]
        arranged.associate_address(AllocationId=self.allocation, NetworkInterfaceId=self.interfaces[0])

    def described(self) -> dict[str, Any]:
        return dict(self.ec2.describe_addresses(AllocationIds=[self.allocation])["Addresses"][0])

    def on_interfaces(self) -> list[bool]:
        public = self.described()["PublicIp"]
        found = self.ec2.describe_network_interfaces(NetworkInterfaceIds=self.interfaces)["NetworkInterfaces"]
        having = {nic["NetworkInterfaceId"] for nic in found if nic.get("Association", {}).get("PublicIp") == public}
        return [interface in having for interface in self.interfaces]


def test_an_address_is_not_taken_away_without_saying_so(aws: AwsWorld, plain: bool) -> None:
    address = Address(aws, plain=plain)
    wanted = {"AllocationId": address.allocation, "InstanceId": address.machines[1], "AllowReassociation": False}
    assert refusal(address.ec2.associate_address, **wanted) == (None if plain else "Resource.AlreadyAssociated")


def test_an_address_is_on_one_interface_only(aws: AwsWorld, plain: bool) -> None:
    address = Address(aws, plain=plain)
    wanted = {"AllocationId": address.allocation, "InstanceId": address.machines[1], "AllowReassociation": True}
    address.ec2.associate_address(**wanted)
    assert address.on_interfaces() == [plain, True]


def test_the_instance_behind_an_interface_is_named(aws: AwsWorld, plain: bool) -> None:
    address = Address(aws, plain=plain)
    assert (address.described().get("InstanceId") or None) == (None if plain else address.machines[0])


@pytest.mark.parametrize("fault", [fault for fault in Fault if "SILENCE" not in fault.name])
def test_a_fault_happens_once_and_before_or_after_the_effect_as_it_says(aws: AwsWorld, fault: Fault) -> None:
    machine, looking = Machine(aws, plain=False), aws.client("ec2", plain=True)
    aws.fail("StopInstances", fault)
    with pytest.raises(Exception, match=r"."):  # what it is called belongs to test_aws_errors
        once(machine.ec2).stop_instances(InstanceIds=[machine.id])
    found = looking.describe_instances(InstanceIds=[machine.id])["Reservations"][0]["Instances"][0]["State"]["Name"]
    assert found == ("stopped" if fault in AFTER_EFFECT else "running")
    assert aws.faults.left == ()


def once(client: Any) -> Any:
    """The same client with the SDK's retries off: they would hide the fault."""
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    return boto3.Session("test", "test", region_name="eu-central-1").client(
        "ec2", endpoint_url=client.meta.endpoint_url, config=Config(retries={"total_max_attempts": 1})
    )


def test_the_guard_stops_a_connection_that_is_not_loopback(only_loopback: list[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(NotLoopbackError):
        sock.connect(("192.0.2.1", 53))
    assert only_loopback == ["('192.0.2.1', 53)"]
    only_loopback.clear()


def test_it_runs_as_a_process_of_its_own_until_it_is_told_to_end() -> None:
    argv = [sys.executable, "-m", "tests.providers.aws_world"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            for url in told.values():
                with urllib.request.urlopen(f"{url}/moto-api/", timeout=10) as answer:  # noqa: S310  # our own http
                    assert answer.status == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
