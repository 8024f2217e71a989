"""A model of the world that plans act on: servers with a log, their machines, addresses and names; values only.

It knows nothing of the engine. What a request can do to it is what its resource type declares: until when it may still
take effect, and whether the target compares before it sets. Log positions are tenths of a second of the model's clock,
so that a difference of positions is a loss in time: a writable server commits all the time, and one commit stands at
each position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.domain import resource_ids
from orchestrator.domain.errors import Conflict, Rejected, Unreachable
from orchestrator.domain.plan import Plan, ResourceSpec
from orchestrator.domain.runbook import VERIFICATION
from orchestrator.domain.world import (
    OFF,
    Holder,
    Power,
    Reading,
    Records,
    ReplicatesFrom,
    Replication,
    Role,
    Running,
    State,
)

Place = tuple[str, str]
"""(component, site)."""

Runs = Literal["primary", "standby"]
"""What a server runs as."""

CHECKPOINT = 1
"""What a clean shutdown adds to the log: a standby must be past it."""

START = 1000.0
"""When every execution begins on the model's clock, in seconds since the epoch."""


@dataclass(frozen=True)
class Server:
    """A database server. `signal`: it starts as a standby (latched); `log`: the end of its log; `upstream`: a site.

    `last`: what it runs as, or ran as last. `unplugged`: it went down with its machine, whose boot does not start it
    unless the world says `autostart`. `fresh`: a standby that was started and has followed nothing since: when its
    newest commit was made it cannot tell.
    """

    role: Literal["primary", "standby", "stopped", "down"]
    log: int
    signal: bool = False
    upstream: str | None = None
    last: Runs = "primary"
    unplugged: bool = False
    fresh: bool = False

    def running(self, role: Runs) -> Server:
        """It runs as this."""
        return replace(self, role=role, last=role, unplugged=False)

    def booted(self) -> Server:
        """What comes up when its machine does: writable, unless it is latched."""
        return self.running("standby" if self.signal else "primary")

    @property
    def ended_as_primary(self) -> bool:
        """True where it was a primary when it was stopped, or when it died with nothing done to it since."""
        return self.last == "primary" and (self.role == "stopped" or (self.role == "down" and not self.signal))


@dataclass(frozen=True)
class World:
    """Everything that is. `cut`: sites that nobody outside reaches; `dark`: sites whose fence devices do not answer.

    `shared`: resource to the state of what the sites share. `clock`: seconds since the epoch. `autostart`: a server
    comes up with its machine, as a distribution's own service does. `severed`: components that are not replicated now.
    `earlier`: what a machine or shared resource was before it changed last: what a stale reading shows.
    """

    servers: Mapping[Place, Server]
    power: Mapping[Place, Literal["on", "off"]]
    shared: Mapping[str, State]
    clock: float = START
    cut: frozenset[str] = frozenset()
    dark: frozenset[str] = frozenset()
    autostart: bool = False
    severed: frozenset[str] = frozenset()
    earlier: Mapping[str, State] = field(default_factory=dict)

    def writable(self, component: str) -> frozenset[str]:
        """W: the sites whose store of `component` accepts a commit now."""
        return frozenset(
            site for (name, site), server in self.servers.items() if name == component and server.role == "primary"
        )

    def facts(self) -> frozenset[tuple[Place | str, str]]:
        """What is the case: the role of each server, the power of each machine, the state of what is shared."""
        roles = [(place, server.role) for place, server in self.servers.items()]
        power = [(place, f"power {power}") for place, power in self.power.items()]
        return frozenset([*roles, *power, *((name, str(state)) for name, state in self.shared.items())])


def at_rest(plan: Plan, primary: str, standby: str, home: Plan | None = None) -> World:
    """The world in which the service runs at `primary` and its servers at `standby` follow.

    `home`: a plan that moves the service to `primary`, which says what names answer there.
    """
    servers: dict[Place, Server] = {}
    power: dict[Place, Literal["on", "off"]] = {}
    shared: dict[str, State] = {}
    for step in plan.steps:
        for want in step.wants:
            if step.kind == "switch":
                shared[want.resource] = _pointed_elsewhere(plan, want.desired, primary)
    for step in home.steps if home else ():
        shared |= {want.resource: want.desired for want in step.wants if step.kind == "switch"}
    for resource, spec in plan.resources.items():
        if is_probe(spec) or resource in shared:
            continue
        if spec.site is None:
            shared[resource] = Holder(site=primary)
            continue
        place = (spec.component, spec.site)
        if is_server(spec):
            follows = spec.site == standby
            role: Runs = "standby" if follows else "primary"
            servers[place] = Server(role, 10_000, follows, primary if follows else None, role)
        power[place] = "on" if spec.site == primary else "off"
    return World(servers, {p: "on" if p in servers else on for p, on in power.items()}, shared)


def _pointed_elsewhere(plan: Plan, desired: State, primary: str) -> State:
    """What a shared resource was before: the same state if the service is there already, else that of the source."""
    if isinstance(desired, Records):
        return desired if primary == plan.target else desired.model_copy(update={"records": {"A": ("192.0.2.1",)}})
    return Holder(site=primary)


def is_machine(spec: ResourceSpec) -> bool:
    """True for what has power: a fence method, or a `vm` itself."""
    return ":" in spec.id


def is_server(spec: ResourceSpec) -> bool:
    """True for a database server."""
    return spec.site is not None and not is_machine(spec)


def is_probe(spec: ResourceSpec) -> bool:
    """True for a verification from outside."""
    return bool(VERIFICATION.fullmatch(spec.id))


def place_of(spec: ResourceSpec) -> Place:
    """Where a resource that each site has for itself stands."""
    assert spec.site is not None  # noqa: S101 -- only asked of what a site has for itself
    return spec.component, spec.site


# Time


def passed(world: World, seconds: float) -> World:
    """The world later: every writable server has committed until then, or from when it is one (in no time), and every
    standby that reaches its primary has followed.

    Nothing but this lets time pass: between the moves of a rehearsal the clock stands still, or no two ways would lead
    to the same state.
    """
    clock = world.clock + seconds
    servers = {
        place: replace(server, log=max(server.log, int(clock * 10))) if server.role == "primary" else server
        for place, server in world.servers.items()
    }
    return streamed(replace(world, servers=servers, clock=clock))


def rebased(world: World, clock: float) -> World:
    """The same world at another time: every position in a log is moved along, so that no difference changes."""
    by = clock - world.clock
    servers = {place: replace(server, log=server.log + int(by * 10)) for place, server in world.servers.items()}
    return replace(world, servers=servers, clock=clock)


def streamed(world: World) -> World:
    """Every standby that reaches its primary has all that it has."""
    servers = dict(world.servers)
    for (component, site), server in world.servers.items():
        primary = upstream(world, (component, site))
        if primary is not None:
            fresh = server.fresh and server.log >= primary.log
            servers[component, site] = replace(server, log=max(server.log, primary.log), fresh=fresh)
    return replace(world, servers=servers)


def upstream(world: World, place: Place) -> Server | None:
    """The primary that the server at this place streams from now."""
    server = world.servers[place]
    parted = place[0] in world.severed or {place[1], server.upstream} & world.cut
    if server.role != "standby" or not server.upstream or parted:
        return None
    primary = world.servers.get((place[0], server.upstream))
    return primary if primary and primary.role == "primary" else None


# Reading


def observe(world: World, spec: ResourceSpec) -> Reading:
    """What an adapter would read. Raises Unreachable where it could not."""
    if is_probe(spec):
        served = all(spec.site in world.writable(component) for component, _ in world.servers)
        return Reading(states=(Running(running=served),), authority=spec.id)
    if spec.site is None:
        # Whether it has left a host is known of those that can be asked; a name is asked of its own servers.
        whole = spec.compare_and_set or not world.cut
        return Reading(states=(world.shared[spec.id],), authority=spec.id, authoritative=whole)
    if is_machine(spec):
        if spec.site in world.dark:
            raise Unreachable(f"{spec.id} does not answer")
        power = world.power[place_of(spec)]
        return Reading(states=(Power(power=power),), authority=spec.id, authoritative=True, latched=power == "off")
    return _observe_server(world, spec)


def stale(world: World, spec: ResourceSpec) -> Reading | None:
    """What an adapter would read of a moment ago, where that is something else. A database answers for itself, now."""
    was = world.earlier.get(_name(spec))
    if was is None or is_server(spec) or is_probe(spec):
        return None
    now = observe(world, spec)
    if was in now.states:
        return None
    return now.model_copy(update={"states": (was,), "latched": was == OFF})


def _name(spec: ResourceSpec) -> str:
    return resource_ids.place_of(spec.id)


def _observe_server(world: World, spec: ResourceSpec) -> Reading:
    """What is read of a server: over its connection, or from its files where it is down."""
    server = _reachable(world, spec)
    states: tuple[State, ...] = (Role(role=server.role),) if server.role != "down" else ()
    if server.upstream and upstream(world, place_of(spec)):
        states = (*states, ReplicatesFrom(site=server.upstream))
    return Reading(
        states=states,
        authority=spec.id,
        authoritative=True,
        latched=server.signal and server.role in ("stopped", "down"),
        identity=f"system of {spec.component}",
        replication=_replication(server, len(states) > 1, world.clock),
    )


def _replication(server: Server, streaming: bool, now: float) -> Replication:
    """A standby that does not stream has heard from its primary as well: a handshake, which brings no commits. What is
    down is read from its files."""
    if server.role == "standby":
        commit_at = None if server.fresh else server.log / 10
        return Replication(
            timeline=1,
            received=server.log,
            replayed=server.log,
            last_commit_at=commit_at,
            last_contact_at=now,
            streaming=streaming,
        )
    if server.role == "primary":
        return Replication(timeline=1, written=server.log)
    if server.last == "standby":
        return Replication(timeline=1, received=server.log, replayed=server.log)
    return Replication(timeline=1, written=server.log - CHECKPOINT if server.role == "stopped" else None)


def _reachable(world: World, spec: ResourceSpec) -> Server:
    if spec.site in world.cut or world.power[place_of(spec)] == "off":
        raise Unreachable(f"{spec.id} does not answer")
    return world.servers[place_of(spec)]


# Changing


def changed(world: World, spec: ResourceSpec, desired: State, seen: Reading | None) -> World:
    """The world after the request took effect. `seen`: the reading that it was based on.

    Raises Unreachable or Rejected where it surely cannot take effect.
    """
    if spec.site is None:
        return _set(world, spec, desired, seen)
    if isinstance(desired, Power):
        if spec.site in world.dark:
            raise Unreachable(f"{spec.id} does not answer")
        return powered(world, place_of(spec), desired.power)
    return passed(_changed_server(world, spec, desired), 0.0)


def _set(world: World, spec: ResourceSpec, desired: State, seen: Reading | None) -> World:
    was = world.shared[spec.id]
    if spec.compare_and_set and seen is not None and was not in seen.states:
        raise Conflict(f"{spec.id} is not what was read: {was}")
    if was == desired:
        return world
    return replace(world, shared={**world.shared, spec.id: desired}, earlier={**world.earlier, spec.id: was})


def powered(world: World, place: Place, power: Literal["on", "off"]) -> World:
    """The machine on or off, and its server with it. Setting what is so already changes nothing."""
    if world.power[place] == power:
        return world
    servers = dict(world.servers)
    if place in servers:
        server = servers[place]
        if power == "off" and server.role != "stopped":
            servers[place] = replace(server, role="down", unplugged=True)
        elif power == "on" and world.autostart:
            servers[place] = server.booted()
    earlier = {**world.earlier, "@".join(place): Power(power=world.power[place])}
    return passed(replace(world, servers=servers, power={**world.power, place: power}, earlier=earlier), 0.0)


def _changed_server(world: World, spec: ResourceSpec, desired: State) -> World:
    place, server = place_of(spec), _reachable(world, spec)
    match desired, server.role:
        case Role(role="stopped"), "primary":
            world = streamed(_with(world, place, replace(server, log=server.log + CHECKPOINT)))
            return _with(world, place, replace(world.servers[place], role="stopped", signal=True))
        case Role(role="stopped"), _:
            return _with(world, place, replace(server, role="stopped", signal=True))
        case Role(role="primary"), _ if server.role in ("primary", "standby") or server.ended_as_primary:
            return _with(world, place, replace(server.running("primary"), signal=False, upstream=None))
        case Role(role="standby"), "stopped" | "standby" | "down":
            return _with(world, place, replace(server.running("standby"), signal=True))
        case ReplicatesFrom(site=site), "stopped" | "standby" | "down":
            log = min(server.log, world.servers[spec.component, site].log)
            return _with(world, place, replace(server.running("standby"), signal=True, upstream=site, log=log))
    raise Rejected(f"{spec.id} is {server.role}: it cannot become {desired}")


def _with(world: World, place: Place, server: Server) -> World:
    return replace(world, servers={**world.servers, place: replace(server, unplugged=False)})
