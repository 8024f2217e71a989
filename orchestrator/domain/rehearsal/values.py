"""What a rehearsal is made of: values only. Every move makes new ones, so all placements of faults can be tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from orchestrator.domain.ensure import Call, Change, Look, Progress
from orchestrator.domain.ledger import Attempt, GroupRecord
from orchestrator.domain.outcome import Outcome
from orchestrator.domain.plan import Plan, ResourceSpec
from orchestrator.domain.rehearsal.demands import Demands
from orchestrator.domain.rehearsal.memory import Memory, Whole
from orchestrator.domain.rehearsal.model import Place, World
from orchestrator.domain.state import Check, Claim, Event, ExecutionState, LookFor, Perform, StartTimer
from orchestrator.domain.world import Reading


class Broken(AssertionError):
    """An invariant does not hold. `move`: what broke it, where that is known: a `moves.Move`."""

    def __init__(self, why: str, move: Any = None) -> None:
        super().__init__(why)
        self.move = move


@dataclass(frozen=True, eq=False)
class Mission(Whole):
    """One execution to start: the plan, what its runbook demands, the loss that a human accepts by name, and what may
    be started after it.

    `reactions`: what humans answer when it waits for them, in turn; then they let its deadline pass.
    """

    plan: Plan
    demands: Demands
    max_loss: str | None = None
    then: tuple[Mission, ...] = ()
    reactions: tuple[str, ...] = ("retry", "abort")

    @cached_property
    def digest(self) -> str:
        """The plan's, made once: it is asked for at every request."""
        return self.plan.digest

    @property
    def hash(self) -> str:
        """What an approval names."""
        return self.digest[:12]

    def __str__(self) -> str:
        return f"{self.plan.mode} to {self.plan.target}"


Next = Literal["look", "guard", "request", "answer"]


class Try(NamedTuple):
    """An attempt under way, between two calls: `call` is the next, or how the attempt has ended.

    `accepted`: the loss in seconds that was allowed when it was handed out. `seen`: the last reading. `looks`: how many
    were made. `let_through`: when its guard let it through. `adrift`: nobody works at it any more, but its request is
    on its way.
    """

    mission: Mission
    order: Perform
    accepted: float
    progress: Progress
    call: Call | Outcome
    seen: Reading | None = None
    looks: int = 0
    let_through: float | None = None
    adrift: bool = False

    @property
    def place(self) -> Next:
        """Which call is next."""
        if isinstance(self.call, Change):
            return "guard" if self.let_through is None else "request"
        return "look" if isinstance(self.call, Look) else "answer"

    @property
    def spec(self) -> ResourceSpec:
        """The resource that it is about."""
        return self.mission.plan.resources[self.order.want.resource]


Flight = Try | Check | LookFor | Claim
"""What was begun and has not answered."""


class Promotion(NamedTuple):
    """A standby became writable, and commits of `lost` seconds went with the old primary; `accepted` were allowed.

    `replaced`: it had been a primary once, and followed none since.
    """

    component: str
    site: str
    lost: float
    accepted: float
    replaced: bool


class Overwritten(NamedTuple):
    """A request took effect on a shared resource that compares, and was no longer what the request was based on."""

    resource: str


class Counted(NamedTuple):
    """By an event it came to count as said by people, or as proven, what did not before."""

    plan: Plan
    event: Event
    before: ExecutionState
    after: ExecutionState


class Past(NamedTuple):
    """What outlives an execution.

    number: of the execution. lawful: component to the one site that may be writable. found: what was the case when the
    execution began. origin: the same, of the first of those that have left something unfinished: what it may say that
    all is as before, once it has claimed the group. disturbed: sites and shared resources that
    something else has changed. reactions: how humans will react when the execution waits for them, in turn.
    """

    number: int
    lawful: Mapping[str, str]
    found: frozenset[tuple[Place | str, str]]
    origin: frozenset[tuple[Place | str, str]]
    disturbed: frozenset[str] = frozenset()
    reactions: tuple[str, ...] = ()


class Heard(NamedTuple):
    """An event of this execution, and all that were heard before it."""

    event: Event
    before: Heard | None


class Rehearsal(NamedTuple):
    """The world, the journal, and one execution under way.

    flights: what was begun and has not answered. strays: attempts whose answer nobody hears any more, and that may go
    on at any time: of workers that were lost, or frozen, or of executions that were terminated.
    promoting: promotion attempts that were issued and have not surely failed.
    The last three are no part of the state: what it is made with, what the last move did, and what led here.
    """

    mission: Mission
    world: World
    journal: GroupRecord
    state: ExecutionState
    flights: tuple[Flight, ...]
    timers: tuple[StartTimer, ...]
    begun: frozenset[str]
    strays: tuple[Try, ...]
    promoting: frozenset[Attempt]
    past: Past
    memory: Memory
    happened: tuple[Try | Promotion | Overwritten | Counted, ...] = ()
    heard: Heard | None = None

    @property
    def plan(self) -> Plan:
        """The plan that runs."""
        return self.mission.plan

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything that this execution has heard, the oldest first."""
        found, heard = list[Event](), self.heard
        while heard:
            found.append(heard.event)
            heard = heard.before
        return tuple(reversed(found))

    def key(self) -> bytes:
        """The same for every equal state."""
        several = (*self.flights, None, *self.timers, None, *self.strays)
        alone = (self.mission, self.world, self.journal, self.state, self.promoting, self.past, self.begun)
        return self.memory.digest_of(alone + several)

    def since(self, **changed: Any) -> Rehearsal:
        """The same with another past."""
        return self._replace(past=self.memory.same(self.past._replace(**changed)))
