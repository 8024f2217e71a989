"""Whether a fence works when what it cuts off is lost: what lives there, or fails with it, confirms nothing (I13).

Declared dependencies, and addresses in a site's own networks, are errors where no other method is left; what a kind of
device shares by its nature is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, get_args

from pydantic import Field, StringConstraints

from orchestrator.domain.base import Frozen
from orchestrator.domain.catalog import Aspect, FaultDomain, FaultDomains, Settings, Weakness
from orchestrator.domain.findings import check_model, unknown
from orchestrator.domain.resolving.resolution import Path, Resolution
from orchestrator.domain.resource_ids import method_of
from orchestrator.domain.spelling import canonical
from orchestrator.domain.world import share_no_controller

ASPECTS: tuple[Aspect, ...] = get_args(Aspect)


class MethodKeys(Frozen):
    """The keys of a fence method that say on what it depends, beside those of its provider."""

    site: str | None = Field(
        default=None,
        description="The site where the fencing device stands, or from which it is reached: not the one it fences, nor"
        " one that carries the same names under `fault_domain`.",
    )
    fault_domain: FaultDomains = Field(
        default=FaultDomain(),
        description="What this method fails with: `{power, controller, network}`, names of your own; one name alone"
        " stands for all three. None of them may be what the fenced machine, or its site, carries.",
    )
    unproven: Annotated[str, StringConstraints(strip_whitespace=True, min_length=8)] | None = Field(
        default=None,
        description="Why it is known that this method cuts off the machine that is meant, where neither the device nor"
        " the machine itself can prove it: the word of whoever writes it, in place of a proof, told with every plan.",
        examples=["cable followed to outlet 3 on 2026-05-04"],
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
        return method_of(self.id)

    @property
    def controllers(self) -> dict[str, str]:
        """What carries it out, as declared, as its provider's keys tell and where it is reached: canonical to as
        written."""
        named = (self.keys.fault_domain.controller, self.place.controller, *self.place.addresses)
        return {canonical(name): name for name in named if name and canonical(name)}


def controllers(methods: list[Method]) -> dict[str, str]:
    """The one name of what carries each method out, by the method's ID; empty where none is known. Methods of one
    machine that have any name of it in common, be it through a third one, have the same."""
    known: dict[str, str] = {}
    for method in methods:
        names = method.controllers
        met = {name: known[name] for name in names if name in known}
        one = next((names[name] for name in (*met, *names)), "")
        known = {name: one if called in met.values() else called for name, called in known.items()}
        known |= dict.fromkeys(names, one)
    return {method.id: next((known[name] for name in method.controllers), "") for method in methods}


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
    lasting = [method for method in independent if method.place.latches]
    for method, reasons in found:
        for where, why in reasons:
            told = f"the fence of {name} at {site} through {method.name} {why}"
            other = next(iter(lasting or independent), None)
            rest = f": tried all the same, but {other.name} has to do it then" if other else _WAY_OUT
            out.find("FENCE-PATH", where, f"{told}{rest}", "warning" if independent else "error")
        if not reasons and method.id in weak and not _enough(out, name, lasting):
            strong = out.runbook.components[name].fencing == "F3"
            ways = "two ways that are independent, as F3 asks for" if strong else "way that is independent"
            told = f"the fence of {name} at {site} has no {ways}: {weak[method.id].why}"
            loose = ", ".join(other.name for other in independent if not other.place.latches)
            told += f"; after {loose} the machine may come back by itself" if loose else ""
            out.find("FENCE-PATH", method.path, f"{told}; {weak[method.id].way_out}", "warning")
        if method.place.unproven:
            _note_unproven(out, name, site, method)
    return [method for method, reasons in found if not reasons]


def _note_unproven(out: Resolution, name: str, site: str, method: Method) -> None:
    """A method that may cut off another machine is an error, unless whoever wrote it says why it does not."""
    told = f"nothing proves that {method.name} cuts off the machine of {name} at {site}"
    if method.keys.unproven:
        out.find("FENCE-IDENTITY", method.path, f"{told}; the runbook says: {method.keys.unproven}", "warning")
        return
    told += f": {method.place.unproven}; where that cannot be, say by `unproven:` how it is known"
    out.find("FENCE-IDENTITY", method.path, told)


def judge_strength(out: Resolution, name: str, site: str, methods: list[Method]) -> None:
    """A list that can never give the proof that its component asks for is noted.

    `methods`: those that confirm something when the site is lost; where there is none, that is a finding already.
    """
    if not methods:
        return
    lasting = [method for method in methods if method.place.latches]
    loose = ", ".join(method.name for method in methods if not method.place.latches)
    if not lasting:
        why = f"{name} at {site} may come back by itself after {loose}, and then nothing can be promoted"
        way_out = "add a method that keeps it off, or end what restores its power"
        out.find("FENCE-STRENGTH", methods[0].path, f"{why}: {way_out}")
        return
    if _enough(out, name, lasting):
        return
    controller = {method.name: out.specs[method.id].controller for method in lasting}
    unknown = [method for method in controller if not controller[method]]
    if len(lasting) < 2:
        why = f"{lasting[0].name} alone can confirm it when {site} is lost: name a second one that shares no controller"
    elif unknown:
        why = (
            f"what controls {', '.join(unknown)} at {site} is not known: say so by `fault_domain: {{controller: ...}}`"
        )
    else:
        why = f"{' and '.join(controller)} at {site} share the controller {controller[lasting[0].name]!r}"
    told = f"{name} asks for F3, but {why}" + (f"; after {loose} it may come back by itself" if loose else "")
    out.find("FENCE-STRENGTH", ("components", name, "fencing"), told)


_WAY_OUT = ": when that is lost it confirms nothing; add a method that depends on nothing there"


def _enough(out: Resolution, name: str, methods: list[Method]) -> bool:
    """True where these are all that the fence of `name` needs."""
    if out.runbook.components[name].fencing == "F3":
        return share_no_controller(out.specs[method.id].controller for method in methods)
    return bool(methods)


def _dependencies(
    out: Resolution, site: str, carried: tuple[FaultDomain, ...], method: Method
) -> Iterator[tuple[Path, str]]:
    """Where it is written, and in what way the method depends on what it cuts off at `site`."""
    sites, stands = out.runbook.sites, method.keys.site
    if stands == site:
        yield (*method.path, "site"), f"lives in {site} itself"
    elif stands in sites:
        for label, aspects in _shared(sites[stands].fault_domain, carried).items():
            told = f"stands in {stands}, which shares its {', '.join(aspects)} {label!r} with what it cuts off"
            yield (*method.path, "site"), told
    elif stands is not None:
        out.find("REFERENCE", (*method.path, "site"), unknown(stands, sites, "site"))
    for label, aspects in _shared(method.keys.fault_domain, carried).items():
        yield (
            (*method.path, "fault_domain", aspects[0]),
            f"shares its {', '.join(aspects)} {label!r} with what it cuts off",
        )
    for address in method.place.addresses:
        network = sites[site].network_of(address)
        if network:
            yield method.path, f"is reached at {address}, in the network {network} of {site} itself"


def _shared(own: FaultDomain, carried: tuple[FaultDomain, ...]) -> dict[str, list[Aspect]]:
    """Each label that is carried as well, with the keys under which it is."""
    shared: dict[str, list[Aspect]] = {}
    for aspect in ASPECTS:
        label, others = getattr(own, aspect), [getattr(domain, aspect) for domain in carried]
        if label and canonical(label) in map(canonical, filter(None, others)):
            shared.setdefault(label, []).append(aspect)
    return shared


def _weakness(out: Resolution, site: str, method: Method) -> Weakness | None:
    """What the method shares by its nature, unless the runbook says that it has its own."""
    found = method.place.weakness(out.runbook.sites[site])
    return None if found is None or getattr(method.keys.fault_domain, found.aspect) else found
