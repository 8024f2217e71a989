"""Runs plans against the model world, driven by the real engine, ledger and `ensure`, one move at a time.

A `Rehearsal` is a value: every move makes a new one, so that all placements of faults can be tried from each state.
What a real driver does with threads, a journal and Temporal is done here by moves in an order that the caller chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from orchestrator.domain import ledger
from orchestrator.domain.engine import start
from orchestrator.domain.engine.driving import announced, once
from orchestrator.domain.errors import ProviderError
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord
from orchestrator.domain.plan import Plan, ResourceSpec
from orchestrator.domain.rehearsal.folding import NOT_FOLDED, Memory
from orchestrator.domain.rehearsal.model import World, observe, ticked
from orchestrator.domain.state import (
    Action,
    Check,
    Checked,
    Claim,
    Claimed,
    ClaimRefused,
    End,
    Event,
    ExecutionState,
    Looked,
    LookFor,
    Perform,
    ReadError,
    StartTimer,
    met,
)
from orchestrator.domain.world import Reading, Role


class Broken(AssertionError):
    """An invariant does not hold. `move`: what broke it, where that is known: a `moves.Move`."""

    def __init__(self, why: str, move: Any = None) -> None:
        super().__init__(why)
        self.move = move


@dataclass(frozen=True)
class Mission:
    """One execution to start: the plan, and the loss that a human accepts by name."""

    plan: Plan
    max_loss: str | None = None
    memory: Memory = field(default_factory=Memory, compare=False, repr=False, metadata=NOT_FOLDED)

    @cached_property
    def digest(self) -> str:
        """The plan's, made once: it is asked for at every move."""
        return self.plan.digest

    @property
    def hash(self) -> str:
        """What an approval names."""
        return self.digest[:12]


@dataclass(frozen=True)
class Sent:
    """An attempt. `accepted`: the loss in seconds that was allowed when it was handed out; `at`: when it was sent."""

    order: Perform
    mission: Mission
    accepted: float
    at: float = 0.0

    @property
    def plan(self) -> Plan:
        """The plan that it belongs to."""
        return self.mission.plan

    @property
    def spec(self) -> ResourceSpec:
        """The resource that it is about."""
        return self.plan.resources[self.order.want.resource]


@dataclass(frozen=True)
class Promotion:
    """A standby became writable, and commits of `lost` seconds went with the old primary; `accepted` were allowed."""

    component: str
    site: str
    lost: float
    accepted: float


@dataclass(frozen=True)
class Rehearsal:
    """The world, the journal, and one execution under way.

    found: the ledger as the execution found it. flights: actions that were begun and have not answered.
    zombies: attempts whose worker was lost before the guard and may come back. late: requests that take effect later.
    sent: every request that passed its guard, in order. promotions: every promotion that took effect.
    lawful: component to the one site that may be writable.
    promoting: promotion attempts that were issued and have not surely failed. origins: the world when the execution
    began, and when those began that left something unfinished. disturbed: sites and shared resources that something
    else has changed.
    """

    missions: tuple[Mission, ...] = field(metadata=NOT_FOLDED)
    world: World
    journal: GroupRecord
    state: ExecutionState
    found: GroupRecord
    origins: tuple[World, ...]
    lawful: Mapping[str, str]
    flights: tuple[Action, ...] = ()
    timers: tuple[StartTimer, ...] = ()
    begun: frozenset[str] = frozenset()
    zombies: tuple[Sent, ...] = ()
    late: tuple[Sent, ...] = ()
    sent: tuple[Sent, ...] = field(default=(), metadata=NOT_FOLDED)
    promotions: tuple[Promotion, ...] = field(default=(), metadata=NOT_FOLDED)
    promoting: frozenset[Attempt] = frozenset()
    disturbed: frozenset[str] = frozenset()
    number: int = 1
    reactions: tuple[str, ...] = ()
    events: tuple[Event, ...] = field(default=(), metadata=NOT_FOLDED)

    @property
    def mission(self) -> Mission:
        """The execution that runs."""
        return self.missions[0]

    @property
    def plan(self) -> Plan:
        """The plan that runs."""
        return self.missions[0].plan


def begin(
    missions: tuple[Mission, ...], world: World, lawful: Mapping[str, str], reactions: tuple[str, ...] = ()
) -> Rehearsal:
    """The first execution just started, in a group that nobody has touched yet.

    `reactions`: how humans react when an execution waits for them, in turn; then they let the deadline pass.
    """
    record = GroupRecord(group=missions[0].plan.group)
    state = start(missions[0].plan, execution(missions[0], 1, world.clock), record)
    return driven(Rehearsal(missions, world, record, state, record, (world,), lawful, reactions=reactions))


def execution(mission: Mission, number: int, since: float) -> Execution:
    """The `number`th execution of this rehearsal."""
    plan = mission.plan
    return Execution(
        id=f"rehearsal-{number}", who="ann", plan=mission.digest, mode=plan.mode, target=plan.target, since=since
    )


def following(now: Rehearsal, finished: bool) -> Rehearsal:
    """The next execution just started; the one before ended, or was terminated and closed nothing."""
    missions, number = now.missions[1:], now.number + 1
    state = start(missions[0].plan, execution(missions[0], number, now.world.clock), now.journal)
    left = () if finished else tuple(sent_by(now, f) for f in now.flights if isinstance(f, Perform))
    clean = now.state.finish is not None and now.state.finish.end is not End.NEEDS_HUMAN
    later = replace(
        now, missions=missions, state=state, found=now.journal, flights=(), timers=(), begun=frozenset(), events=(),
        number=number, promoting=frozenset(), zombies=(*now.zombies, *left),
        disturbed=frozenset() if clean else now.disturbed,
        origins=(now.world,) if clean else (*now.origins, now.world),
    )  # fmt: skip
    return driven(later)


def sent_by(now: Rehearsal, order: Perform) -> Sent:
    """The attempt as the execution that runs hands it out. A switchover accepts no loss (I3)."""
    given = [a.max_loss for a in now.state.approvals.values() if a.max_loss is not None]
    accepted = max(given, default=now.plan.objectives.rpo)
    return Sent(order, now.mission, 0.0 if now.plan.mode == "planned" else accepted)


# The driver


def folded(now: Rehearsal, event: Event) -> Rehearsal:
    """The event folded; where it ends the execution, the journal is closed as the driver would."""
    state = now.mission.memory.fold(now.plan, now.state, event)
    journal = now.journal
    if state.finish and not now.state.finish and state.claimed:
        journal = ledger.close_execution(journal, state.record.epoch, state.finish.end is not End.NEEDS_HUMAN)
    return replace(now, state=state, journal=journal, events=(*now.events, event))


def driven(now: Rehearsal) -> Rehearsal:
    """Every action that the engine asks for begun."""
    for action in now.mission.memory.next_actions(now.plan, now.state):
        now = _begun(now, action)
    return now


def _begun(now: Rehearsal, action: Action) -> Rehearsal:
    name, event, step = once(action), announced(action, now.world.clock), step_of(action)
    if name in now.begun:
        return now
    if name:
        now = replace(now, begun=now.begun | {name})
    if any(step and step_of(flight) == step for flight in now.flights):
        raise Broken(f"{step} is begun while it runs")
    if isinstance(action, Perform):
        now = _promised(now, action)
    if event:
        now = folded(now, event)
    if isinstance(action, StartTimer):
        return replace(now, timers=(*now.timers, action))
    return replace(now, flights=(*now.flights, action))


def step_of(action: Action) -> str | None:
    """The step that an action is about."""
    match action:
        case Check(step=step) | LookFor(step=step):
            return step
        case Perform(attempt=attempt):
            return attempt.step
    return None


def _promised(now: Rehearsal, action: Perform) -> Rehearsal:
    """I8: nothing un-fences the source while a promotion may take effect."""
    if action.want.activates and action.want.site == now.plan.source and now.promoting:
        raise Broken(f"I8: {action.want} is issued although {now.promoting} may take effect")
    if action.want.desired == Role(role="primary") and not action.attempt.undo:
        return replace(now, promoting=now.promoting | {action.attempt})
    return now


# What comes back


def flown(now: Rehearsal, flight: Action) -> Rehearsal:
    """The flight is over; time has passed."""
    flights = list(now.flights)
    flights.remove(flight)
    return replace(now, flights=tuple(flights), world=ticked(now.world))


def checked(now: Rehearsal, check: Check, unread: Mapping[str, bool] | None = None) -> Rehearsal:
    """The check's answer. `unread`: resources that did not answer, and whether waiting cannot mend that."""
    readings: dict[str, Reading] = {}
    errors = {
        name: ReadError(error="Fault", why="injected", lasting=lasting) for name, lasting in (unread or {}).items()
    }
    for name in now.plan.step(check.step).looks_at:
        if name in errors:
            continue
        try:
            readings[name] = observe(now.world, now.plan.resources[name])
        except ProviderError as error:
            errors[name] = ReadError(error=type(error).__name__, why=str(error), lasting=not error.retryable)
    event = Checked(step=check.step, readings=readings, errors=errors, at=now.world.clock)
    return folded(flown(now, check), event)


def looked(now: Rehearsal, look: LookFor, blind: bool = False) -> Rehearsal:
    """The look's answer: the reading, and why it is not enough."""
    spec = now.plan.resources[look.resource]
    reading, why = None, "injected: nothing could be read"
    if not blind:
        try:
            reading = observe(now.world, spec)
            why = "" if met(look.condition, reading) else "not reached in time"
        except ProviderError as error:
            why = str(error)
    if now.plan.step(look.step).kind == "release" and not why and spec.site:
        now = replace(now, journal=ledger.release(now.journal, spec.component, spec.site))
    event = Looked(step=look.step, resource=look.resource, reading=reading, why=why, at=now.world.clock)
    return folded(flown(now, look), event)


def claimed(now: Rehearsal, claim: Claim, answered: bool = True) -> Rehearsal:
    """The claim's answer. Not `answered`: it may stand in the journal, but the execution never learns of it."""
    record = ledger.settle_all(now.journal, now.plan, now.state.read_at)
    found = ledger.open_execution(record, now.state.execution, holder_is_gone=True)
    now, at = flown(now, claim), now.world.clock
    if isinstance(found, str):
        return folded(now, ClaimRefused(why=found, at=at))
    now = replace(now, journal=found)
    return folded(now, Claimed(record=found, at=at) if answered else ClaimRefused(why="no answer", at=at))
