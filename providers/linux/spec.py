"""The resource type that this provider brings, and its keys in a runbook."""

from __future__ import annotations

from ipaddress import IPv4Interface

from pydantic import Field

from orchestrator.domain.by_hand import ByHand
from orchestrator.domain.catalog import ResourceType, Settings


class FloatingIpSettings(Settings):
    """The keys of a `floating-ip` component on hosts of our own: the address with its prefix length."""

    address: IPv4Interface

    @property
    def thing(self) -> str:
        """The address, whatever its prefix."""
        return str(self.address.ip)


class FloatingIpPlace(Settings):
    """The keys under `at: <site>:`. ssh: OpenSSH destination of the host; not given: this machine."""

    interface: str = Field(pattern=r"^[^-\s/][^\s/]{0,14}$")
    ssh: str | None = Field(default=None, pattern=r"^[^-\s]\S*$")


RESOURCES: tuple[ResourceType, ...] = (
    ResourceType(
        name="linux.floating_ip",
        serves="floating-ip",
        adapter="providers.linux.floating_ip:FloatingIp",
        settings=FloatingIpSettings,
        place=FloatingIpPlace,
        selectors=frozenset({"on-prem"}),
        shared=True,
        host="ssh",
        by_hand=ByHand(
            look=(
                "on the host at {site:plain}, and on the one at {there:plain}:",
                "ssh {ssh}",
                "ssh {there_ssh}",
                "ip -brief address show to {thing}    # the address must be on one of them, never on both",
            ),
            do={
                "holder": (
                    "on the host at {site:plain}:",
                    "ssh {ssh}",
                    "ip address add {address} dev {interface}",
                    "arping -A -c 5 -I {interface} {thing}    # also where it was held already",
                    "on the host at {there:plain}, where that is another one and answers:",
                    "ssh {there_ssh}",
                    "ip address del {address} dev {there_interface}",
                )
            },
        ),
    ),
)
