"""Elastic addresses moved between instances and network interfaces over the real SDK and HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from orchestrator.domain.catalog import Site
from orchestrator.domain.errors import Conflict, Doubtful, Misconfigured, NotFound, ProviderError, WrongIdentity
from orchestrator.domain.world import Holder, State
from orchestrator.ports import Resource
from providers.aws.elastic_ip import ElasticIp
from providers.aws.errors import Throttled
from providers.aws.spec import AddressPlace, AddressSettings
from tests.providers.aws_world import AwsWorld, Fault
from tests.providers.aws_world.binding import SECRET, SITES, bind
from tests.providers.contract import Harness, RecordedCall, ResourceContract, settle

pytest_plugins = ["tests.providers.aws_world.fixtures"]
pytestmark = pytest.mark.usefixtures("aws")

A, B, NOBODY = Holder(site="az-a"), Holder(site="az-b"), Holder(site=None)


@dataclass(frozen=True)
class Setup:
    """An address and two instances with their interfaces, arranged on the plain port."""

    aws: AwsWorld
    allocation: str
    instances: tuple[str, str]
    interfaces: tuple[str, str]

    def by_instance(self) -> ElasticIp:
        return self.adapter(*(AddressPlace(machine=instance) for instance in self.instances))

    def by_interface(self) -> ElasticIp:
        return self.adapter(*(AddressPlace(network_interface=interface) for interface in self.interfaces))

    def adapter(self, *places: AddressPlace, sites: dict[str, Site] = SITES) -> ElasticIp:
        settings = AddressSettings(allocation=self.allocation)
        return ElasticIp(bind(dict(zip(("az-a", "az-b"), places, strict=True)), settings=settings, sites=sites))

    def give(self, instance: str) -> None:
        ec2 = self.aws.client("ec2", plain=True)
        ec2.associate_address(AllocationId=self.allocation, InstanceId=instance, AllowReassociation=True)

    def look(self) -> Holder:
        """Who has the address, by the interface that has it now."""
        address = self.aws.client("ec2", plain=True).describe_addresses(AllocationIds=[self.allocation])["Addresses"][0]
        interface = address.get("NetworkInterfaceId")
        return Holder(site=dict(zip(self.interfaces, ("az-a", "az-b"), strict=True))[interface] if interface else None)


@pytest.fixture
def setup(aws: AwsWorld) -> Setup:
    ec2 = aws.client("ec2", plain=True)
    launched = ec2.run_instances(ImageId="ami-12c6146b", MinCount=2, MaxCount=2)["Instances"]
    instances = tuple(instance["InstanceId"] for instance in launched)
    interfaces = tuple(instance["NetworkInterfaces"][0]["NetworkInterfaceId"] for instance in launched)
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    return Setup(aws, allocation, instances, interfaces)


class AddressHarness:
    resource: Resource
    start: State
    goal: State
    secrets: Sequence[str] = tuple(SECRET.values())

    def __init__(self, setup: Setup, resource: ElasticIp, start: Holder, goal: Holder) -> None:
        self.setup, self.resource, self.start, self.goal = setup, resource, start, goal
        if start.site:
            setup.give(setup.instances[("az-a", "az-b").index(start.site)])

    def look(self) -> State:
        return self.setup.look()

    def picture(self) -> object:
        return self.look(), self.setup.aws.faults.changes

    def cut(self) -> AbstractContextManager[None]:
        return self.setup.aws.cut()


class TestMoveBetweenInstances(ResourceContract):
    covers = "aws.elastic_ip holder"

    @pytest.fixture
    def harness(self, setup: Setup) -> Harness:
        return AddressHarness(setup, setup.by_instance(), A, B)


class TestMoveBetweenInterfaces(ResourceContract):
    covers = "aws.elastic_ip holder"

    @pytest.fixture
    def harness(self, setup: Setup) -> Harness:
        return AddressHarness(setup, setup.by_interface(), B, A)


class TestTakeAFreeAddress(ResourceContract):
    covers = "aws.elastic_ip holder"

    @pytest.fixture
    def harness(self, setup: Setup) -> Harness:
        return AddressHarness(setup, setup.by_instance(), NOBODY, A)


class TestRelease(ResourceContract):
    covers = "aws.elastic_ip holder"

    @pytest.fixture
    def harness(self, setup: Setup) -> Harness:
        return AddressHarness(setup, setup.by_interface(), A, NOBODY)


def test_the_old_holder_loses_the_address(setup: Setup) -> None:
    setup.give(setup.instances[0])
    address = setup.by_instance()
    address.apply(B, address.observe(), RecordedCall())
    settle(address, B)
    found = setup.aws.client("ec2", plain=True).describe_network_interfaces(NetworkInterfaceIds=setup.interfaces)
    public = {
        nic["NetworkInterfaceId"]: nic.get("Association", {}).get("PublicIp") for nic in found["NetworkInterfaces"]
    }
    assert address.observe().facts["address"] == public[setup.interfaces[1]] != public[setup.interfaces[0]]


def test_a_holder_known_by_its_instance_may_hold_it_through_its_interface(setup: Setup) -> None:
    by_interface = setup.by_interface()
    by_interface.apply(B, by_interface.observe(), RecordedCall())
    assert setup.by_instance().observe().satisfies(B)


def test_a_stranger_is_named_and_nothing_is_taken_from_it(setup: Setup) -> None:
    ec2 = setup.aws.client("ec2", plain=True)
    stranger = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    setup.give(stranger)
    address, call = setup.by_instance(), RecordedCall()
    seen = address.observe()
    assert seen.states == ()
    assert f"is held by {stranger}" in seen.warnings[0]
    for wanted in (A, NOBODY):
        with pytest.raises(Conflict, match=rf"is held by {stranger}.*not taken away"):
            address.apply(wanted, seen, call)
    assert call.guards == 0


def test_a_free_address_that_a_stranger_takes_meanwhile_is_not_taken_back(setup: Setup) -> None:
    address, call = setup.by_instance(), RecordedCall()
    call.guard = lambda: setup.give(setup.instances[1])  # type: ignore[method-assign]  # somebody is quicker
    with pytest.raises(Conflict, match="AlreadyAssociated"):
        address.apply(A, address.observe(), call)
    assert setup.look() == B


def test_releasing_what_was_moved_meanwhile_is_a_definite_no(setup: Setup) -> None:
    setup.give(setup.instances[0])
    address, call = setup.by_instance(), RecordedCall()
    call.guard = lambda: setup.give(setup.instances[1])  # type: ignore[method-assign]  # somebody is quicker
    with pytest.raises(Conflict, match=r"InvalidAssociationID.NotFound"):
        address.apply(NOBODY, address.observe(), call)
    assert setup.look() == B


def test_another_address_under_the_same_allocation_is_not_moved(setup: Setup) -> None:
    address = setup.by_instance()
    other = address.observe().model_copy(update={"identity": f"{setup.allocation}/192.0.2.1"})
    with pytest.raises(WrongIdentity, match=r"192.0.2.1 was read before"):
        address.apply(A, other, RecordedCall())
    assert setup.look() == NOBODY


@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        (Fault.THROTTLED, Throttled, False),
        (Fault.ERROR_AFTER, Doubtful, True),
        (Fault.CUT_BEFORE, Doubtful, False),
        (Fault.CUT_AFTER, Doubtful, True),
    ],
)
def test_a_fault_at_the_move_is_told_as_what_it_is_and_asked_once(
    setup: Setup, fault: Fault, error: type[ProviderError], done: bool
) -> None:
    setup.give(setup.instances[0])
    address = setup.by_instance()
    seen = address.observe()
    setup.aws.fail("AssociateAddress", fault)
    with pytest.raises(error):
        address.apply(B, seen, RecordedCall())
    assert address.observe().satisfies(B if done else A)
    assert len(setup.aws.faults.requests("AssociateAddress")) == 1


def test_an_unknown_allocation_is_not_found(setup: Setup) -> None:
    gone = Setup(setup.aws, "eipalloc-0123456789abcdef0", setup.instances, setup.interfaces)
    with pytest.raises(NotFound, match=r"InvalidAllocationID.NotFound"):
        gone.by_instance().observe()


def test_an_address_does_not_span_regions(setup: Setup) -> None:
    sites = {**SITES, "az-b": Site(provider="aws", region="eu-west-1")}
    places = (AddressPlace(machine=instance) for instance in setup.instances)
    with pytest.raises(Misconfigured, match=r"one region only.*az-b in eu-west-1; use `dns`"):
        setup.adapter(*places, sites=sites)


def test_a_place_names_something_that_can_hold_it() -> None:
    with pytest.raises(ValidationError, match="name what holds the address"):
        AddressPlace()


def test_a_site_that_the_runbook_does_not_know_cannot_be_asked_for(setup: Setup) -> None:
    address = setup.by_instance()
    with pytest.raises(Misconfigured, match="can be held by az-a, az-b or nobody"):
        address.apply(Holder(site="az-z"), address.observe(), RecordedCall())
