"""The fence of a component at a site: an ordered list of methods, or the site's own way for its `machine:`.

A method's settings are its provider's, but for `credentials` and the keys of `MethodKeys`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator.domain.catalog import ResourceType
from orchestrator.domain.findings import unknown
from orchestrator.domain.resolving.fence_paths import Method, MethodKeys, controllers, judge_paths, judge_strength
from orchestrator.domain.resolving.resolution import Path, Resolution
from orchestrator.domain.resource_ids import fence, instance


def resolve_fences(out: Resolution, name: str) -> None:
    """The fence methods of `name` at both sites are resolved; none at a site is a finding."""
    component = out.runbook.components[name]
    for site in out.runbook.direction:
        if site not in component.at:
            continue
        path: Path = ("components", name, "at", site)
        before = len(out.findings)
        methods: list[Method] = []
        for provider, settings, where in _methods(out, name, site):
            kind = _machine_type(out, provider)
            if kind is None:
                known = [t.provider for t in out.catalog.types if t.serves == "machine"]
                own = f"`machine:` is no way to fence at {site} ({provider}): give a `fence:` list there instead"
                out.find("NO-FENCE", where, own if where[-1] == "machine" else unknown(provider, known, "fence method"))
                continue
            methods += _add(out, (name, site), kind, settings, where)
        if not methods and len(out.findings) == before:
            by_site = _machine_type(out, out.runbook.sites[site].provider)
            way_out = "name its `machine:` or give a `fence:` list" if by_site else "give a `fence:` list"
            out.find("NO-FENCE", path, f"{name} at {site} writes or acts and cannot be fenced: {way_out}")
        for method, controller in controllers(methods).items():
            out.specs[method] = out.specs[method].model_copy(update={"controller": controller})
        out.fences[name, site] = tuple(method.id for method in methods)
        if component.type == "vm" and methods:
            out.instances[name, site] = methods[0].id
        if len(out.findings) == before:
            judge_strength(out, name, site, judge_paths(out, name, site, methods))


def _methods(out: Resolution, name: str, site: str) -> Iterator[tuple[str, dict[str, Any], Path]]:
    """(provider, settings, where it is written) of each method."""
    place, path = out.runbook.components[name].at[site], ("components", name, "at", site)
    machine = {"machine": place["machine"]} if "machine" in place else {}
    listed = place.get("fence")
    if listed is None:
        if machine:
            yield out.runbook.sites[site].provider, machine, (*path, "machine")
        return
    if not isinstance(listed, list | tuple):
        out.find("VALUE", (*path, "fence"), "a fence is a list of methods: `- provider: {settings}`")
        return
    for index, item in enumerate(listed):
        where = (*path, "fence", index)
        if isinstance(item, str):
            yield item, machine, where
        elif isinstance(item, Mapping) and len(item) == 1 and isinstance(next(iter(item.values())), Mapping):
            provider, settings = next(iter(item.items()))
            yield str(provider), dict(settings), (*where, provider)
        else:
            out.find("VALUE", where, "a method is a provider's name, or `provider: {settings}`")


def _add(
    out: Resolution, place: tuple[str, str], kind: ResourceType, settings: dict[str, Any], where: Path
) -> Iterator[Method]:
    """The method's resource is resolved; the method, unless something is wrong with it."""
    name, site = place
    credentials = settings.pop("credentials", None)
    own = {key: settings.pop(key) for key in MethodKeys.model_fields if key in settings}
    out.validate(MethodKeys, own, where)
    out.validate(kind.place, settings, where, ("credentials", *MethodKeys.model_fields))
    base = fence(instance(name, site), kind.provider)
    twins = sum(1 for other in out.specs if other == base or other.startswith(base + "-"))
    spec = out.spec(f"{base}-{twins + 1}" if twins else base, kind, name, site, {site: settings})
    try:
        method = Method(spec.id, kind.place.model_validate(settings), MethodKeys.model_validate(own), where)
    except ValidationError:
        return  # `validate` has noted why
    out.add(spec.model_copy(update={"credentials": credentials}))
    yield method


def _machine_type(out: Resolution, provider: str) -> ResourceType | None:
    fitting = [t for t in out.catalog.types if t.serves == "machine" and t.provider == provider]
    return fitting[0] if len(fitting) == 1 else None
