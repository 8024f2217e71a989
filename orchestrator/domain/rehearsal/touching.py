"""What each call depends on: two things that touch nothing in common lead to the same in either order."""

from __future__ import annotations

from orchestrator.domain.plan import ResourceSpec
from orchestrator.domain.rehearsal.model import is_machine, is_probe, place_of
from orchestrator.domain.rehearsal.values import Flight, Rehearsal, Try
from orchestrator.domain.resource_ids import instance
from orchestrator.domain.state import Check, Claim, LookFor

Touched = frozenset[str]
"""What a move reads or changes: the `servers` of a component, which replicate from each other; the `machines` of one
at a site; the `journal`, the `engine`, the `claim` of the group; the id of what sites share, and whether all of that is
in `reach`."""

JOURNAL, ENGINE, CLAIM, REACH = (frozenset({word}) for word in ("journal", "engine", "claim", "reach"))
NOTHING: Touched = frozenset()


def touched_by(now: Rehearsal, flight: Flight) -> Touched:
    """What the flight's next call depends on. A request is judged by all that is so when it is made."""
    match flight:
        case Check(step=step):
            return ENGINE.union(*(_seen(now, now.plan.resources[name]) for name in now.plan.step(step).looks_at))
        case Claim():
            return ENGINE | JOURNAL | CLAIM
        case LookFor(resource=resource):
            return ENGINE | JOURNAL | _seen(now, now.plan.resources[resource])
    match flight.place:
        case "guard":
            return JOURNAL
        case "answer":
            return JOURNAL | ENGINE
        case "look":
            first = JOURNAL if not flight.looks and not flight.order.first else NOTHING
            return first | _seen(now, flight.spec)
    if flight.spec.site is None:
        return frozenset({flight.spec.id})
    return servers(now) | machines(now)


def _seen(now: Rehearsal, spec: ResourceSpec) -> Touched:
    """What it depends on how this resource reads."""
    if is_probe(spec):
        return servers(now)
    if spec.site is None:
        return frozenset({spec.id}) | (NOTHING if spec.compare_and_set else REACH)
    return _its_own(spec)


def _its_own(spec: ResourceSpec) -> Touched:
    place = instance(*place_of(spec))
    return frozenset({f"machines {place}"} if is_machine(spec) else {f"servers {spec.component}"})


def changed_by(stray: Try) -> Touched:
    """What its request could change: of a machine, its server as well."""
    spec = stray.spec
    if spec.site is None:
        return frozenset({spec.id})
    return _its_own(spec) | {f"servers {spec.component}"}


def servers(now: Rehearsal) -> Touched:
    """The servers of every component."""
    return frozenset({f"servers {component}" for component, _ in now.world.servers})


def machines(now: Rehearsal) -> Touched:
    """Every machine."""
    return frozenset({f"machines {component}@{site}" for component, site in now.world.power})
