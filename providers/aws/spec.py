"""The resource types of Amazon Web Services and the keys they take in a runbook."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from orchestrator.domain.by_hand import ByHand
from orchestrator.domain.catalog import DnsPlace, DnsSettings, ResourceType, Settings, Site, Weakness

InstanceId = Annotated[str, StringConstraints(pattern=r"^i-([0-9a-f]{8}|[0-9a-f]{17})$")]
InterfaceId = Annotated[str, StringConstraints(pattern=r"^eni-([0-9a-f]{8}|[0-9a-f]{17})$")]
AllocationId = Annotated[str, StringConstraints(pattern=r"^eipalloc-([0-9a-f]{8}|[0-9a-f]{17})$")]
HostedZoneId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{1,32}$")]

SIGNATURE_LIFETIME = 900.0
"""Seconds after which AWS refuses a signed request that was held up on its way. AWS names 5 minutes for most services
and 15 for some ("Signing AWS API requests", "Handling dates"); the longer one is the bound."""


_NO_OTHER = (
    "give the site its `zone:` where it is one; nothing else cuts off an instance, so with all of its region lost two "
    "people have to vouch for that"
)


class InstancePlace(Settings):
    """The EC2 instance at a site. `name_tag`: its Name tag, checked before anything is done to it."""

    machine: InstanceId
    name_tag: str | None = None

    @property
    def thing(self) -> str:
        """The instance."""
        return self.machine

    @property
    def controller(self) -> str:
        """The API of the instance's region, which has many names and is one."""
        return "EC2"

    def weakness(self, site: Site) -> Weakness | None:
        """EC2's API is the region's: it outlives a zone, and not the region."""
        if site.zone:
            return None
        region = site.region or "its region"
        why = f"EC2's API in {region} may be lost together with a site that is all of {region}"
        return Weakness("controller", why, _NO_OTHER)


class AddressSettings(Settings):
    """The elastic IP, by the ID of its allocation (an address can be released and given to someone else)."""

    allocation: AllocationId

    @property
    def thing(self) -> str:
        """The allocation."""
        return self.allocation


class AddressPlace(Settings):
    """What holds the address at a site: an instance (its primary interface), or one network interface."""

    machine: InstanceId | None = None
    network_interface: InterfaceId | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.machine or self.network_interface:
            return self
        msg = "name what holds the address at this site: machine: i-… or network_interface: eni-…"
        raise ValueError(msg)


class RecordSettings(DnsSettings):
    """`hosted_zone` is needed only where several hosted zones have the same name, say a public and a private one."""

    hosted_zone: HostedZoneId | None = Field(default=None, examples=["Z0123456789ABCDEFGHIJ"])

    @property
    def kept_in(self) -> str:
        """The hosted zone, where several have one name."""
        return self.hosted_zone or ""

    @model_validator(mode="after")
    def _record_is_in_zone(self) -> Self:
        zone, record = self.zone.lower().rstrip("."), self.record.lower().rstrip(".")
        if record == zone or record.endswith(f".{zone}"):
            return self
        msg = f"record {self.record} is not in zone {self.zone}: write the record's full name"
        raise ValueError(msg)


_INSTANCE_BY_HAND = ByHand(
    look=(
        (
            "aws ec2 describe-instances --region {region} --instance-ids {machine}"
            " --query 'Reservations[].Instances[].[State.Name,Placement.AvailabilityZone,Tags]'"
        ),
        "`stopped` is off; `stopping` is not off yet",
        "its Name tag must be {name_tag:plain}",
        "an Auto Scaling group or Spot can start it again: suspend Launch, HealthCheck and ReplaceUnhealthy first",
    ),
    do={
        "power off": ("aws ec2 stop-instances --region {region} --instance-ids {machine} --skip-os-shutdown",),
        "power on": ("aws ec2 start-instances --region {region} --instance-ids {machine}",),
    },
)
_ADDRESS_BY_HAND = ByHand(
    look=("aws ec2 describe-addresses --region {region} --allocation-ids {allocation}",),
    do={
        "holder": (
            "one of these, the one for what stands here:",
            (
                "aws ec2 associate-address --region {region} --allocation-id {allocation} --allow-reassociation"
                " --instance-id {machine}"
            ),
            (
                "aws ec2 associate-address --region {region} --allocation-id {allocation} --allow-reassociation"
                " --network-interface-id {network_interface}"
            ),
        )
    },
)
_RECORD_BY_HAND = ByHand(
    look=(
        "aws route53 list-hosted-zones-by-name --dns-name {zone}    # its ID, for ZONE below",
        (
            "aws route53 list-resource-record-sets --hosted-zone-id ZONE"
            " --query 'ResourceRecordSets[?Name==`\"{thing:quoted}.\"`]'"
        ),
        "the hosted zone that is meant is {hosted_zone:plain}",
    ),
    do={
        "records": (
            (
                "aws route53 change-resource-record-sets --hosted-zone-id ZONE --change-batch"
                ' \'{"Changes": [{"Action": "UPSERT", "ResourceRecordSet": {"Name": "{record:quoted}",'
                ' "Type": "{kind}", "TTL": {ttl}, "ResourceRecords": [{"Value": "{value:quoted}"}]}}]}\''
            ),
            "several values of one type go into one change, as more items of ResourceRecords",
            "aws route53 get-change --id CHANGE    # until it says INSYNC",
        )
    },
)

RESOURCES: tuple[ResourceType, ...] = (
    ResourceType(
        name="aws.ec2_instance",
        regional=True,
        serves="machine",
        adapter="providers.aws.ec2_instance:Ec2Instance",
        late_effect=SIGNATURE_LIFETIME,  # a stop that was accepted is seen as `stopping`, which is no settled state
        stale_reads=True,  # docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
        place=InstancePlace,
        by_hand=_INSTANCE_BY_HAND,
        selectors=frozenset({"aws"}),
    ),
    ResourceType(
        name="aws.elastic_ip",
        regional=True,
        serves="floating-ip",
        adapter="providers.aws.elastic_ip:ElasticIp",
        settings=AddressSettings,
        place=AddressPlace,
        by_hand=_ADDRESS_BY_HAND,
        selectors=frozenset({"aws"}),
        shared=True,
        late_effect=SIGNATURE_LIFETIME,
        stale_reads=True,
    ),
    ResourceType(
        name="aws.route53_record",
        serves="dns",
        adapter="providers.aws.route53_record:Route53Record",
        settings=RecordSettings,
        place=DnsPlace,
        by_hand=_RECORD_BY_HAND,
        selectors=frozenset({"route53"}),
        shared=True,
        compare_and_set=True,
        late_effect=SIGNATURE_LIFETIME,
    ),
)
