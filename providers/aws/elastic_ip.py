"""Which site holds an elastic IP address.

EC2 has no compare-and-set for a move: with AllowReassociation the newest request wins. Where the address is free the
adapter does without, so that a stranger who takes it meanwhile is noticed; releasing names the association that was
read, which is gone once somebody else has moved the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.domain.errors import Conflict, Misconfigured, NotFound, WrongIdentity
from orchestrator.domain.world import Holder, Reading, State
from orchestrator.ports import Binding, Call
from providers.aws.clients import client, region_of
from providers.aws.errors import translated
from providers.aws.spec import AddressPlace, AddressSettings


class ElasticIp:
    """One address, read with DescribeAddresses and moved with AssociateAddress and DisassociateAddress."""

    def __init__(self, binding: Binding[AddressSettings, AddressPlace]) -> None:
        self._allocation = binding.settings.allocation
        self._places = binding.places
        self._what = f"elastic IP {self._allocation}"
        if not binding.places:
            msg = f"{self._what} has no place to be; name machine or network_interface for each site under `at:`"
            raise Misconfigured(msg)
        self._region = region_of(binding.sites, tuple(binding.places), self._what)
        self._secret = binding.secret

    def observe(self) -> Reading:
        """The site that holds the address; None where nobody does; no state at all where a stranger does."""
        found = self._describe()
        holder, held_by = self._holder(found), _held_by(found)
        unknown = holder is None and held_by is not None
        warning = f"{self._what} is held by {held_by}, which the runbook names at no site: free it or name it there"
        return Reading(
            states=() if unknown else (Holder(site=holder),),
            authority=f"EC2 API in {self._region}",
            authoritative=True,
            identity=f"{self._allocation}/{found.get('PublicIp')}",
            warnings=(warning,) if unknown else (),
            facts=_facts(found),
        )

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """EC2 has associated the address with the site's instance or interface, or with nothing."""
        if not isinstance(desired, Holder) or (desired.site is not None and desired.site not in self._places):
            msg = f"{self._what} can be held by {', '.join(self._places)} or nobody; it cannot be asked for: {desired}"
            raise Misconfigured(msg)
        found = self._describe()
        held_by = _held_by(found)
        if self._holder(found) is None and held_by is not None:
            msg = f"{self._what} is held by {held_by}, which the runbook names at no site; not taken away from there"
            raise Conflict(msg)
        self._same_address(found, observed)
        if desired.site is None:
            self._release(found, call)
        else:
            self._take(desired.site, call, moving=held_by is not None)

    def _take(self, site: str, call: Call, *, moving: bool) -> None:
        place = self._places[site]
        target = (
            {"NetworkInterfaceId": place.network_interface}
            if place.network_interface
            else {"InstanceId": place.machine}
        )
        ec2 = self._ec2()
        with translated(f"{self._what}, taking it to {site}"):
            call.guard()
            ec2.associate_address(AllocationId=self._allocation, AllowReassociation=moving, **target)

    def _release(self, found: Mapping[str, Any], call: Call) -> None:
        association = found.get("AssociationId")
        if not association:
            return
        ec2 = self._ec2()
        with translated(f"{self._what}, taking it from its holder"):
            call.guard()
            ec2.disassociate_address(AssociationId=association)

    def _ec2(self) -> Any:
        return client("ec2", self._region, self._secret)

    def _describe(self) -> dict[str, Any]:
        ec2 = self._ec2()
        with translated(f"{self._what}, reading its holder"):
            answer = ec2.describe_addresses(AllocationIds=[self._allocation])
        addresses: list[dict[str, Any]] = answer.get("Addresses", [])
        if len(addresses) != 1:
            msg = f"{self._what}: EC2 in {self._region} shows {len(addresses)} of it; correct its ID or region"
            raise NotFound(msg)
        return addresses[0]

    def _same_address(self, found: Mapping[str, Any], observed: Reading) -> None:
        now = f"{self._allocation}/{found.get('PublicIp')}"
        if observed.identity != now:
            msg = f"{self._what} is now {now}, but {observed.identity} was read before; look again"
            raise WrongIdentity(msg)

    def _holder(self, found: Mapping[str, Any]) -> str | None:
        """The site whose interface, or else whose instance, the address is associated with."""
        for site, place in self._places.items():
            if place.network_interface:
                if place.network_interface == found.get("NetworkInterfaceId"):
                    return site
            elif place.machine == found.get("InstanceId"):
                return site
        return None


def _held_by(found: Mapping[str, Any]) -> str | None:
    """Whatever holds the address, in EC2's words; None where nothing does."""
    parts = (found.get("InstanceId"), found.get("NetworkInterfaceId"), found.get("AssociationId"))
    return next((part for part in parts if part), None)


def _facts(found: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "address": found.get("PublicIp"),
        "instance": found.get("InstanceId"),
        "network_interface": found.get("NetworkInterfaceId"),
        "private_address": found.get("PrivateIpAddress"),
        "association": found.get("AssociationId"),
    }
    return {name: value for name, value in facts.items() if value}
