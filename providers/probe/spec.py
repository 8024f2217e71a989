"""Probes from outside that need no vendor: a TCP connection, a DNS answer."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import Field, field_validator

from orchestrator.domain.by_hand import ByHand
from orchestrator.domain.catalog import ResourceType, Settings


class TcpSettings(Settings):
    """`tcp`: host:port that must accept a connection."""

    tcp: str = Field(pattern=r"^\S+:\d{1,5}$", examples=["shop.example.com:443"])

    @field_validator("tcp")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
        _port(value.rpartition(":")[2])
        return value


class DnsProbeSettings(Settings):
    """`dns`: a name that must resolve to `answer`. `resolver`: address[:port] to ask; not given: the system's own."""

    dns: str = Field(min_length=1)
    answer: str
    resolver: str | None = None

    @field_validator("resolver")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            address_and_port(value)
        return value


def address_and_port(resolver: str) -> tuple[str, int]:
    """The parts of `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or `[2001:db8::53]:5353`. Raises ValueError."""
    try:
        return str(ip_address(resolver)), 53
    except ValueError:
        host, _, port = resolver.rpartition(":")
    try:
        return str(ip_address(host.removeprefix("[").removesuffix("]"))), _port(port)
    except ValueError as error:
        msg = f"{resolver!r} is no resolver: write its address, as 192.0.2.53 or 192.0.2.53:5353"
        raise ValueError(msg) from error


def _port(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        msg = f"{text!r} is no port: write 1 to 65535"
        raise ValueError(msg)
    return int(text)


RESOURCES: tuple[ResourceType, ...] = (
    ResourceType(
        "probe.tcp",
        "verify:tcp",
        "providers.probe.tcp:TcpProbe",
        TcpSettings,
        shared=True,
        by_hand=ByHand(look=("curl -m 5 -v telnet://{tcp} </dev/null    # must say Connected",)),
    ),
    ResourceType(
        "probe.dns",
        "verify:dns",
        "providers.probe.name:NameProbe",
        DnsProbeSettings,
        shared=True,
        by_hand=ByHand(
            look=("dig +short {dns}    # must answer {answer:plain}", "ask this resolver: {resolver:plain}")
        ),
    ),
)
