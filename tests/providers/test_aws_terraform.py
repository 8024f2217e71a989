"""The two-zone AWS reference: it is HCL, it fits together, and its policy grants what the adapters ask and no more."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest

from orchestrator.domain.catalog import DnsPlace
from orchestrator.domain.world import Holder, Power, State
from orchestrator.ports import Resource
from providers.aws.ec2_instance import Ec2Instance
from providers.aws.elastic_ip import ElasticIp
from providers.aws.route53_record import Route53Record
from providers.aws.spec import AddressPlace, AddressSettings, InstancePlace, RecordSettings
from tests.providers.aws_world import AwsWorld
from tests.providers.aws_world.binding import bind
from tests.providers.contract import RecordedCall, settle

pytest_plugins = ["tests.providers.aws_world.fixtures"]

REFERENCE = Path(__file__).parents[2] / "infra" / "terraform" / "aws-two-zones"


@pytest.fixture(scope="module")
def blocks() -> dict[str, list[dict[str, Any]]]:
    """Every block of the reference by its kind, text without HCL's quotes."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(REFERENCE.glob("*.tf")):
        for kind, parsed in hcl2.loads(file.read_text()).items():
            found.setdefault(kind.strip('"'), []).extend(unquoted(parsed) if isinstance(parsed, list) else [])
    return found


def unquoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.strip('"'): unquoted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unquoted(inner) for inner in value]
    return value.strip('"') if isinstance(value, str) else value


def named(blocks: dict[str, list[dict[str, Any]]], kind: str, *path: str) -> dict[str, Any]:
    """The one block with these labels."""
    for block in blocks[kind]:
        inner: Any = block
        for label in path:
            inner = inner.get(label, {})
        if inner:
            return dict(inner)
    raise LookupError(f"{kind} {'.'.join(path)} is not in the reference")


def granted(blocks: dict[str, list[dict[str, Any]]]) -> set[str]:
    policy = named(blocks, "data", "aws_iam_policy_document", "worker")
    return {action for statement in policy["statement"] for action in statement["actions"]}


def test_the_policy_grants_every_request_that_the_adapters_make_and_no_other(
    aws: AwsWorld, blocks: dict[str, list[dict[str, Any]]]
) -> None:
    for resource, wants in adapters(aws):
        for wanted in wants:
            resource.apply(wanted, resource.observe(), RecordedCall())
            settle(resource, wanted)
    asked = {f"{'ec2' if request.form else 'route53'}:{request.action}" for request in aws.faults.came}
    assert granted(blocks) == asked


def adapters(aws: AwsWorld) -> list[tuple[Resource, tuple[State, ...]]]:
    """Every AWS resource with states that lead through each of its requests."""
    ec2, route53 = aws.client("ec2", plain=True), aws.client("route53", plain=True)
    launched = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]
    machine, zone = launched["InstanceId"], launched["Placement"]["AvailabilityZone"]
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    zone_id = route53.create_hosted_zone(Name="policy.example.com", CallerReference="policy")["HostedZone"]["Id"]
    assert zone == "eu-central-1a"
    address = ElasticIp(bind({"az-a": AddressPlace(machine=machine)}, settings=AddressSettings(allocation=allocation)))
    place = DnsPlace(a="10.0.1.10")
    keys: dict[str, Any] = {"zone": "policy.example.com", "record": "db.policy.example.com", "ttl": "30s"}
    by_name, by_id = (
        Route53Record(bind({"az-a": place}, settings=RecordSettings(**keys, **more)))
        for more in ({}, {"hosted_zone": zone_id.rpartition("/")[2]})
    )
    return [
        (
            Ec2Instance(bind({"az-a": InstancePlace(machine=machine)}, site="az-a")),
            (Power(power="off"), Power(power="on")),
        ),
        (address, (Holder(site="az-a"), Holder(site=None))),
        (by_name, (place.records(30),)),
        (by_id, (place.records(60),)),
    ]


def test_the_policy_lets_only_the_one_name_be_changed_and_only_by_compare_and_set(
    blocks: dict[str, list[dict[str, Any]]],
) -> None:
    policy = named(blocks, "data", "aws_iam_policy_document", "worker")
    change = next(s for s in policy["statement"] if s["actions"] == ["route53:ChangeResourceRecordSets"])
    limits = {condition["variable"].removeprefix("route53:"): condition["values"] for condition in change["condition"]}
    assert limits == {
        "ChangeResourceRecordSetsNormalizedRecordNames": ["db.${var.zone_name}"],
        "ChangeResourceRecordSetsRecordTypes": ["A", "AAAA", "CNAME"],
        "ChangeResourceRecordSetsActions": ["CREATE", "DELETE"],
    }


def test_only_reads_without_resource_level_permissions_are_granted_on_everything(
    blocks: dict[str, list[dict[str, Any]]],
) -> None:
    policy = named(blocks, "data", "aws_iam_policy_document", "worker")
    everywhere = [action for s in policy["statement"] if s["resources"] == ["*"] for action in s["actions"]]
    assert all(action.partition(":")[2].startswith(("Describe", "List")) for action in everywhere)


def test_an_apply_after_a_failover_takes_nothing_back(blocks: dict[str, list[dict[str, Any]]]) -> None:
    assert not [block for block in blocks["resource"] if "aws_eip_association" in block]
    address, record = (
        named(blocks, "resource", *path)["lifecycle"][0]["ignore_changes"]
        for path in (("aws_eip", "service"), ("aws_route53_record", "database"))
    )
    assert {text.strip("${}") for text in address} >= {"instance", "network_interface"}
    assert {text.strip("${}") for text in record} >= {"records", "ttl"}


def test_the_databases_can_be_stopped_and_do_not_come_back_by_themselves(
    blocks: dict[str, list[dict[str, Any]]],
) -> None:
    database = named(blocks, "resource", "aws_instance", "database")
    assert database["disable_api_stop"] is False
    assert database["instance_initiated_shutdown_behavior"] == "stop"
    assert database["maintenance_options"][0]["auto_recovery"] == "disabled"
    assert database["iam_instance_profile"] == "${aws_iam_instance_profile.database.name}"
    assert not [block for block in blocks["resource"] if "aws_autoscaling_group" in block]


def test_terraform_itself_finds_the_files_well_formed() -> None:
    terraform = shutil.which("terraform") or shutil.which("tofu")
    if not terraform:
        pytest.skip("neither terraform nor tofu is on PATH: the reference was parsed, not checked by its own tool")
    done = subprocess.run([terraform, "fmt", "-check", "-diff", str(REFERENCE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
