"""Power of an EC2 instance: the fence of what runs on it.

Off is asked for with `SkipOsShutdown`: whoever fences an instance has to assume that it hangs, and a graceful shutdown
takes minutes in which it may still write. A database that promises durability survives this like a power cut; a planned
move stops it cleanly before its machine is touched.

Never with `Force`: it shows an instance as `stopped` though its host does not answer, and AWS warns that it then "in
rare cases, results in post-stop writes to EBS volumes or other shared resources" ("Methods for stopping an instance",
EC2 User Guide). Without it such an instance stays `stopping`, which is no evidence, and another fence has to be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.domain.catalog import NoSettings
from orchestrator.domain.errors import Misconfigured, NotFound, WrongIdentity
from orchestrator.domain.world import OFF, ON, Power, Reading, State
from orchestrator.ports import Binding, Call
from providers.aws.clients import client, region_of
from providers.aws.errors import translated
from providers.aws.spec import InstancePlace

_OFF = frozenset({"stopped", "terminated"})
_POWER: Mapping[str, tuple[State, ...]] = {
    "running": (ON,),
    **dict.fromkeys(_OFF, (OFF,)),
}
"""Whatever is not here (pending, stopping, shutting-down) is on its way and neither on nor off."""

AUTO_SCALING_TAG = "aws:autoscaling:groupName"


class Ec2Instance:
    """One instance, read with DescribeInstances and set with StartInstances and StopInstances."""

    def __init__(self, binding: Binding[NoSettings, InstancePlace]) -> None:
        self._place = binding.place
        self._site = binding.site or ""
        self._zone = binding.sites[self._site].zone
        self._what = f"EC2 instance {self._place.machine} at {self._site}"
        self._region = region_of(binding.sites, (self._site,), self._what)
        self._secret = binding.secret

    def observe(self) -> Reading:
        """The instance's state as EC2 tells it. Raises WrongIdentity where it is not the machine that is meant."""
        found, owner = self._describe()
        self._identify(found)
        state = found["State"]["Name"]
        off, revived_by = state in _OFF, self._revived_by(found)
        return Reading(
            states=_POWER.get(state, ()),
            authority=f"EC2 API in {self._region}",
            authoritative=True,
            latched=off and revived_by is None,
            identity=f"{owner}/{self._place.machine}",
            warnings=tuple(self._warnings(found, revived_by)),
            facts=_facts(found),
        )

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """EC2 has accepted to start or stop the instance, whose identity was checked just before."""
        if not isinstance(desired, Power):
            msg = f"{self._what} has power and nothing else; it cannot be asked for: {desired}"
            raise Misconfigured(msg)
        if self._look_again(observed)["State"]["Name"] == "terminated":
            if desired.power == "off":
                return
            msg = f"{self._what} is terminated and cannot be started; name its replacement in the runbook"
            raise NotFound(msg)
        ec2, ids = self._ec2(), [self._place.machine]
        with translated(f"{self._what}, power {desired.power}"):
            if desired.power == "on":
                call.guard()
                ec2.start_instances(InstanceIds=ids)
            else:
                call.guard()
                ec2.stop_instances(InstanceIds=ids, SkipOsShutdown=True)

    def _ec2(self) -> Any:
        return client("ec2", self._region, self._secret)

    def _describe(self) -> tuple[dict[str, Any], str]:
        """The instance and the account that owns it."""
        ec2 = self._ec2()
        with translated(f"{self._what}, reading its state"):
            answer = ec2.describe_instances(InstanceIds=[self._place.machine])
        found = [
            (instance, reservation["OwnerId"])
            for reservation in answer.get("Reservations", ())
            for instance in reservation["Instances"]
            if instance["InstanceId"] == self._place.machine
        ]
        if len(found) != 1:
            msg = f"{self._what}: EC2 in {self._region} shows {len(found)} of it; correct its ID or region"
            raise NotFound(msg)
        return found[0]

    def _identify(self, found: Mapping[str, Any]) -> None:
        """Return if zone and name are those of the runbook; else raise WrongIdentity."""
        zone = found.get("Placement", {}).get("AvailabilityZone")
        if self._zone and zone and zone != self._zone:
            msg = f"{self._what} stands in {zone}, not in {self._zone} as its site; correct `machine:` or `zone:`"
            raise WrongIdentity(msg)
        name = _tags(found).get("Name")
        # A terminated instance loses its tags after a while; nothing can be done to it any more.
        if self._place.name_tag and name != self._place.name_tag and found["State"]["Name"] != "terminated":
            msg = f"{self._what} is named {name!r}, not {self._place.name_tag!r}; correct `machine:` or `name_tag:`"
            raise WrongIdentity(msg)

    def _look_again(self, observed: Reading) -> dict[str, Any]:
        """The instance as it is now, which is the runbook's and in the account that `observed` was read from."""
        found, owner = self._describe()
        self._identify(found)
        if observed.identity != f"{owner}/{self._place.machine}":
            msg = f"{self._what} belongs to account {owner}, but {observed.identity} was read before; check credentials"
            raise WrongIdentity(msg)
        return found

    def _revived_by(self, found: Mapping[str, Any]) -> str | None:
        """Who may bring service back here without being asked; None where nobody may."""
        group = _tags(found).get(AUTO_SCALING_TAG)
        if group:
            return f"Auto Scaling group {group}"
        # EC2 restarts a persistent Spot instance that it stopped itself ("Spot Instance interruptions").
        return "EC2 Spot" if found.get("InstanceLifecycle") == "spot" else None

    def _warnings(self, found: Mapping[str, Any], revived_by: str | None) -> list[str]:
        warnings = []
        if revived_by:
            warnings.append(
                f"{self._what} may come back or be replaced by {revived_by}: stopping it is no lasting fence; "
                "detach it from the group, or suspend Launch, HealthCheck and ReplaceUnhealthy"
                if revived_by.startswith("Auto")
                else f"{self._what} may be started again by {revived_by}: use an on-demand instance"
            )
        if found.get("RootDeviceType") == "instance-store":
            warnings.append(f"{self._what} boots from instance store and cannot be stopped: give it an EBS root volume")
        return warnings


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}


def _facts(found: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "state": found["State"]["Name"],
        "reason": found.get("StateReason", {}).get("Message"),
        "zone": found.get("Placement", {}).get("AvailabilityZone"),
        "private_address": found.get("PrivateIpAddress"),
        "public_address": found.get("PublicIpAddress"),
        "name": _tags(found).get("Name"),
    }
    return {name: value for name, value in facts.items() if value}
