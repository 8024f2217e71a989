"""What happens to the world by itself, at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import NamedTuple

from orchestrator.domain.rehearsal.model import Place, World, passed, streamed, upstream
from orchestrator.domain.rehearsal.values import Rehearsal
from orchestrator.domain.world import Records

A_MOMENT = 1.0
"""Seconds for which a primary commits alone when its standby has just lost it."""


def crashed(world: World, site: str) -> World:
    """Every server at the site has died without a word; the machines still have power."""
    servers = {
        place: replace(server, role="down") if place[1] == site and server.role != "stopped" else server
        for place, server in world.servers.items()
    }
    return replace(world, servers=servers)


def returned(world: World, site: str) -> World:
    """Every server at the site that had died, or was stopped, is up as its disk says, unless its machine was switched
    off."""
    servers = {
        place: server.booted() if place[1] == site and _may_return(world, place) else server
        for place, server in world.servers.items()
    }
    return passed(replace(world, servers=servers), 0.0)


def _may_return(world: World, place: Place) -> bool:
    server = world.servers[place]
    return server.role in ("down", "stopped") and world.power[place] == "on" and not server.unplugged


def cut_off(world: World, site: str) -> World:
    """Nobody outside reaches the site any more; its own clients are still served there, and commit."""
    return _parted(replace(world, cut=world.cut | {site}))


def darkened(world: World, site: str) -> World:
    """The fence devices of the site do not answer any more."""
    return replace(world, dark=world.dark | {site})


def reached_again(world: World, site: str) -> World:
    """The site and its fence devices are reached again, and its standbys follow."""
    return streamed(replace(world, cut=world.cut - {site}, dark=world.dark - {site}))


def severed(world: World, component: str) -> World:
    """The component is not replicated any more; everything still answers."""
    return _parted(replace(world, severed=world.severed | {component}))


def joined(world: World, component: str) -> World:
    """The component is replicated again."""
    return streamed(replace(world, severed=world.severed - {component}))


def _parted(world: World) -> World:
    """Every primary that has just lost a standby has committed something that the standby does not have."""
    newest = {component: server.log for (component, _), server in world.servers.items() if server.role == "primary"}
    level = any(
        server.role == "standby" and place[0] in newest and server.log >= newest[place[0]]
        and upstream(world, place) is None
        for place, server in world.servers.items()
    )  # fmt: skip
    return passed(world, A_MOMENT) if level else world


def _a_minute_later(world: World, _: str) -> World:
    later = passed(world, 60.0)
    return world if later.servers == world.servers else later


BY_HAND = Records(records={"A": ("203.0.113.1",)}, ttl=60)
"""What somebody else has pointed a name to."""


class Event(NamedTuple):
    """Something that happens to a site, to a component between the sites, or to all. `touches`: what of any component
    could notice it; `told`: with `{it}`."""

    told: str
    made: Callable[[World, str], World]
    touches: frozenset[str]


_SERVERS = frozenset({"servers"})
_REACH = frozenset({"servers", "reach"})

OF_A_SITE = (
    Event("every server at {it} dies", crashed, _SERVERS),
    Event("every server at {it} that was down, or stopped, is started again", returned, _SERVERS),
    Event("{it} is cut off", cut_off, _REACH),
    Event("the fence devices of {it} fall silent", darkened, frozenset({"machines"})),
    Event("{it} is reached again", reached_again, _REACH | {"machines"}),
)
BETWEEN_SITES = (
    Event("the replication of {it} stops", severed, _SERVERS),
    Event("the replication of {it} goes on", joined, _SERVERS),
)
EVERYWHERE = (Event("a minute passes, and who is alone commits", _a_minute_later, _SERVERS),)


def events(now: Rehearsal, touched: frozenset[str]) -> Iterator[tuple[str, str, World]]:
    """What may happen that could be noticed by what is touched: in words, the site, and the world then.

    What stands between the sites is counted as the source's.
    """
    source, kinds = now.plan.source, {what.partition(" ")[0] for what in touched}
    sites, components = (source, now.plan.target), tuple(dict.fromkeys(component for component, _ in now.world.servers))
    for kind, to in ((OF_A_SITE, sites), (BETWEEN_SITES, components), (EVERYWHERE, sites[:1])):
        for event, it in product(kind, to):
            if not event.touches & kinds:
                continue
            then = now.memory.of(event.made, now.world, it)
            if now.memory.digest(then) != now.memory.digest(now.world):
                yield event.told.format(it=it), it if kind is OF_A_SITE else source, then


def by_hand(now: Rehearsal, touched: frozenset[str]) -> Iterator[tuple[str, str, World]]:
    """Names that somebody else may point elsewhere: what compares before it sets does not overwrite that."""
    for name, state in now.world.shared.items():
        spec = now.plan.resources.get(name)
        if name in touched and spec and spec.compare_and_set and state != BY_HAND:
            yield f"somebody points {name} elsewhere", name, now.memory.of(_pointed, now.world, name)


def _pointed(world: World, name: str) -> World:
    return replace(world, shared={**world.shared, name: BY_HAND})


def disturbed(now: Rehearsal, what: str, then: World) -> Rehearsal:
    """The world as it is then; what was done to this site or resource is no matter of the execution's end."""
    return now._replace(world=then).since(disturbed=now.past.disturbed | {what})
