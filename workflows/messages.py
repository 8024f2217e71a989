"""What goes into and out of workflows and activities: one frozen model each way."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from orchestrator.domain.audit import Checkpoint
from orchestrator.domain.base import Frozen
from orchestrator.domain.commands import By, OperatorInput, ReasonOrNone
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord
from orchestrator.domain.outcome import Outcome
from orchestrator.domain.plan import Plan, PlanMode, ResourceSpec, Want
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.state import Condition, ExecutionState, Finish, ReadError
from orchestrator.domain.world import Reading, State


class StartRequest(OperatorInput):
    """What every execution is started with.

    `holder_is_gone`: why the one who starts it is certain that the execution which holds the group runs no more.
    """

    runbook: str = Field(min_length=1)
    reason: str = ""
    by: By = "unknown"
    holder_is_gone: ReasonOrNone = ""

    @property
    def word(self) -> str:
        """Who is certain that the holder runs no more, and why; empty where nobody says so."""
        return self.holder_is_gone and f"{self.by}: {self.holder_is_gone}"


class FailoverRequest(StartRequest):
    """Move a protection group to a site. What is typed into the UI's start form."""

    EXAMPLE: ClassVar[str] = '{"runbook": "shop", "to": "az-b", "mode": "forced", "reason": "INC-42", "by": "ann"}'

    to: str = Field(min_length=1)
    mode: Literal["planned", "forced"]


class SiteRequest(StartRequest):
    """Rebuild the standby at a site (`Reprotect`), or lift the fence there (`Unfence`)."""

    EXAMPLE: ClassVar[str] = '{"runbook": "shop", "at": "az-a", "reason": "INC-42", "by": "ann"}'

    at: str = Field(min_length=1)


class PlanRequest(Frozen):
    """Which plan to derive, for whom. `word`: who is certain that the group's holder runs no more, and why."""

    runbook: str
    to: str
    mode: PlanMode
    who: str = "unknown"
    word: str = ""


class Planned(Frozen):
    """The plan, and the group's ledger as it is now."""

    plan: Plan
    record: GroupRecord


class CheckRequest(Frozen):
    """The resources to read, by ID."""

    resources: dict[str, ResourceSpec]


class CheckReply(Frozen):
    """A reading or an error of each."""

    readings: dict[str, Reading]
    errors: dict[str, ReadError]


class LookRequest(Frozen):
    """The resource to read until the condition is met, `timeout` seconds at most. `release`: lift its fence then."""

    resource: ResourceSpec
    condition: Condition
    timeout: float
    group: str
    plan: str
    who: str
    execution: str


class LookReply(Frozen):
    """The last reading; `why` is empty where the condition was met. `superseded`: see `Seen` in the actor."""

    reading: Reading | None
    why: str
    superseded: bool = False


class EffectRequest(Frozen):
    """One attempt to make; times in seconds. `before`, `identity`: what the check saw."""

    resource: ResourceSpec
    attempt: Attempt
    want: Want
    may_be_there: bool
    first: bool
    before: State | None
    identity: str | None
    timeout: float
    patience: float
    group: str
    plan: str
    who: str
    execution: str


class EffectReply(Frozen):
    """How it ended."""

    outcome: Outcome


class ClaimRequest(Frozen):
    """Claim the plan's group and what it changes. `asked_at`: when the checks looked at each resource; `seen`: the
    group's epoch then. `word`: who is certain that its holder runs no more, and why."""

    plan: Plan
    execution: Execution
    asked_at: dict[str, float]
    seen: int
    word: str = ""


class ClaimReply(Frozen):
    """The claimed record, or why it was refused."""

    record: GroupRecord | None
    refused: str = ""


class CloseRequest(Frozen):
    """Release the group, where it was claimed, and keep the record of what happened."""

    record: ExecutionRecord
    epoch: int | None


class CloseReply(Frozen):
    """Where the record is kept. `warning`: what could not be written. `checkpoint`: the audit trail's end now."""

    report: str
    warning: str = ""
    checkpoint: Checkpoint | None = None


class Result(Frozen):
    """What an execution returns. `report`: the name to give to `tideover report`.

    `checkpoint`: where the audit trail ended; Temporal's history keeps it where the journal's host cannot change it.
    """

    end: str
    why: str
    protected: bool
    report: str
    next_commands: tuple[str, ...]
    checkpoint: Checkpoint | None = None


class Snapshot(Frozen):
    """What a query of a running execution answers."""

    plan: Plan | None
    state: ExecutionState | None
    may: dict[str, str]
    finish: Finish | None = None
