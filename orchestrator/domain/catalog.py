"""What providers can do, as data: the resource types that their specs declare."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from orchestrator.domain.base import Frozen, digest
from orchestrator.domain.by_hand import ByHand
from orchestrator.domain.durations import Seconds
from orchestrator.domain.spelling import canonical
from orchestrator.domain.world import Records


class Settings(BaseModel):
    """Base of every settings model in a spec: frozen, an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def thing(self) -> str:
        """What these keys name in the world. Two groups that name the same thing exclude each other (I6), so keys that
        only say how it is handled do not belong here; by default all keys do."""
        return digest(self.model_dump(mode="json"))[:16]

    @property
    def kept_in(self) -> str:
        """Where the thing is kept, if another place may have one of the same name and these keys tell. Else empty."""
        return ""

    @property
    def identity(self) -> str:
        """What the machine says that it is, where these keys tell: one machine, wherever it is reached. Else empty."""
        return ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where what carries out a change is reached: the addresses that these keys hold. Of fence methods, and of what
        the sites share."""
        return ()

    @property
    def controller(self) -> str | None:
        """What carries out the fence that these keys name, where they tell. Two with one controller are one (F3)."""
        return None

    @property
    def latches(self) -> bool:
        """False where what this fence cuts off may come back by itself."""
        return True

    @property
    def unproven(self) -> str | None:
        """What to add, so that the machine proves to be the one that is meant; None where it does (WrongIdentity)."""
        return None

    @property
    def lacks(self) -> str | None:
        """What cannot be done without a key that may be left out, and which; None where nothing. Of places only."""
        return None

    def weakness(self, site: Site) -> Weakness | None:  # noqa: ARG002 -- for the kinds that have one
        """What the fence that these keys name shares by its nature with what it cuts off at `site`."""
        return None


class NoSettings(Settings):
    """For a resource type without keys of its own."""


Aspect = Literal["power", "controller", "network"]


@dataclass(frozen=True)
class Weakness:
    """One way in which a fence depends on what it cuts off: `why` and `way_out` are clauses for a person."""

    aspect: Aspect
    why: str
    way_out: str


def _named(given: str | None) -> str | None:
    return given if given and canonical(given) else None


Label = Annotated[str | None, AfterValidator(_named)]
"""A name of the user's own, compared in its canonical form; a blank one is none."""


class FaultDomain(Frozen):
    """What fails together, by names of your own: things that carry the same name under the same key share it."""

    power: Label = Field(default=None, description="The feed, UPS or grid that this is powered from.")
    controller: Label = Field(
        default=None,
        description="The device or service that carries out its commands: a BMC, a vCenter, a cloud's API.",
    )
    network: Label = Field(default=None, description="The management network over which it is reached.")


def _spelt_out(given: object) -> object:
    return dict.fromkeys(FaultDomain.model_fields, given) if isinstance(given, str) else given or FaultDomain()


FaultDomains = Annotated[FaultDomain, BeforeValidator(_spelt_out, json_schema_input_type=FaultDomain | str)]
"""One name alone stands for power, controller and network alike."""


def _network(given: str) -> str:
    try:
        network = ip_network(given)
    except ValueError as error:
        msg = f"{error}: write it as {_network_around(given) or '10.1.0.0/16'}"
        raise ValueError(msg) from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        msg = f"{given!r} is a network of IPv4 addresses: write it as 10.1.0.0/16"
        raise ValueError(msg)
    return str(network)


def _network_around(given: str) -> str | None:
    """The network that the address with a prefix length is in; None where it is no such address."""
    try:
        return str(ip_network(given, strict=False))
    except ValueError:
        return None


Network = Annotated[str, AfterValidator(_network)]


class Site(Settings):
    """A zone, region, data centre or cloud. `provider` chooses the resource types of what stands there."""

    provider: str
    region: str | None = None
    zone: str | None = None
    fault_domain: FaultDomains = Field(
        default=FaultDomain(),
        description="What is lost together with this site: `{power, controller, network}`, names of your own; one name"
        " alone stands for all three. A fence of what stands here must not carry the same ones.",
    )
    networks: tuple[Network, ...] = Field(
        default=(),
        description="Networks that cannot be reached any more when this site is lost. A fence of what stands here must"
        " not have its address in them, nor may a name be changed there.",
    )

    def network_of(self, address: str) -> str | None:
        """The site's network that the address is in; None where it is in none, or is a name."""
        try:
            literal = ip_address(canonical(address))
        except ValueError:
            return None
        return next((network for network in self.networks if literal in ip_network(network)), None)


class DnsSettings(Settings):
    """The keys of every `dns` component; a provider's own settings extend it. `ttl` in seconds."""

    zone: str
    record: str
    ttl: Seconds

    @field_validator("ttl")
    @classmethod
    def _whole_seconds(cls, ttl: float) -> float:
        if ttl != int(ttl):
            msg = f"a time to live is counted in whole seconds, not {ttl:g}s"
            raise ValueError(msg)
        return ttl

    @property
    def thing(self) -> str:
        """The name."""
        return canonical(self.record)


def _listed(given: object) -> object:
    return (given,) if isinstance(given, str) else given


def _as(kind: type[IPv4Address | IPv6Address], example: str) -> AfterValidator:
    def checked(given: tuple[str, ...]) -> tuple[str, ...]:
        found: dict[IPv4Address | IPv6Address, str] = {}
        for value in given:
            try:
                found.setdefault(kind(value), value)
            except ValueError:
                msg = f"{value!r} is no such address: write it as {example}"
                raise ValueError(msg) from None
        return tuple(found.values())

    return AfterValidator(checked)


class DnsPlace(Settings):
    """What the name answers while the service is at this site: addresses, each once, or another name."""

    a: Annotated[tuple[str, ...], _as(IPv4Address, "192.0.2.1"), BeforeValidator(_listed, tuple[str, ...] | str)] = ()
    aaaa: Annotated[
        tuple[str, ...], _as(IPv6Address, "2001:db8::1"), BeforeValidator(_listed, tuple[str, ...] | str)
    ] = ()
    cname: str | None = None

    @model_validator(mode="after")
    def _name_or_addresses(self) -> Self:
        if self.cname and (self.a or self.aaaa):
            msg = "a name that has a cname answers with nothing else: give cname, or a and aaaa"
            raise ValueError(msg)
        return self

    def records(self, ttl: float) -> Records:
        """The wanted state of the name, values sorted."""
        given = {"A": self.a, "AAAA": self.aaaa, "CNAME": (self.cname,) if self.cname else ()}
        return Records(records={kind: tuple(sorted(values)) for kind, values in given.items() if values}, ttl=int(ttl))


@dataclass(frozen=True)
class ResourceType:
    """One kind of resource that a provider brings.

    name: `<provider folder>.<resource>`, as plans and reports show it.
    serves: the component type of the runbook that it implements, or `machine` for what a fence method names.
    selectors: the site providers (or, for `dns`, the value of `server:`) that choose it; empty: any.
    adapter: `module:Class`, imported when first used.
    settings, place: the models of the component's own keys and of the keys under `at: <site>:`.
    shared: True where the sites share one instance (an address, a record); False where each site has its own.
    compare_and_set: the target itself refuses a request based on a stale reading; else the guard only narrows.
    late_effect: greatest seconds by which an accepted or lost request may still take effect; None: no bound is known.
    host: of what the sites share, the key of a place that names the host which holds it there; without it that is this
        machine, the worker's.
    regional: it stands in one region, which the sites name where it is.
    secret: the fields that its credential profile must have; where there are any, `credentials:` has to name one.
    stale_reads: a reading may be of a moment ago, as from a cache or an eventually consistent API: that the state is so
        already is then never believed before a request, only after one.
    by_hand: how a person reads and sets it without Tideover, for `tideover checklist`.
    """

    name: str
    serves: str
    adapter: str
    settings: type[Settings] = NoSettings
    place: type[Settings] = NoSettings
    selectors: frozenset[str] = frozenset()
    shared: bool = False
    compare_and_set: bool = False
    late_effect: float | None = None
    host: str | None = None
    regional: bool = False
    secret: tuple[str, ...] = ()
    stale_reads: bool = False
    by_hand: ByHand | None = None

    @property
    def provider(self) -> str:
        """The provider's folder name."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Catalog:
    """All resource types found, in the order of their names."""

    types: tuple[ResourceType, ...]

    def get(self, name: str) -> ResourceType:
        """The type of this name. Raises LookupError where no provider declares it."""
        for candidate in self.types:
            if candidate.name == name:
                return candidate
        msg = f"no provider declares the resource type {name!r}"
        raise LookupError(msg)

    def serving(self, component_type: str, selector: str | None) -> ResourceType | None:
        """The type that implements `component_type` where `selector` (a site's provider, or `server:`) chooses."""
        fitting = [t for t in self.types if t.serves == component_type]
        chosen = [t for t in fitting if not t.selectors or selector in t.selectors]
        return chosen[0] if len(chosen) == 1 else None

    def site_providers(self) -> tuple[str, ...]:
        """Every word that a site's `provider:` may be, sorted: those by which some type there is chosen."""
        elsewhere = ("dns", "verify:")  # a record is chosen by `server:`, a probe by its telling key
        return tuple(sorted({s for t in self.types if not t.serves.startswith(elsewhere) for s in t.selectors}))

    def selectors(self, component_type: str) -> tuple[str, ...]:
        """Every selector by which some type implements `component_type`, sorted."""
        return tuple(sorted({s for t in self.types if t.serves == component_type for s in t.selectors}))
