"""Which faults there are to try: generated from the compiled plans of the lab's runbook, as plain values.

A schedule is a line of text that reads like what happens, and is all that it takes to do it again:

    forced reprotect failback:db.stop/guarded/worker-killed,db.promote/ended/server-killed
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from orchestrator.app.registry import catalog
from orchestrator.domain.derivation import derive
from orchestrator.domain.plan import CHANGES, NO_JOURNAL, Plan, PlanMode, Step
from orchestrator.domain.runbook import Runbook
from tests.e2e.lab import description
from tests.e2e.lab.network import Numbering
from tests.e2e.lab.world import Lab

Word = TypeVar("Word")

Moment = Literal["begun", "looked", "guarded", "guarded-again", "asked", "ended"]
"""Handed to a worker, nothing done; looked at the world, the guard not yet asked; the guard has passed and the request
stands in the ledger, unsent; the same before the second of several requests; the world was asked, nothing read back;
the answer is in the ledger, Temporal not told."""

Fault = Literal["worker-killed", "worker-frozen", "server-killed", "provider-cut", "database-lost"]

FAULTS: tuple[Fault, ...] = get_args(Fault)
SECONDS: dict[Fault, float] = {
    "worker-killed": 6, "worker-frozen": 10, "server-killed": 2, "provider-cut": 4, "database-lost": 12,
}  # fmt: skip
"""What a fault costs, about: the cheaper are chosen more often where any would do."""
CHANGING: tuple[Moment, ...] = ("looked", "guarded", "asked", "ended")
REBUILDING: tuple[Moment, ...] = ("looked", "guarded", "guarded-again", "asked", "ended")
LOOKING: tuple[Moment, ...] = ("begun", "looked", "ended")
RECORDING: tuple[Moment, ...] = ("begun", "ended")
"""The moments of a step that changes the world, of one that does so by several requests, of one that looks at it, and
of one that touches the journal alone."""

PLAN, CLOSE = "plan", "close"
"""What an execution does before the plan's first step and after its last."""

LegName = Literal["forced", "planned", "forced-aborted", "planned-aborted", "reprotect", "failback"]
LEGS: dict[LegName, tuple[PlanMode, str]] = {
    "forced": ("forced", "cloud"),
    "planned": ("planned", "cloud"),
    "forced-aborted": ("forced", "cloud"),
    "planned-aborted": ("planned", "cloud"),
    "reprotect": ("reprotect", "dc"),
    "failback": ("planned", "dc"),
}
"""Each kind of execution: its mode and the site that it is for."""

WAY_TO: dict[LegName, tuple[LegName, ...]] = {
    "forced": (),
    "planned": (),
    "forced-aborted": (),
    "planned-aborted": (),
    "reprotect": ("forced",),
    "failback": ("planned", "reprotect"),
}
"""What has to be done before it can be. Only after a failover by force has a reprotect a machine to power on."""

ABORTED_AFTER: dict[LegName, str] = {"forced-aborted": "db.fence", "planned-aborted": "db.stop"}
"""The step after which a human aborts it: it is undone, and nothing follows."""
UNDO = ".undo"
"""What stands behind a step where its undo is meant."""


@dataclass(frozen=True, order=True)
class Injection:
    """One fault, when a worker has come to this moment of this step, or of its undo."""

    step: str
    moment: Moment
    fault: Fault

    def __str__(self) -> str:
        return f"{self.step}/{self.moment}/{self.fault}"


@dataclass(frozen=True)
class Leg:
    """One execution, and what goes wrong in it."""

    name: LegName
    injections: tuple[Injection, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}:{','.join(map(str, self.injections))}" if self.injections else self.name


@dataclass(frozen=True)
class Schedule:
    """Executions, one after the other."""

    legs: tuple[Leg, ...]

    def __str__(self) -> str:
        return " ".join(map(str, self.legs))

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """The schedule that reads so. Raises ValueError naming the word that is wrong, and what would be right."""
        return cls(tuple(_leg(word) for word in text.split()))


def to(name: LegName, *injections: Injection) -> Schedule:
    """The faults in this execution, and an undisturbed way to it."""
    return Schedule((*map(Leg, WAY_TO[name]), Leg(name, injections)))


def plans() -> dict[LegName, Plan]:
    """What the lab's runbook compiles to, for each kind of execution."""
    lab = Lab(Path("nothing is built"))
    lab.lay_out(Numbering(1))
    runbook, known = Runbook.model_validate(description.runbook(lab)), catalog()
    return {name: derive(runbook, known, site, mode, NO_JOURNAL) for name, (mode, site) in LEGS.items()}


def injections(name: LegName, plan: Plan) -> tuple[Injection, ...]:
    """Every (step, moment, fault) of this execution. What is aborted is struck while it is undone, since up to there it
    is like any other. Only what has a provider can lose the connection to it; what looks once more at a machine that
    was fenced has lost it by then."""
    unconnected = {PLAN, CLOSE, *(step.id for step in plan.of_kind("approve", "recheck"))}
    return tuple(
        Injection(step, moment, fault)
        for step, moment in _stops(name, plan)
        for fault in FAULTS
        if fault != "provider-cut" or step not in unconnected
    )


def _stops(name: LegName, plan: Plan) -> list[tuple[str, Moment]]:
    if undone := ABORTED_AFTER.get(name):
        return [(undone + UNDO, moment) for moment in ("begun", *CHANGING)]
    stops = [(PLAN, moment) for moment in RECORDING]
    stops += [(step.id, moment) for step in plan.steps for moment in moments(step)]
    return stops + [(CLOSE, moment) for moment in RECORDING]


def moments(step: Step) -> tuple[Moment, ...]:
    """Where a worker can be in this step. What follows an approval at once is the claim, in the journal."""
    if step.kind == "approve":
        return RECORDING
    if step.kind == "rebuild":
        return REBUILDING
    return CHANGING if step.kind in CHANGES else LOOKING


def every(of: Mapping[LegName, Plan]) -> tuple[Schedule, ...]:
    """One schedule for each injection into each plan."""
    return tuple(to(name, injection) for name, plan in of.items() for injection in injections(name, plan))


def sample(of: Mapping[LegName, Plan], seed: int, at_most: int = 5) -> tuple[Schedule, ...]:
    """Few schedules in which each step of each plan has a fault, and each fault strikes at each moment that it can.

    At most so many faults share an execution, each in another step. Of equals, `seed` decides.
    """
    chance = random.Random(seed)
    found = []
    used: defaultdict[tuple[Moment, Fault], float] = defaultdict(float)
    for name, plan in of.items():
        candidates = list(injections(name, plan))
        chance.shuffle(candidates)
        chosen: list[Injection] = []
        for step in dict.fromkeys(injection.step for injection in injections(name, plan)):
            fitting = [injection for injection in candidates if injection.step == step]
            chosen.append(min(fitting, key=lambda injection: used[injection.moment, injection.fault]))
            used[chosen[-1].moment, chosen[-1].fault] += SECONDS[chosen[-1].fault]
        chance.shuffle(chosen)
        found += [to(name, *_in_order(name, plan, chosen[at : at + at_most])) for at in range(0, len(chosen), at_most)]
    return tuple(found)


def drawn(of: Mapping[LegName, Plan], seed: int) -> Schedule:
    """A random way through the executions, with one to three faults in each of some."""
    chance = random.Random(seed)
    ways: list[tuple[LegName, ...]] = [("forced",), ("planned",), ("forced", "reprotect")]
    ways += [("forced-aborted",), ("planned-aborted",)]
    ways += [("forced", "reprotect", "failback"), ("planned", "reprotect", "failback")]
    way = chance.choice(ways)
    hit = chance.sample(range(len(way)), chance.randint(1, len(way)))
    legs = []
    for at, name in enumerate(way):
        count = chance.randint(1, 3) if at in hit else 0
        legs.append(Leg(name, _in_order(name, of[name], chance.sample(injections(name, of[name]), count))))
    return Schedule(tuple(legs))


def _in_order(name: LegName, plan: Plan, chosen: Iterable[Injection]) -> tuple[Injection, ...]:
    order = {injection: at for at, injection in enumerate(injections(name, plan))}
    return tuple(sorted(chosen, key=order.__getitem__))


def _leg(word: str) -> Leg:
    name, _, rest = word.partition(":")
    return Leg(_one_of(name, get_args(LegName)), tuple(_injection(text) for text in rest.split(",") if text))


def _injection(text: str) -> Injection:
    step, moment, fault = (*text.split("/"), "", "")[:3]
    return Injection(step, _one_of(moment, get_args(Moment)), _one_of(fault, get_args(Fault)))


def _one_of(word: str, known: tuple[Word, ...]) -> Word:
    for right in known:
        if right == word:
            return right
    msg = f"{word!r} in a schedule: it has to be one of {', '.join(map(str, known))}"
    raise ValueError(msg)
