"""The plan: a graph of steps derived from a runbook for one direction and mode. What is approved is its hash (I7)."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

from orchestrator.domain.base import Frozen, digest
from orchestrator.domain.catalog import Site
from orchestrator.domain.runbook import Gate, Mode, Objectives
from orchestrator.domain.world import OFF, ON, PRIMARY, STOPPED, Running, State, Strength

DERIVATION = "1"
"""Version of the derivation; part of every hash, so that a new Tideover never runs what an older one had approved."""

PlanMode = Mode | Literal["reprotect", "unfence"]

Kind = Literal[
    "check", "approve", "fence", "stop", "measure", "catch_up", "recheck", "promote", "verify",
    "start", "switch", "announce", "isolate", "rebuild", "release",
]  # fmt: skip

CHANGES: frozenset[Kind] = frozenset({"fence", "stop", "promote", "start", "switch", "announce", "isolate", "rebuild"})
"""The kinds that change the world; the others only look, or ask a human."""

PROVES: frozenset[Kind] = frozenset({"fence", "stop", "measure", "catch_up", "recheck"})
"""The kinds that make up the barrier: a promotion waits for each of them."""

VETOES: frozenset[Kind] = frozenset({"measure", "recheck"})
"""The looks after a fence that may contradict it: made just before the promotion, and anew after every human's word."""

CUTS: frozenset[Kind] = frozenset({"fence", "stop", "isolate"})
"""The kinds that cut a site off: what two people can vouch for where no authority confirms it (FH)."""

NO_JOURNAL = "none"
"""What stands for the journal's identity in a plan that is only looked at."""

SAFETY: frozenset[Kind] = PROVES | {"check", "approve", "promote", "isolate"}
"""The kinds of which a skipped one would open a barrier without evidence (I2)."""


def start_command(group: str, mode: PlanMode, to: str) -> str:
    """What is typed to start such an execution."""
    match mode:
        case "reprotect":
            return f"tideover failback {group} --reprotect-only"
        case "unfence":
            return f"tideover unfence {group} --at {to}"
        case _:
            return f"tideover run {group} --to {to} --mode {mode}"


class ResourceSpec(Frozen):
    """One resource as the plan knows it: enough to build its adapter anywhere, and nothing secret (I14).

    `thing`: what it is in the world, the same in every runbook that names it (I6).
    `controller`: of a fence method, what carries it out; empty where that is not known.
    """

    id: str
    type: str
    thing: str
    controller: str = ""
    component: str
    site: str | None
    settings: dict[str, Any]
    places: dict[str, dict[str, Any]]
    sites: dict[str, Site]
    credentials: str | None = None
    late_effect: float | None = None
    compare_and_set: bool = False
    stale_reads: bool = False

    @property
    def key(self) -> str:
        """The name under which groups exclude each other: the type and the thing."""
        return f"{self.type}/{self.thing}"


class Want(Frozen):
    """A resource shall be in a state."""

    resource: str
    component: str
    site: str | None
    desired: State

    @property
    def activates(self) -> bool:
        """True where this could let a site accept writes."""
        return self.desired in (ON, PRIMARY, Running(running=True))

    @property
    def deactivates(self) -> bool:
        """True where this takes the power to accept writes away from a site."""
        return self.desired in (OFF, STOPPED, Running(running=False))

    def __str__(self) -> str:
        return f"{self.resource}: {self.desired}"


class Step(Frozen):
    """One node of the plan. `wants` are tried in order: the next only when one is not confirmed.

    `timeout`: seconds for one attempt. `patience`: seconds for which a first look that cannot see anything is repeated.
    `looks_at`: what a step that only reads, reads. `touches`: resources whose state the effect takes along, such as the
    server on a machine that is powered off; undo restores them as well. `needs_strength`: the weakest evidence that
    counts as done.
    """

    id: str
    kind: Kind
    component: str | None
    site: str | None
    after: tuple[str, ...]
    summary: str
    wants: tuple[Want, ...] = ()
    looks_at: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    timeout: float = 60.0
    patience: float = 2.0
    needs_strength: Strength = Strength.F0
    needs_latch: bool = False
    gate: Gate | None = None


class Plan(Frozen):
    """A runbook made concrete. `source` and `target` are sites; for `reprotect` the target is the site rebuilt."""

    group: str
    mode: PlanMode
    source: str
    target: str
    objectives: Objectives
    waiting: float
    steps: tuple[Step, ...]
    resources: dict[str, ResourceSpec]
    runbook_digest: str
    journal: str
    derivation: str = DERIVATION

    def step(self, step_id: str) -> Step:
        """The step of this id. Raises LookupError naming it."""
        for step in self.steps:
            if step.id == step_id:
                return step
        msg = f"the plan has no step {step_id!r}"
        raise LookupError(msg)

    def of_kind(self, *kinds: Kind) -> tuple[Step, ...]:
        """The steps of these kinds, in plan order."""
        return tuple(step for step in self.steps if step.kind in kinds)

    @property
    def moves(self) -> bool:
        """True where the service goes to another site."""
        return self.mode in ("planned", "forced")

    def skippable(self, step: Step) -> bool:
        """True where a human may go on without the step. What a rebuild or an unfence is for is all that it does: with
        any of it left out, its end would say what is not so (I4)."""
        return self.moves and step.kind not in SAFETY

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the whole plan, in hex."""
        return digest(self.model_dump(mode="json"))

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the digest: what an approval must name."""
        return self.digest[:12]
