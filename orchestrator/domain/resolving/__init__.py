"""From a runbook's components to resources: which provider implements what, and the findings where none does."""

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.component_types import TYPES
from orchestrator.domain.findings import unknown
from orchestrator.domain.resolving.components import resolve_per_site, resolve_shared
from orchestrator.domain.resolving.fences import resolve_fences
from orchestrator.domain.resolving.machines import judge_machines
from orchestrator.domain.resolving.probes import resolve_probe
from orchestrator.domain.resolving.resolution import Resolution
from orchestrator.domain.runbook import Runbook

__all__ = ["Resolution", "resolve"]


def resolve(runbook: Runbook, catalog: Catalog) -> Resolution:
    """The resources that `runbook` names, with each provider's settings validated. Both sites must be defined."""
    out = Resolution(runbook, catalog)
    for name, component in runbook.components.items():
        kind = TYPES.get(component.type)
        if kind is None:
            out.find("NO-TYPE", ("components", name, "type"), unknown(component.type, TYPES, "component type"))
            continue
        if kind.shared:
            resolve_shared(out, name)
        else:
            resolve_per_site(out, name)
        if kind.fenced:
            resolve_fences(out, name)
        elif "fencing" in component.model_fields_set:
            fenced = ", ".join(name for name, kind in TYPES.items() if kind.fenced)
            out.find("VALUE", ("components", name, "fencing"), f"a {component.type} is not fenced: only {fenced} are")
    judge_machines(out)
    for index in range(len(runbook.verify)):
        resolve_probe(out, index)
    return out
