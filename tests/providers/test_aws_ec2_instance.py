"""Power of EC2 instances over the real SDK and HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import pytest

from orchestrator.domain.catalog import Site
from orchestrator.domain.errors import (
    AuthenticationFailed,
    Conflict,
    Doubtful,
    Misconfigured,
    NotFound,
    ProviderError,
    WrongIdentity,
)
from orchestrator.domain.world import Power, State
from orchestrator.ports import Resource
from providers.aws.ec2_instance import AUTO_SCALING_TAG, Ec2Instance
from providers.aws.errors import Throttled
from providers.aws.spec import InstancePlace
from tests.providers.aws_world import AwsWorld, Fault
from tests.providers.aws_world.binding import SECRET, bind
from tests.providers.contract import Harness, IdentityContract, Mistaken, RecordedCall, ResourceContract, settle

pytest_plugins = ["tests.providers.aws_world.fixtures"]
pytestmark = pytest.mark.usefixtures("aws")

ON, OFF = Power(power="on"), Power(power="off")


def launch(aws: AwsWorld, zone: str = "eu-central-1a", **tags: str) -> str:
    """A running instance, arranged on the plain port; returns its ID."""
    ec2 = aws.client("ec2", plain=True)
    launched = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": zone})
    instance: str = launched["Instances"][0]["InstanceId"]
    if tags:
        ec2.create_tags(Resources=[instance], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    return instance


def state(aws: AwsWorld, instance: str, *, plain: bool = True) -> str:
    found = aws.client("ec2", plain=plain).describe_instances(InstanceIds=[instance])
    return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])


def adapter(instance: str, name_tag: str | None = None, **changes: object) -> Ec2Instance:
    place = InstancePlace(machine=instance, name_tag=name_tag)
    return Ec2Instance(bind({"az-a": place}, site="az-a", **changes))  # type: ignore[arg-type]


class InstanceHarness:
    resource: Resource
    start: State
    goal: State
    secrets: Sequence[str] = tuple(SECRET.values())

    def __init__(self, aws: AwsWorld, start: Power, goal: Power) -> None:
        self.aws, self.start, self.goal = aws, start, goal
        self.instance = launch(aws)
        if start == OFF:
            aws.client("ec2", plain=True).stop_instances(InstanceIds=[self.instance])
        self.resource = adapter(self.instance)

    def look(self) -> State:
        return {"running": ON, "stopped": OFF}[state(self.aws, self.instance)]

    def picture(self) -> object:
        return self.look(), self.aws.faults.changes

    def cut(self) -> AbstractContextManager[None]:
        return self.aws.cut()


class TestPowerOff(ResourceContract):
    covers = "aws.ec2_instance power off"

    @pytest.fixture
    def harness(self, aws: AwsWorld) -> Harness:
        return InstanceHarness(aws, ON, OFF)


class TestPowerOn(ResourceContract):
    covers = "aws.ec2_instance power on"

    @pytest.fixture
    def harness(self, aws: AwsWorld) -> Harness:
        return InstanceHarness(aws, OFF, ON)


class TestAnotherInstance(IdentityContract):
    @pytest.fixture
    def mistaken(self, aws: AwsWorld) -> Mistaken:
        right, wrong = launch(aws, Name="pg-a"), launch(aws, Name="web-7")
        look = {"running": ON, "stopped": OFF}
        return Mistaken(adapter(wrong, "pg-a"), adapter(right, "pg-a").observe(), OFF, lambda: look[state(aws, wrong)])


@pytest.fixture
def instance(aws: AwsWorld) -> Iterator[str]:
    launched = launch(aws)
    yield launched
    aws.ec2.hung.discard(launched)
    aws.ec2.lost.discard(launched)


def test_stopping_is_neither_on_nor_off(aws: AwsWorld, instance: str) -> None:
    machine = adapter(instance)
    machine.apply(OFF, machine.observe(), RecordedCall())
    on_its_way = machine.observe()
    assert on_its_way.facts["state"] == "stopping"
    assert on_its_way.states == ()
    assert not on_its_way.latched
    assert settle(machine, OFF).latched


def test_pending_is_not_on(aws: AwsWorld, instance: str) -> None:
    machine = adapter(instance)
    aws.client("ec2", plain=True).stop_instances(InstanceIds=[instance])
    machine.apply(ON, machine.observe(), RecordedCall())
    on_its_way = machine.observe()
    assert (on_its_way.facts["state"], on_its_way.states) == ("pending", ())
    assert not settle(machine, ON).latched


def test_terminated_is_off_and_needs_no_request(aws: AwsWorld, instance: str) -> None:
    aws.client("ec2", plain=True).terminate_instances(InstanceIds=[instance])
    machine, call = adapter(instance), RecordedCall()
    seen = machine.observe()
    assert seen.satisfies(OFF)
    assert seen.latched
    machine.apply(OFF, seen, call)
    assert call.guards == 0
    with pytest.raises(NotFound, match="terminated and cannot be started"):
        machine.apply(ON, seen, call)


def test_a_hung_instance_goes_off_all_the_same(aws: AwsWorld, instance: str) -> None:
    aws.ec2.hung.add(instance)
    aws.client("ec2").stop_instances(InstanceIds=[instance])  # positive control: a graceful stop never ends
    assert {state(aws, instance, plain=False) for _ in range(20)} == {"stopping"}
    machine = adapter(instance)
    machine.apply(OFF, machine.observe(), RecordedCall())
    settle(machine, OFF)


def test_an_instance_on_a_lost_host_is_never_called_off(aws: AwsWorld, instance: str) -> None:
    aws.ec2.lost.add(instance)
    machine = adapter(instance)
    machine.apply(OFF, machine.observe(), RecordedCall())
    for _ in range(10):
        seen = machine.observe()
        assert (seen.facts["state"], seen.states, seen.latched) == ("stopping", (), False)
    assert all("Force" not in request.form for request in aws.faults.requests("StopInstances"))
    # Positive control: Force shows it as stopped at once, though nobody knows whether it still writes.
    aws.client("ec2").stop_instances(InstanceIds=[instance], Force=True)
    assert [state(aws, instance, plain=False) for _ in range(3)][-1] == "stopped"


def test_an_instance_of_an_auto_scaling_group_is_off_but_not_latched(aws: AwsWorld) -> None:
    machine = adapter(launch(aws, **{AUTO_SCALING_TAG: "shop-db"}))
    assert "Auto Scaling group shop-db" in machine.observe().warnings[0]
    machine.apply(OFF, machine.observe(), RecordedCall())
    off = settle(machine, OFF)
    assert not off.latched
    assert "suspend" in off.warnings[0]


def test_identity_is_account_and_instance(instance: str) -> None:
    assert adapter(instance).observe().identity == f"123456789012/{instance}"


@pytest.mark.parametrize(
    ("zone", "name", "said"),
    [
        ("eu-central-1b", "pg-a", "stands in eu-central-1b, not in eu-central-1a"),
        ("eu-central-1a", "web-7", "is named 'web-7', not 'pg-a'"),
    ],
)
def test_another_machine_is_neither_read_nor_stopped(aws: AwsWorld, zone: str, name: str, said: str) -> None:
    right = launch(aws, Name="pg-a")
    wrong = launch(aws, zone, Name=name)
    seen = adapter(right, "pg-a").observe()
    machine = adapter(wrong, "pg-a")
    for act in (machine.observe, lambda: machine.apply(OFF, seen, RecordedCall())):
        with pytest.raises(WrongIdentity, match=said):
            act()
    assert state(aws, wrong) == "running"


def test_an_instance_of_another_account_is_not_stopped(aws: AwsWorld, instance: str) -> None:
    machine = adapter(instance)
    elsewhere = machine.observe().model_copy(update={"identity": f"999999999999/{instance}"})
    with pytest.raises(WrongIdentity, match="belongs to account 123456789012"):
        machine.apply(OFF, elsewhere, RecordedCall())
    assert state(aws, instance) == "running"


def test_an_unknown_instance_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"InvalidInstanceID.NotFound.*correct the identifier"):
        adapter("i-0123456789abcdef0").observe()


def test_a_site_without_region_is_misconfigured() -> None:
    with pytest.raises(Misconfigured, match="az-a has no region"):
        adapter("i-0123456789abcdef0", sites={"az-a": Site(provider="aws")})


@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        (Fault.DENIED, AuthenticationFailed, False),
        (Fault.THROTTLED, Throttled, False),
        (Fault.ERROR_BEFORE, Doubtful, False),
        (Fault.ERROR_AFTER, Doubtful, True),
        (Fault.CUT_BEFORE, Doubtful, False),
        (Fault.CUT_AFTER, Doubtful, True),
    ],
)
def test_a_fault_at_the_stop_is_told_as_what_it_is_and_asked_once(
    aws: AwsWorld, instance: str, fault: Fault, error: type[ProviderError], done: bool
) -> None:
    machine, call = adapter(instance), RecordedCall()
    seen = machine.observe()
    aws.fail("StopInstances", fault)
    with pytest.raises(error) as caught:
        machine.apply(OFF, seen, call)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert state(aws, instance) == ("stopped" if done else "running")
    assert len(aws.faults.requests("StopInstances")) == call.guards == 1
    if not done:
        machine.apply(OFF, machine.observe(), RecordedCall())
    settle(machine, OFF)


def test_silence_after_the_effect_is_doubtful_and_never_asked_twice(aws: AwsWorld, instance: str) -> None:
    machine = adapter(instance)
    seen = machine.observe()
    aws.fail("StopInstances", Fault.SILENCE_AFTER)
    with pytest.raises(Doubtful, match="ReadTimeout"):
        machine.apply(OFF, seen, RecordedCall())
    assert len(aws.faults.requests("StopInstances")) == 1
    settle(machine, OFF)


def test_a_start_of_what_is_stopping_is_a_definite_no(
    aws: AwsWorld, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws.ec2, "transition_reads", 10)
    machine = adapter(instance)
    machine.apply(OFF, machine.observe(), RecordedCall())
    with pytest.raises(Conflict, match="IncorrectInstanceState") as caught:
        machine.apply(ON, machine.observe(), RecordedCall())
    assert caught.value.surely_not_done


def test_missing_credentials_name_the_way_out(instance: str) -> None:
    with pytest.raises(AuthenticationFailed, match=r"credential profile.*AWS_PROFILE") as caught:
        adapter(instance, secret={}).observe()
    assert caught.value.surely_not_done


def test_boto3s_own_chain_is_used_where_the_profile_is_empty(instance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-chain")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-the-chain")
    assert adapter(instance, secret={}).observe().satisfies(ON)
