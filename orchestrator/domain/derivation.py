"""How a plan follows from a runbook: every step, its ID, the order and the barrier. Nowhere else is order decided.

Forced: checks, approval, { fence every writer and every machine that acts | early addresses } -> { measure | recheck
the old primary } -> promote -> verify -> { start dependents | announce | DNS } -> verify from outside. A gate before
the promotion stands between measuring and rechecking: what may veto a promotion is read just before it.
Planned: checks, approval, stop the source in reverse order of `needs` -> catch up -> { promote | early addresses }
-> verify -> the rest alike.
Reprotect: checks, approval, isolate -> start -> rebuild -> release, for each component that has a writer; a machine is
started when all that write there are isolated.
Unfence: checks, approval, start what is fenced.
"""

from __future__ import annotations

from graphlib import TopologicalSorter

from orchestrator.domain.base import digest
from orchestrator.domain.catalog import Catalog, DnsPlace, DnsSettings
from orchestrator.domain.component_types import TYPES, ComponentType
from orchestrator.domain.errors import NotFoundLocally, RunbookInvalid
from orchestrator.domain.findings import unknown
from orchestrator.domain.plan import PROVES, Kind, Plan, PlanMode, ResourceSpec, Step, Want
from orchestrator.domain.resolving import Resolution, resolve
from orchestrator.domain.resource_ids import method_of
from orchestrator.domain.runbook import Gate, Runbook
from orchestrator.domain.world import (
    OFF,
    ON,
    PRIMARY,
    STOPPED,
    Holder,
    ReplicatesFrom,
    Running,
    State,
    Strength,
)

TIMEOUTS: dict[Kind, float] = {
    "check": 15.0,
    "fence": 60.0,
    "stop": 120.0,
    "measure": 15.0,
    "recheck": 15.0,
    "catch_up": 300.0,
    "promote": 60.0,
    "verify": 60.0,
    "start": 300.0,
    "switch": 120.0,
    "announce": 30.0,
    "isolate": 60.0,
    "rebuild": 3600.0,
    "release": 60.0,
}
"""Seconds that one attempt of a step may take."""

BOOT_PATIENCE = 120.0
"""Seconds for which a machine that was just powered on may not answer."""


def derive(runbook: Runbook, catalog: Catalog, to: str, mode: PlanMode, journal: str) -> Plan:
    """The plan that moves the service to the site `to`, or for `reprotect` rebuilds the standby there.

    Raises NotFoundLocally where `to` is not one of the two sites, and RunbookInvalid where the runbook has findings.
    """
    if to not in runbook.direction:
        raise NotFoundLocally(f"{runbook.runbook}: " + unknown(to, runbook.direction, "site to move to"))
    resolution = resolve(runbook, catalog)
    if resolution.errors:
        raise RunbookInvalid(f"{runbook.runbook}: {resolution.errors[0]}")
    builder = _Builder(resolution, to, mode)
    shapes = {"planned": builder.planned, "forced": builder.forced, "reprotect": builder.reprotect}
    steps = shapes.get(mode, builder.unfence)()
    used = {r for step in steps for r in (*step.looks_at, *(want.resource for want in step.wants))}
    return Plan(
        group=runbook.runbook,
        mode=mode,
        source=runbook.other(to),
        target=to,
        objectives=runbook.objectives,
        waiting=runbook.waiting,
        steps=steps,
        resources={name: builder.spec(name) for name in sorted(used)},
        runbook_digest=digest(runbook.model_dump(mode="json")),
        journal=journal,
    )


class _Builder:
    """Derives the steps for one direction."""

    def __init__(self, resolution: Resolution, target: str, mode: PlanMode) -> None:
        self.resolution, self.runbook, self.mode = resolution, resolution.runbook, mode
        self.target, self.source = target, resolution.runbook.other(target)
        # By name, not as written: the order of keys means nothing and must not change the hash.
        needs = {name: component.needs for name, component in sorted(self.runbook.components.items())}
        self.order = tuple(TopologicalSorter(needs).static_order())
        self.reach = {name: self.runbook.relied_on(name) for name in self.order}
        self.steps: dict[str, Step] = {}

    def forced(self) -> tuple[Step, ...]:
        """Fence the source, then promote."""
        approve = self._checks_and_approval()
        fenced = [name for name in self.order if self._type(name).fenced]
        fences = [self._fence(name, approve) for name in fenced]
        early = [self._switch(name, approve) for name in self.order if self._type(name).early]
        for name in self._writers():
            self._measure(name, "measure", tuple(fences))
        return self._promote_and_follow(set(early))

    def planned(self) -> tuple[Step, ...]:
        """Stop the source cleanly, let the standby catch up, then promote."""
        approve = self._checks_and_approval()
        for name in reversed(self.order):
            if self._type(name).fenced:
                dependents = [d for d in self.order if self._relies_on(d, name) and f"{d}.stop" in self.steps]
                self._stop(name, tuple(f"{d}.stop" for d in dependents) or approve)
        barrier = tuple(step for step in self.steps if step.endswith(".stop"))
        for name in self._writers():
            self._measure(name, "catch_up", (f"{name}.stop",))
        caught_up = tuple(f"{name}.catch_up" for name in self._writers())
        early = [self._switch(n, (*barrier, *caught_up) or approve) for n in self.order if self._type(n).early]
        return self._promote_and_follow(set(early))

    def reprotect(self) -> tuple[Step, ...]:
        """Make the site `target` a standby of the other: isolate, start, rebuild, release."""
        approve = self._checks_and_approval(*self._writers())
        for name in self._writers():
            server, site = self._instance(name, self.target), self.target
            off = self._power(name, site, "off")
            stopped = self._want(server, STOPPED, name, site)
            self._add("isolate", name, site, approve, f"{name} at {site} cannot accept writes", wants=(stopped, *off),
                      touches=(server,), needs_strength=Strength.F2, needs_latch=True)  # fmt: skip
        for name in self._writers():
            server, site = self._instance(name, self.target), self.target
            isolated = tuple(f"{other}.isolate" for other in self._on_its_machine(name, site))
            self._start(name, site, isolated, f"power on {name}'s machine at {site}")
            upstream = ReplicatesFrom(site=self.source)
            self._add("rebuild", name, site, (f"{name}.start",), f"rebuild {name} at {site} from {self.source}",
                      wants=(self._want(server, upstream, name, site),), patience=BOOT_PATIENCE)  # fmt: skip
            self._add("release", name, site, (f"{name}.rebuild",), f"{name} at {site} is a standby: lift its fence",
                      wants=(self._want(server, upstream, name, site),))  # fmt: skip
        return tuple(self.steps.values())

    def unfence(self) -> tuple[Step, ...]:
        """Power on what is fenced at `target` and was never replaced."""
        fenced = [name for name in self.order if self._type(name).fenced]
        approve = self._checks_and_approval(*fenced)
        for name in fenced:
            self._start(name, self.target, approve, f"power on {name}'s machine at {self.target}")
        return tuple(self.steps.values())

    def spec(self, resource: str) -> ResourceSpec:
        """The resource, with a probe bound to the target site."""
        found = self.resolution.specs[resource]
        return found.model_copy(update={"site": self.target}) if resource in self.resolution.probes else found

    def _checks_and_approval(self, *names: str) -> tuple[str, ...]:
        """All components are checked, or those named."""
        checks = [self._check(name) for name in names or self.order]
        gate = next((gate for gate in self.runbook.gates if gate.before == "fence"), Gate(before="fence"))
        summary = f"a human approves: {self.mode} {self._direction()}"
        return (self._add("approve", None, None, tuple(checks), summary, gate=gate),)

    def _direction(self) -> str:
        return f"of {self.target}" if self.mode in ("reprotect", "unfence") else f"{self.source} -> {self.target}"

    def _check(self, name: str) -> str:
        sites = (self.source, self.target)
        own = [self._instance(name, site) for site in sites]
        fences = [method for site in sites for method in self.resolution.fences.get((name, site), ())]
        return self._add("check", name, None, (), f"look at {name} at {self.source} and {self.target}",
                         looks_at=tuple(dict.fromkeys([*own, *fences])))  # fmt: skip

    def _fence(self, name: str, after: tuple[str, ...]) -> str:
        strength = self._strength(name)
        ways = [method_of(method) for method in self.resolution.fences[name, self.source]]
        how = (
            f"{', '.join(ways)}: two that share no controller (F3)" if strength > Strength.F2 else ", then ".join(ways)
        )
        summary = f"fence {name} at {self.source}: power off through {how}"
        own = self._instance(name, self.source)
        return self._add("fence", name, self.source, after, summary, wants=self._power(name, self.source, "off"),
                         touches=(own,) if self._type(name).writers == "one" else (),
                         needs_strength=strength, needs_latch=True)  # fmt: skip

    def _stop(self, name: str, after: tuple[str, ...]) -> str:
        """A store tells its own end, from its files (F2); a machine is off by the same proof as when it is fenced."""
        strength = Strength.F2 if self._type(name).writers == "one" else self._strength(name)
        if self._type(name).writers == "one":
            wants: tuple[Want, ...] = (self._want(self._instance(name, self.source), STOPPED, name, self.source),)
        else:
            wants = self._power(name, self.source, "off")
        return self._add("stop", name, self.source, after, f"stop {name} at {self.source}", wants=wants,
                         needs_strength=strength, needs_latch=True)  # fmt: skip

    def _start(self, name: str, site: str, after: tuple[str, ...], summary: str) -> str:
        """Power on. What is fenced with F3 was cut by several methods: each gives back, the last one first."""
        wants = self._power(name, site, "on")
        if self._strength(name) < Strength.F3:
            return self._add("start", name, site, after, summary, wants=wants)
        for number, want in enumerate(reversed(wants[1:]), start=1):
            through = f"{summary} through {want.resource.partition(':')[2]}"
            after = (self._add("start", name, site, after, through, f"{name}.start-{number}", wants=(want,)),)
        # A controller on the machine's board begins to boot once that has power again.
        return self._add("start", name, site, after, summary, wants=wants[:1], patience=BOOT_PATIENCE)

    def _strength(self, name: str) -> Strength:
        return Strength[self.runbook.components[name].fencing]

    def _measure(self, name: str, kind: Kind, after: tuple[str, ...]) -> str:
        what = "has replayed all of the source's log" if kind == "catch_up" else "loses no more than was accepted"
        return self._add(kind, name, self.target, after, f"{name} at {self.target} {what}",
                         looks_at=(self._instance(name, self.target),))  # fmt: skip

    def _rechecks(self, after: tuple[str, ...]) -> tuple[str, ...]:
        """A look at each writer that was fenced. A stopped one has told its end itself, from its files."""
        return tuple(
            self._add("recheck", name, self.source, after, f"{name} at {self.source} must not answer as a primary",
                      looks_at=(self._instance(name, self.source),))
            for name in self._writers() if f"{name}.fence" in self.steps
        )  # fmt: skip

    def _promote_and_follow(self, moved: set[str]) -> tuple[Step, ...]:
        barrier = tuple(s.id for s in self.steps.values() if s.kind in PROVES)
        barrier = barrier or ("approve",)  # nothing acts, nothing to fence: still no change before a human agrees (I7)
        gate = next((gate for gate in self.runbook.gates if gate.before == "promote"), None)
        if gate and self._writers():
            barrier = (
                self._add("approve", None, None, barrier, "a human approves the promotion", "promotion", gate=gate),
            )
        last = barrier if gate else tuple(s for s in barrier if self.steps[s].kind == "fence")
        barrier = (*barrier, *self._rechecks(last))
        for name in sorted(self.order, key=self._follows_the_writers):
            self._activate(name, barrier, moved)
        served = tuple(s.id for s in self.steps.values() if s.kind in ("switch", "announce", "start", "verify"))
        for index, probe in enumerate(self.resolution.probes):
            item = self.runbook.verify[index]
            self._add("verify", probe, None, served or barrier, f"from outside: {_telling(item.own)}",
                      probe, wants=(self._want(probe, Running(running=True), probe, self.target),),
                      timeout=item.within)  # fmt: skip
        return tuple(self.steps.values())

    def _activate(self, name: str, barrier: tuple[str, ...], moved: set[str]) -> None:
        kind, needed = self._type(name), tuple(self._last(need) for need in self._needs(name))
        if kind.writers == "one":
            server = self._instance(name, self.target)
            primary = (self._want(server, PRIMARY, name, self.target),)
            self._add(
                "promote", name, self.target, (*barrier, *needed), f"promote {name} at {self.target}", wants=primary
            )
            self._add(
                "verify", name, self.target, (f"{name}.promote",), f"{name} at {self.target} is primary", wants=primary
            )
        elif kind.fenced:
            self._start(name, self.target, (*barrier, *needed), f"start {name} at {self.target}")
        elif f"{name}.switch" in moved:
            after = (f"{name}.switch", *self._past(barrier, needed))
            # In a planned move the old host lives: the address has left it only where it could be asked (I10).
            strength = Strength.F2 if self.mode == "planned" else Strength.F0
            self._add("announce", name, self.target, after, f"announce {name} at {self.target} again",
                      wants=self.steps[f"{name}.switch"].wants, needs_strength=strength)  # fmt: skip
        else:
            after = self._past(barrier, needed)
            serving = [self._last(writer) for writer in self._writers() if self._follows_the_writers(name)]
            self._switch(name, (*after, *(step for step in serving if step not in self._behind(after))))

    def _follows_the_writers(self, name: str) -> bool:
        """True for what clients are pointed with, where no writer needs it, and for what relies on that (I10)."""
        pointing = [n for n in (name, *self.reach[name]) if self._type(n).shared and not self._type(n).early]
        return any(not any(self._relies_on(writer, n) for writer in self._writers()) for n in pointing)

    def _past(self, barrier: tuple[str, ...], needed: tuple[str, ...]) -> tuple[str, ...]:
        """`needed`, and the barrier where it is not behind all of it: an early address may move before the fence."""
        return needed if set(barrier) <= self._behind(needed) else (*barrier, *needed)

    def _behind(self, steps: tuple[str, ...]) -> set[str]:
        """These steps, and all that come before them."""
        before: set[str] = set()
        left = list(steps)
        while left:
            name = left.pop()
            left += self.steps[name].after if name not in before else ()
            before.add(name)
        return before

    def _switch(self, name: str, after: tuple[str, ...]) -> str:
        desired, resource = self._pointed_at(name), self._instance(name, self.target)
        return self._add("switch", name, self.target, after, f"point {name} to {self.target}",
                         wants=(self._want(resource, desired, name, None),))  # fmt: skip

    def _pointed_at(self, name: str) -> State:
        component = self.runbook.components[name]
        if component.type != "dns":
            return Holder(site=self.target)
        known = {key: value for key, value in component.own.items() if key in DnsSettings.model_fields}
        place = self.resolution.specs[name].places[self.target]
        answers = {key: value for key, value in place.items() if key in DnsPlace.model_fields}
        return DnsPlace(**answers).records(DnsSettings(**known).ttl)

    def _last(self, name: str) -> str:
        """The step after which others may rely on `name`."""
        ends = [
            f"{name}.{verb}" for verb in ("verify", "start", "announce", "switch") if f"{name}.{verb}" in self.steps
        ]
        return ends[0]

    def _power(self, name: str, site: str, power: str) -> tuple[Want, ...]:
        desired = ON if power == "on" else OFF
        return tuple(self._want(method, desired, name, site) for method in self.resolution.fences[name, site])

    def _want(self, resource: str, desired: State, component: str, site: str | None) -> Want:
        return Want(resource=resource, component=component, site=site, desired=desired)

    def _on_its_machine(self, name: str, site: str) -> list[str]:
        """The writers that are switched off and on with it, itself among them."""
        fences, specs = self.resolution.fences, self.resolution.specs
        doors = {other: {specs[door].key for door in fences[other, site]} for other in self._writers()}
        return [other for other in doors if other == name or doors[other] & doors[name]]

    def _writers(self) -> list[str]:
        return [name for name in self.order if self._type(name).writers == "one"]

    def _type(self, name: str) -> ComponentType:
        return TYPES[self.runbook.components[name].type]

    def _needs(self, name: str) -> tuple[str, ...]:
        return self.runbook.components[name].needs

    def _relies_on(self, name: str, other: str) -> bool:
        """True where `name` needs `other`, or something that does."""
        return other in self.reach[name]

    def _instance(self, name: str, site: str) -> str:
        return self.resolution.instances[name, site]

    def _add(self, kind: Kind, component: str | None, site: str | None, after: tuple[str, ...], summary: str,
             step_id: str | None = None, **more: object) -> str:  # fmt: skip
        name = step_id or (f"{component}.{kind}" if component else kind)
        place = {"component": component, "site": site, "after": after, "timeout": TIMEOUTS.get(kind, 900.0)}
        self.steps[name] = Step.model_validate({"id": name, "kind": kind, "summary": summary, **place, **more})
        return name


def _telling(own: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in own.items())
