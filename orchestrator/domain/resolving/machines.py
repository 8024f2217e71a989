"""That each thing of a runbook is one: what is cut off at one site must not be what serves at another, and what the
sites share is set by one component."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

from orchestrator.domain.plan import ResourceSpec
from orchestrator.domain.resolving.resolution import Resolution


def judge_machines(out: Resolution) -> None:
    """Each pair of resources that are one thing, and must be two, is noted. What is without a place, as a command, is
    asked for the same by both, and may be named twice."""
    called: defaultdict[str, list[ResourceSpec]] = defaultdict(list)
    for spec in out.specs.values():
        keys, shared = out.keys(spec), spec.id in out.runbook.components
        if keys and (spec.places[spec.site] if spec.site else shared and any(spec.places.values())):
            called[spec.key].append(spec)
            if keys.identity:
                called[f"its {keys.identity}"].append(spec)
    noted: set[tuple[str, str]] = set()
    for name, same in called.items():
        for one, other in combinations(same, 2):
            if (why := _clash(out, one, other)) and (one.id, other.id) not in noted:
                noted.add((one.id, other.id))
                proof = "" if name == one.key else f" by {name}"
                at = ("at", other.site) if other.site else ()
                told = f"{other.id} is the very thing that {one.id} is{proof}: {why}"
                out.find("SAME-MACHINE", ("components", other.component, *at), told)


def _clash(out: Resolution, one: ResourceSpec, other: ResourceSpec) -> str | None:
    """Why they must not be one. Two databases may share a machine; what cuts it off, cuts off both, and is asked to."""
    if one.site is None:
        places = {keys.kept_in for spec in (one, other) if (keys := out.keys(spec)) and keys.kept_in}
        return None if len(places) > 1 else "each would overwrite what the other sets; name it once, or mend the copy"
    if one.site != other.site:
        return "what cuts off one site would cut off the other; name the one that each site has"
    types = {out.runbook.components[spec.component].type for spec in (one, other)}
    if one.component != other.component and "vm" in types:
        return "to switch it off for one takes the other down; give each its own, or leave the vm out"
    return None
