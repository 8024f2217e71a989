"""Whether a fence works when what it cuts off is lost: what lives there, or fails with it, confirms nothing (I13).

Declared dependencies, and addresses in a site's own networks, are errors where no other method is left; what a kind of
device shares by its nature is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import get_args

from pydantic import Field

from orchestrator.domain.base import Frozen
from orchestrator.domain.catalog import Aspect, FaultDomain, FaultDomains, Settings, Site, Weakness
from orchestrator.domain.findings import check_model, unknown
from orchestrator.domain.resolving.resolution import Path, Resolution
from orchestrator.domain.world import share_no_controller

ASPECTS: tuple[Aspect, ...] = get_args(Aspect)


class MethodKeys(Frozen):
    """The keys of a fence method that say on what it depends, beside those of its provider."""

    site: str | None = Field(
        default=None,
        description="The site where the fencing device stands, or from which it is reached: not the one it fences.",
    )
    fault_domain: FaultDomains = Field(
        default=FaultDomain(),
        description="What this method fails with: `{power, controller, network}`, names of your own; one name alone"
        " stands for all three. None of them may be what the fenced machine, or its site, carries.",
    )


class PlaceKeys(Frozen):
    """The keys of a fenced component's place that the core reads beside `fence` and `machine`."""

    fault_domain: FaultDomains = Field(
        default=FaultDomain(),
        description="What this machine fails with, beside its site's: `{power, controller, network}`, names of your"
        " own; one name alone stands for all three.",
    )


@dataclass(frozen=True)
class Method:
    """One way to fence: its resource, its provider's keys, the core's, and where it is written."""

    id: str
    place: Settings
    keys: MethodKeys
    path: Path

    @property
    def name(self) -> str:
        """Its name for a person."""
        return self.id.partition(":")[2]

    @property
    def controller(self) -> str:
        """What carries it out, as declared or as its provider's keys tell; empty where neither does."""
        return self.keys.fault_domain.controller or self.place.controller or ""


def judge_paths(out: Resolution, name: str, site: str, methods: list[Method]) -> list[Method]:
    """The methods that are not declared to depend on what they cut off; each that does is noted: as an error where none
    is left that does not."""
    path: Path = ("components", name, "at", site)
    place = {
        key: value for key, value in out.runbook.components[name].at[site].items() if key in PlaceKeys.model_fields
    }
    keys, wrong = check_model(PlaceKeys, place, path)
    out.findings += wrong
    if not isinstance(keys, PlaceKeys):
        return methods
    carried = (out.runbook.sites[site].fault_domain, keys.fault_domain)
    found = [(method, list(_dependencies(out, site, carried, method))) for method in methods]
    weak = {method.id: weakness for method in methods if (weakness := _weakness(out, site, method))}
    independent = [method for method, reasons in found if not reasons and method.id not in weak]
    for method, reasons in found:
        for where, why in reasons:
            told = f"the fence of {name} at {site} through {method.name} {why}"
            rest = f": tried all the same, but {independent[0].name} has to do it then" if independent else _WAY_OUT
            out.find("FENCE-PATH", where, f"{told}{rest}", "warning" if independent else "error")
        if not reasons and not independent and method.id in weak:
            told = f"the fence of {name} at {site} has no way that is independent: {weak[method.id].why}"
            out.find("FENCE-PATH", method.path, f"{told}{_SECOND}", "warning")
        if method.place.unproven:
            told = (
                f"nothing proves that {method.name} cuts off the machine of {name} at {site}: {method.place.unproven}"
            )
            out.find("FENCE-IDENTITY", method.path, told, "warning")
    return [method for method, reasons in found if not reasons]


def judge_strength(out: Resolution, name: str, site: str, methods: list[Method]) -> None:
    """A list that can never give the proof that its component asks for is noted.

    `methods`: those that confirm something when the site is lost; where there is none, that is a finding already.
    """
    if not methods:
        return
    if not any(method.place.latches for method in methods):
        cut = ", ".join(method.name for method in methods)
        why = (
            f"{name} at {site} may come back by itself after {cut}, and then nothing can be promoted: add a method that"
        )
        out.find("FENCE-STRENGTH", methods[0].path, f"{why} keeps it off, or end what restores its power")
    controllers = [method.controller for method in methods]
    if out.runbook.components[name].fencing != "F3" or share_no_controller(controllers):
        return
    unknown = [method.name for method in methods if not method.controller]
    if len(methods) < 2:
        why = f"{methods[0].name} alone can confirm it when {site} is lost: name a second one that shares no controller"
    elif unknown:
        why = (
            f"what controls {', '.join(unknown)} at {site} is not known: say so by `fault_domain: {{controller: ...}}`"
        )
    else:
        why = f"{' and '.join(method.name for method in methods)} at {site} share the controller {controllers[0]!r}"
    out.find("FENCE-STRENGTH", ("components", name, "fencing"), f"{name} asks for F3, but {why}")


_WAY_OUT = ": when that is lost it confirms nothing; add a method that depends on nothing there"
_SECOND = "; add a second method, such as a switched outlet, or say under `fault_domain:` what it has of its own"


def _dependencies(
    out: Resolution, site: str, carried: tuple[FaultDomain, ...], method: Method
) -> Iterator[tuple[Path, str]]:
    """Where it is written, and in what way the method depends on what it cuts off at `site`."""
    sites = out.runbook.sites
    if method.keys.site is not None and method.keys.site not in sites:
        out.find("REFERENCE", (*method.path, "site"), unknown(method.keys.site, sites, "site"))
    elif method.keys.site == site:
        yield (*method.path, "site"), f"lives in {site} itself"
    shared: dict[str, list[str]] = {}
    for aspect in ASPECTS:
        label = getattr(method.keys.fault_domain, aspect)
        if label is not None and any(getattr(domain, aspect) == label for domain in carried):
            shared.setdefault(label, []).append(aspect)
    for label, aspects in shared.items():
        yield (
            (*method.path, "fault_domain", aspects[0]),
            f"shares its {', '.join(aspects)} {label!r} with what it cuts off",
        )
    for address in method.place.addresses:
        network = _network_of(sites[site], address)
        if network:
            yield method.path, f"is reached at {address}, in the network {network} of {site} itself"


def _network_of(site: Site, address: str) -> str | None:
    """The site's network that the address is in; None where it is in none, or is a name."""
    try:
        literal = ip_address(address)
    except ValueError:
        return None
    return next((network for network in site.networks if literal in ip_network(network)), None)


def _weakness(out: Resolution, site: str, method: Method) -> Weakness | None:
    """What the method shares by its nature, unless the runbook says that it has its own."""
    found = method.place.weakness(out.runbook.sites[site])
    return None if found is None or getattr(method.keys.fault_domain, found.aspect) else found
