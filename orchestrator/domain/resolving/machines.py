"""That each machine and server of a runbook is one: what is cut off at one site must not be what serves at another."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, combinations

from orchestrator.domain.plan import ResourceSpec
from orchestrator.domain.resolving.resolution import Resolution


def judge_machines(out: Resolution) -> None:
    """Each pair of resources that are one thing, and must be two, is noted."""
    called: defaultdict[str, list[ResourceSpec]] = defaultdict(list)
    for spec in out.specs.values():
        if spec.site is not None and spec.thing and spec.places[spec.site]:
            called[spec.key].append(spec)
    for one, other in chain.from_iterable(combinations(same, 2) for same in called.values()):
        if why := _clash(out, one, other):
            path = ("components", other.component, "at", other.site or "")
            out.find("SAME-MACHINE", path, f"{other.id} is the very thing that {one.id} is: {why}")


def _clash(out: Resolution, one: ResourceSpec, other: ResourceSpec) -> str | None:
    """Why they must not be one. Two databases may share a machine; what cuts it off, cuts off both, and is asked to."""
    if one.site != other.site:
        return "what cuts off one site would cut off the other; name the one that each site has"
    types = {out.runbook.components[spec.component].type for spec in (one, other)}
    if one.component != other.component and "vm" in types:
        return "to switch it off for one takes the other down; give each its own, or leave the vm out"
    return None
