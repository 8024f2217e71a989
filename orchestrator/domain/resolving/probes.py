"""The probe of a verification, chosen by its one telling key: `sql:`, `tcp:`, `dns:`."""

from __future__ import annotations

from orchestrator.domain.catalog import ResourceType
from orchestrator.domain.findings import unknown
from orchestrator.domain.resolving.resolution import Places, Resolution
from orchestrator.domain.runbook import Component


def resolve_probe(out: Resolution, index: int) -> None:
    """The verification's probe is resolved; it takes the settings it knows from the component that it names."""
    item, path = out.runbook.verify[index], ("verify", index)
    probes = {t.serves.partition(":")[2]: t for t in out.catalog.types if t.serves.startswith("verify:")}
    chosen = [key for key in probes if key in item.own]
    if len(chosen) != 1:
        out.find("VALUE", path, f"a verification has exactly one of the keys {', '.join(sorted(probes))}")
        return
    component = out.runbook.components.get(item.component or "")
    if item.component and component is None:
        out.find("REFERENCE", (*path, "component"), unknown(item.component, out.runbook.components, "component"))
        return
    kind = probes[chosen[0]]
    own = component.own if component else {}
    settings = {**{k: v for k, v in own.items() if k in kind.settings.model_fields}, **item.own}
    out.validate(kind.settings, settings, path, ("component", "within"))
    places = _places(out, index, kind, component)
    spec = out.spec(f"verify-{index + 1}", kind, item.component or f"verify-{index + 1}", None, places)
    credentials = component.credentials if component else None
    out.add(spec.model_copy(update={"settings": settings, "credentials": credentials}))
    out.probes.append(spec.id)


def _places(out: Resolution, index: int, kind: ResourceType, component: Component | None) -> Places:
    """Where the probe looks at each site: what it knows of the places of the component that the verification names."""
    path, probe = ("verify", index), kind.serves.partition(":")[2]
    required = {key for key, key_field in kind.place.model_fields.items() if key_field.is_required()}
    if component is None:
        if required:
            out.find("MISSING", path, f"`{probe}:` needs `component:`, the one at whose place it asks")
        return {}
    serving = [out.serving(component, site) for site in out.runbook.direction]
    if any(other and not required <= set(other.place.model_fields) for other in serving):
        message = (
            f"`{probe}:` cannot ask {out.runbook.verify[index].component!r}: its place has no {', '.join(required)}"
        )
        out.find("REFERENCE", (*path, "component"), message)
    known = set(kind.place.model_fields)
    return {
        site: {key: value for key, value in out.place(component, site).items() if key in known}
        for site in out.runbook.direction
    }
