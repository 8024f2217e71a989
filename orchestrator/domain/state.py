"""The state of one execution: values only, folded from events by the engine."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from orchestrator.domain.base import Frozen
from orchestrator.domain.commands import Approve, Command
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord
from orchestrator.domain.loss import Loss
from orchestrator.domain.outcome import Outcome
from orchestrator.domain.plan import Want
from orchestrator.domain.world import Evidence, Reading, State


class Status(StrEnum):
    """Where a step, or an undo, is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNKNOWN = "unknown"


class End(StrEnum):
    """How every execution ends (I4)."""

    SUCCEEDED = "SUCCEEDED"
    REFUSED = "REFUSED"
    ROLLED_BACK = "ROLLED_BACK"
    ABORTED_SAFE = "ABORTED_SAFE"
    NEEDS_HUMAN = "NEEDS_HUMAN"

    @property
    def clean(self) -> bool:
        """True where nothing is left to undo."""
        return self is not End.NEEDS_HUMAN


class ReadError(Frozen):
    """A resource that could not be read. `lasting`: a wrong credential, name or setting; waiting does not mend it."""

    error: str
    why: str
    lasting: bool


# Conditions that a looking step waits for.


class IsState(Frozen):
    """The reading satisfies the want's state."""

    kind: Literal["is_state"] = "is_state"
    want: Want


class ReplayedPast(Frozen):
    """The standby has replayed past this position: past the source's shutdown checkpoint, not merely up to it."""

    kind: Literal["replayed_past"] = "replayed_past"
    position: int


class IsReadable(Frozen):
    """Any reading will do; what it means is decided by the engine."""

    kind: Literal["is_readable"] = "is_readable"


Condition = Annotated[IsState | ReplayedPast | IsReadable, Field(discriminator="kind")]


def met(condition: Condition, reading: Reading) -> bool:
    """True where the reading shows what is waited for."""
    match condition:
        case IsState(want=want):
            return reading.satisfies(want.desired)
        case ReplayedPast(position=position):
            replayed = reading.replication.replayed if reading.replication else None
            return replayed is not None and replayed > position
        case IsReadable():
            return True


# Events: everything that the engine learns. `at`: seconds since the epoch.


class Checked(Frozen):
    """A check step has looked at all its resources."""

    kind: Literal["checked"] = "checked"
    step: str
    readings: dict[str, Reading]
    errors: dict[str, ReadError]
    at: float


class LookStarted(Frozen):
    """A check or a looking step has begun."""

    kind: Literal["look_started"] = "look_started"
    step: str
    at: float


class Looked(Frozen):
    """A looking step has its reading, or `why` not. `superseded`: the execution does not hold the group any more."""

    kind: Literal["looked"] = "looked"
    step: str
    resource: str
    reading: Reading | None
    why: str
    superseded: bool = False
    at: float


class Issued(Frozen):
    """An attempt was handed to a worker; from here on it may have taken effect."""

    kind: Literal["issued"] = "issued"
    attempt: Attempt
    want: Want
    at: float


class Ended(Frozen):
    """An attempt has answered. A lost worker is an Unknown."""

    kind: Literal["ended"] = "ended"
    attempt: Attempt
    outcome: Outcome
    at: float


class Claimed(Frozen):
    """The group is ours, with what it remembers."""

    kind: Literal["claimed"] = "claimed"
    record: GroupRecord
    at: float


class ClaimRefused(Frozen):
    """The group is not ours."""

    kind: Literal["claim_refused"] = "claim_refused"
    why: str
    at: float


class Human(Frozen):
    """A human said something that was admitted."""

    kind: Literal["human"] = "human"
    command: Command
    at: float


class TimerFired(Frozen):
    """A timer that the engine asked for is over."""

    kind: Literal["timer_fired"] = "timer_fired"
    id: str
    at: float


Event = Annotated[
    Checked | LookStarted | Looked | Issued | Ended | Claimed | ClaimRefused | Human | TimerFired,
    Field(discriminator="kind"),
]


# Actions: what a driver shall do.


class Check(Frozen):
    """Read every resource of the step."""

    step: str


class LookFor(Frozen):
    """Read the resource until the condition is met or the time is over."""

    step: str
    resource: str
    condition: Condition
    timeout: float


class Claim(Frozen):
    """Claim the group for this execution."""


class Perform(Frozen):
    """Ensure the want; fold `Issued` first. `before` and `identity`: what the check saw of the resource.

    `first`: no earlier attempt of this execution can still be under way for the resource.
    """

    attempt: Attempt
    want: Want
    may_be_there: bool
    first: bool
    before: State | None
    identity: str | None
    timeout: float
    patience: float
    summary: str


class StartTimer(Frozen):
    """Fire `id` at this time (seconds since the epoch). `summary`: what ends then, for the one who watches."""

    id: str
    at: float
    summary: str


Action = Check | LookFor | Claim | Perform | StartTimer


class StepRecord(Frozen):
    """What has become of one step, or of one undo. `said` is one line for a human; `method` counts from 0."""

    status: Status = Status.PENDING
    method: int = 0
    tries: int = 0
    attempt: Attempt | None = None
    outcome: Outcome | None = None
    evidence: Evidence | None = None
    said: str = ""
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def took(self) -> float | None:
        """Seconds from its start to its end; None where it has not ended, also since it was begun anew."""
        if not self.started_at or not self.ended_at or self.ended_at < self.started_at:
            return None
        return self.ended_at - self.started_at


class Undo(Frozen):
    """A resource to put back to what it was, after the step that touched it."""

    step: str
    want: Want


class Waiting(Frozen):
    """The execution is stuck and asks a human. `timer` fires at `deadline`; `loss`: set where that is the question."""

    why: str
    steps: tuple[str, ...]
    since: float
    deadline: float
    timer: str
    loss: Loss | None = None


class Finish(Frozen):
    """The end. `next_commands`: what to type to go on. `protected`: a standby replicates again."""

    end: End
    why: str
    next_commands: tuple[str, ...] = ()
    protected: bool = False


class ExecutionState(Frozen):
    """Everything known of one execution. `found`: what the checks read; `readings`: the newest of each resource.

    `loss_shown`: what a promotion would have lost when it was approved; `loss_measured`: the same after the fence.
    """

    execution: Execution
    record: GroupRecord
    steps: dict[str, StepRecord]
    found: dict[str, Reading] = Field(default_factory=dict)
    readings: dict[str, Reading] = Field(default_factory=dict)
    read_at: dict[str, float] = Field(default_factory=dict)
    errors: dict[str, ReadError] = Field(default_factory=dict)
    approvals: dict[str, Approve] = Field(default_factory=dict)
    loss_shown: Loss | None = None
    loss_measured: Loss | None = None
    attestations: dict[str, tuple[Command, ...]] = Field(default_factory=dict)
    claimed: bool = False
    claim_refused: str | None = None
    paused: bool = False
    aborted: str | None = None
    undoing: str | None = None
    undos: tuple[Undo, ...] = ()
    undone: dict[str, StepRecord] = Field(default_factory=dict)
    waiting: Waiting | None = None
    waits: int = 0
    last_n: int = 0
    attempted: frozenset[str] = frozenset()
    now: float = 0.0
    checked_at: float | None = None
    finish: Finish | None = None

    @property
    def asked_at(self) -> dict[str, float]:
        """When each resource was looked at last, whether or not it answered: what settles the doubts that are older."""
        return {**dict.fromkeys(self.errors, self.checked_at or 0.0), **self.read_at}
