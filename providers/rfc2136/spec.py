"""What a DNS server with dynamic update (RFC 2136) can do: the address records of one name."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from orchestrator.domain.by_hand import ByHand
from orchestrator.domain.catalog import DnsPlace, DnsSettings, ResourceType
from orchestrator.domain.durations import Seconds

FUDGE = 30
"""Seconds by which the server's clock may differ from ours: a signed request is refused when it is older (RFC 8945)."""

_PROCESSING = 30.0

SECRET = ("key_name", "key")
"""Updates must be signed: the TSIG key. A profile may say its `algorithm` as well."""


def _address(text: str) -> str:
    """A server named by a name would have to be found through the very thing that is being repaired (I13)."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        msg = f"{text!r} is no IP address: write the server's address, not its name"
        raise ValueError(msg) from None


Address = Annotated[str, AfterValidator(_address)]


class RecordSettings(DnsSettings):
    """Where a name is changed and who answers for it.

    primary: the server that takes updates.
    authorities: every server that answers clients for the zone; all of them are read. The primary is always read.
    timeout: of each conversation with one server. A secondary that does not answer costs a reading this much.
    """

    primary: Address
    authorities: tuple[Address, ...] = ()
    port: int = Field(default=53, ge=1, le=65_535)
    timeout: Seconds = Field(default=2.0, gt=0)

    @model_validator(mode="after")
    def _record_is_in_the_zone(self) -> RecordSettings:
        zone, record = (name.rstrip(".").lower() for name in (self.zone, self.record))
        if record != zone and not record.endswith(f".{zone}"):
            msg = f"record {self.record!r} is not in the zone {self.zone!r}"
            raise ValueError(msg)
        return self

    @property
    def kept_in(self) -> str:
        """The server that takes updates: another one may have a zone of the same name, as inside of a firewall."""
        return f"{self.primary}:{self.port}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """The server that takes updates; a secondary that is lost is not waited for."""
        return (self.primary,)

    @property
    def servers(self) -> tuple[str, ...]:
        """The primary, then the other authorities."""
        return tuple(dict.fromkeys((self.primary, *self.authorities)))


RESOURCES: tuple[ResourceType, ...] = (
    ResourceType(
        name="rfc2136.record",
        serves="dns",
        adapter="providers.rfc2136.record:Record",
        settings=RecordSettings,
        place=DnsPlace,
        selectors=frozenset({"rfc2136"}),
        shared=True,
        compare_and_set=True,
        secret=SECRET,
        by_hand=ByHand(
            look=(
                "dig +short +norecurse @{primary} -p {port} {record} {kind}",
                "for s in {authorities}; do dig +short +norecurse @$s -p {port} {record} {kind}; done    # alike",
            ),
            do={
                "records": (
                    "nsupdate -k KEYFILE    # the TSIG key is that of the profile {credentials:plain}; then type:",
                    "server {primary:plain} {port:plain}",
                    "zone {zone:plain}",
                    "update delete {record:plain} A",
                    "update delete {record:plain} AAAA",
                    "update delete {record:plain} CNAME",
                    "update add {record:plain} {ttl:plain} {kind:plain} {value:plain}",
                    "send",
                )
            },
        ),
        # Its signature's time bounds a lost request: a server whose clock is FUDGE behind takes it for twice FUDGE.
        late_effect=2 * FUDGE + _PROCESSING,
    ),
)
