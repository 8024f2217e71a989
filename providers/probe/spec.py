"""Probes from outside that need no vendor: a TCP connection, a DNS answer."""

from __future__ import annotations

from pydantic import Field

from orchestrator.domain.catalog import ResourceType, Settings


class TcpSettings(Settings):
    """`tcp`: host:port that must accept a connection."""

    tcp: str = Field(pattern=r"^\S+:\d{1,5}$", examples=["shop.example.com:443"])


class DnsProbeSettings(Settings):
    """`dns`: a name that must resolve to `answer`. `resolver`: address[:port] to ask; not given: the system's own."""

    dns: str = Field(min_length=1)
    answer: str
    resolver: str | None = None


RESOURCES: tuple[ResourceType, ...] = (
    ResourceType("probe.tcp", "verify:tcp", "providers.probe.tcp:TcpProbe", TcpSettings, shared=True),
    ResourceType("probe.dns", "verify:dns", "providers.probe.name:NameProbe", DnsProbeSettings, shared=True),
)
