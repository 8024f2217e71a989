"""The report as data: everything that the JSON, the Markdown and the HTML page are rendered from.

Times are seconds since the epoch, durations are seconds. Log positions are written as PostgreSQL writes them (X/Y).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from orchestrator.domain.base import Frozen
from orchestrator.domain.checks import CheckFinding
from orchestrator.domain.loss import Loss
from orchestrator.domain.plan import Kind, PlanMode
from orchestrator.domain.state import End, Status


class Verdict(StrEnum):
    """An objective against what was achieved. UNPROVEN: only a bound is known, and it is above the objective."""

    MET = "met"
    MISSED = "missed"
    UNPROVEN = "not proven"
    NOT_REACHED = "not reached"
    NO_OBJECTIVE = "no objective"
    NOT_APPLICABLE = "not applicable"


PhaseName = Literal["detect", "decide", "act", "verify", "undo"]


class Phase(Frozen):
    """One part of the time. `outage`: the service was down in it, so it counts towards the RTO."""

    name: PhaseName
    began: float
    ended: float
    seconds: float
    outage: bool


class Recovery(Frozen):
    """Time until the service was served again. `achieved` is the sum of the phases that are an outage.

    `at_least`: when the old primary was last alive is not known, so the outage was longer than what is counted.
    """

    target: float | None
    achieved: float | None
    at_least: bool
    verdict: Verdict
    phases: tuple[Phase, ...]
    last_sign_of_life: float | None
    explained: str


class Position(Frozen):
    """Where one database stood. `last_known_by`: who told the last known end of the old primary's log."""

    component: str
    source: str
    target: str
    last_known: str | None
    last_known_by: str
    received: str | None
    replayed: str | None
    timeline_before: int | None
    promoted: str | None
    timeline_promoted: int | None


class DataLoss(Frozen):
    """Committed data that was lost: what the approver was shown, and what was measured after the fence."""

    target: float
    accepted: float | None
    shown: Loss | None
    measured: Loss | None
    verdict: Verdict
    positions: tuple[Position, ...]
    explained: str


class Decision(Frozen):
    """Something that a human said and that was taken. `by` is a claim; `authenticated` tells whether it was proven."""

    at: float
    by: str
    authenticated: bool
    command: str
    about: str
    plan: str | None = None
    max_loss: float | None = None


class EvidenceLine(Frozen):
    """What shows that a step reached its state. `strength`: F0 to F3, or FH where humans vouch for it.

    `sufficient`: strong enough for its step; else the step went on to something else, or stopped.
    """

    step: str
    resource: str
    state: str
    strength: str
    authority: str
    authoritative: bool
    latched: bool
    identity: str | None
    requested_at: float | None
    read_at: float
    changed: bool | None
    attested_by: tuple[str, ...]
    sufficient: bool
    facts: dict[str, str]


class Found(Frozen):
    """What the checks read of a resource, or why nothing."""

    resource: str
    states: str
    authority: str
    identity: str | None
    position: str | None
    error: str


Outcome = Literal["done", "failed", "refused", "unknown", "open"]


class Try(Frozen):
    """One try of a step, or of its undo. `attempt` is set where it could change the world. `open`: it never answered.

    `insufficient`: it ended as done, but with evidence too weak for its step.
    """

    step: str
    kind: Kind
    attempt: str | None
    resource: str
    method: str
    desired: str
    undo: bool
    began: float
    ended: float | None
    outcome: Outcome
    insufficient: bool
    said: str


class Wait(Frozen):
    """A time in which a human was waited for."""

    kind: Literal["approval", "decision", "pause"]
    why: str
    began: float
    ended: float


class StepLine(Frozen):
    """A step of the plan and what became of it."""

    id: str
    kind: Kind
    component: str | None
    site: str | None
    summary: str
    after: tuple[str, ...]
    status: Status
    tries: int
    said: str
    began: float | None
    ended: float | None


class UndoLine(Frozen):
    """A resource that was to be put back to what it was."""

    step: str
    resource: str
    state: str
    status: Status
    said: str


class Doubt(Frozen):
    """A request that may still take effect. `inherited`: an earlier execution sent it."""

    request: str
    attempt: str
    at: float
    inherited: bool


class Moment(Frozen):
    """One sentence of the story."""

    at: float
    text: str
    tone: Literal["plain", "good", "bad", "human"] = "plain"


class Provenance(Frozen):
    """What leads from the report back to what was approved and executed."""

    execution: str
    epoch: int | None
    plan_hash: str
    plan_digest: str
    derivation: str
    runbook_digest: str
    journal: str


class Report(Frozen):
    """One execution, told once. `barrier_at`: when the first promotion was requested; None where none was.

    `weakest_link`: the fence or stop that the promotion leaned on and that carries least.
    `caveats`: what a reader must know before relying on the numbers. `next_commands`: how to go back, or on.
    """

    version: Literal[1] = 1
    group: str
    mode: PlanMode
    source: str
    target: str
    reason: str
    started_by: str
    started_at: float
    ended_at: float
    end: End | None
    why: str
    protected: bool
    recovery: Recovery
    loss: DataLoss
    decisions: tuple[Decision, ...]
    weakest_link: str | None
    caveats: tuple[str, ...]
    next_commands: tuple[str, ...]
    story: tuple[Moment, ...]
    barrier_at: float | None
    waits: tuple[Wait, ...]
    steps: tuple[StepLine, ...]
    tries: tuple[Try, ...]
    undos: tuple[UndoLine, ...]
    evidence: tuple[EvidenceLine, ...]
    found: tuple[Found, ...]
    findings: tuple[CheckFinding, ...]
    doubts: tuple[Doubt, ...]
    provenance: Provenance

    @property
    def direction(self) -> str:
        """`a → b`, or the one site that is worked on."""
        return self.target if self.mode in ("reprotect", "unfence") else f"{self.source} → {self.target}"

    @property
    def moves(self) -> bool:
        """True for a switchover or failover; False for what only mends the group."""
        return self.mode in ("planned", "forced")
