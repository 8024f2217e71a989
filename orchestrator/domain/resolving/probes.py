"""The probe of a verification, chosen by its one telling key: `sql:`, `tcp:`, `dns:`."""

from __future__ import annotations

from orchestrator.domain.findings import unknown
from orchestrator.domain.resolving.resolution import Resolution


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
    places = {site: out.place(component, site) for site in out.runbook.direction} if component else {}
    spec = out.spec(f"verify-{index + 1}", kind, item.component or f"verify-{index + 1}", None, places)
    credentials = component.credentials if component else None
    out.add(spec.model_copy(update={"settings": settings, "credentials": credentials}))
    out.probes.append(spec.id)
