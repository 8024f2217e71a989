"""The resource of a component itself: one at each site, or one that the sites share."""

from __future__ import annotations

from typing import Any

from orchestrator.domain.catalog import DnsPlace, NoSettings, ResourceType
from orchestrator.domain.component_types import TYPES
from orchestrator.domain.resolving.resolution import CORE_KEYS, FENCED_KEYS, PLACE_KEYS, Places, Resolution
from orchestrator.domain.resource_ids import instance
from orchestrator.domain.runbook import Component


def resolve_per_site(out: Resolution, name: str) -> None:
    """Each site's own instance is resolved. A `vm` has none beside its machine."""
    component = out.runbook.components[name]
    path = ("components", name)
    sites = [site for site in out.runbook.direction if _has_place(out, name, site)]
    if component.type == "vm":
        out.validate(NoSettings, component.own, path, FENCED_KEYS)
        for site in sites:
            out.validate(NoSettings, out.place(component, site), (*path, "at", site), PLACE_KEYS)
        return
    kinds = {site: kind for site in sites if (kind := _kind(out, name, site))}
    for kind in {kind.name: kind for kind in kinds.values()}.values():
        out.validate(kind.settings, component.own, path, FENCED_KEYS)
    places = {site: out.place(component, site) for site in kinds}
    for site, kind in kinds.items():
        out.validate(kind.place, places[site], (*path, "at", site), PLACE_KEYS)
        spec = out.spec(instance(name, site), kind, name, site, places)
        out.add(spec.model_copy(update={"settings": component.own, "credentials": component.credentials}))
        out.instances[name, site] = spec.id


def resolve_shared(out: Resolution, name: str) -> None:
    """The one instance that both sites share is resolved."""
    component = out.runbook.components[name]
    home, standby = out.runbook.direction
    kind, other = _kind(out, name, home), _kind(out, name, standby)
    if kind is None or other is None:
        return
    if kind != other:
        message = f"{component.type} cannot be shared between {home} ({kind.name}) and {standby} ({other.name})"
        out.find("NO-TYPE", ("components", name), message)
        return
    out.validate(kind.settings, component.own, ("components", name), CORE_KEYS)
    places = {site: _inherited(out, component, site, kind) for site in (home, standby)}
    for site, place in places.items():
        path = ("components", name, "at", site) if site in component.at else ("components", name)
        out.validate(kind.place, place, path)
        out.instances[name, site] = name
        if component.type == "dns" and not any(place.get(key) for key in DnsPlace.model_fields):
            out.find("MISSING", path, f"{name} has no answer for the site {site!r}: give a, aaaa or cname under `at:`")
    _judge_hosts(out, name, kind.host, places)
    spec = out.spec(name, kind, name, None, places)
    out.add(spec.model_copy(update={"settings": component.own, "credentials": component.credentials}))


def _judge_hosts(out: Resolution, name: str, key: str | None, places: Places) -> None:
    """What moves from host to host has one at each site. Where it stands beside a database, that one is judged."""
    if key is None:
        return
    component = out.runbook.components[name]
    kinds = [TYPES.get(out.runbook.components[needed].type) for needed in component.needs]
    told = any(key in component.at.get(site, {}) for site in places)
    hosts = {str(place.get(key) or "").rpartition("@")[2] for place in places.values()}
    if len(hosts) > 1 or (not told and any(kind and kind.writers == "one" for kind in kinds)):
        return
    host = hosts.pop() or "this machine, where the worker runs"
    message = f"{name} would be held by one host at both sites, {host}: name each site's own by `{key}:` under `at:`"
    out.find("SAME-MACHINE", ("components", name), message)


def _kind(out: Resolution, name: str, site: str) -> ResourceType | None:
    component = out.runbook.components[name]
    kind = out.serving(component, site)
    path: tuple[str | int, ...] = ("components", name)
    if kind is None and not any(f.code == "NO-TYPE" and f.path[:2] == path for f in out.findings):
        known = ", ".join(out.catalog.selectors(component.type)) or "none"
        if component.type == "dns":
            path = (*path, "server") if component.server else path
            out.find("NO-TYPE", path, f"`server:` says who serves the zone: {known}; found {component.server!r}")
        else:
            provider = out.runbook.sites[site].provider
            message = f"no provider implements {component.type} at {site} ({provider}); there is one for: {known}"
            out.find("NO-TYPE", path, message)
    return kind


def _has_place(out: Resolution, name: str, site: str) -> bool:
    if site in out.runbook.components[name].at:
        return True
    out.find("MISSING", ("components", name), f"{name} has no place under `at:` for the site {site!r}")
    return False


def _inherited(out: Resolution, component: Component, site: str, kind: ResourceType) -> dict[str, Any]:
    """The place of a shared resource; a key that it lacks comes from the component that it needs."""
    place = dict(component.at.get(site, {}))
    if component.type == "dns":
        return place
    for needed in component.needs:
        donor = out.runbook.components.get(needed)
        for key, value in (donor.at.get(site, {}) if donor else {}).items():
            if key in kind.place.model_fields:
                place.setdefault(key, value)
    return place
