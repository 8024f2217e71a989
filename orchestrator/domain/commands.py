"""What a human can say to an execution. Each is one flat object, so that it can be typed into the Temporal UI."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from orchestrator.domain.base import Frozen
from orchestrator.domain.durations import Seconds


class OperatorInput(Frozen):
    """Base of everything that a human types. `EXAMPLE` is shown where the input is wrong."""

    EXAMPLE: ClassVar[str] = "{}"


def person(by: str) -> str:
    """Who is meant by `by`: a name in another spelling is not another person."""
    return " ".join(by.split()).casefold()


class Approve(OperatorInput):
    """Let the execution change the world: names the target site, the plan's hash and the largest loss accepted."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "to": "az-b", "plan": "0123456789ab", "max_loss": "30s"}'

    command: Literal["approve"] = "approve"
    by: str
    to: str
    plan: str
    max_loss: Seconds | None = None


class Abort(OperatorInput):
    """Undo what was done and end, while that is safe."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "reason": "false alarm"}'

    command: Literal["abort"] = "abort"
    by: str
    reason: str = ""


class Pause(OperatorInput):
    """Start no further step; what runs goes on."""

    EXAMPLE: ClassVar[str] = '{"by": "ann"}'

    command: Literal["pause"] = "pause"
    by: str


class Resume(OperatorInput):
    """Go on after a pause."""

    EXAMPLE: ClassVar[str] = '{"by": "ann"}'

    command: Literal["resume"] = "resume"
    by: str


class Retry(OperatorInput):
    """Try a failed step again, from its first method."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "step": "db.fence"}'

    command: Literal["retry"] = "retry"
    by: str
    step: str


class Skip(OperatorInput):
    """Go on without a step. A check, fence, stop or promotion cannot be skipped."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "step": "name.switch", "reason": "changed by hand"}'

    command: Literal["skip"] = "skip"
    by: str
    step: str
    reason: str


class Attest(OperatorInput):
    """Say that a fence holds though no authority confirms it. It counts once two different people have said so."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "step": "db.fence", "reason": "I pulled the power cord of rack 4"}'

    command: Literal["attest"] = "attest"
    by: str
    step: str
    reason: Annotated[str, Field(min_length=8)]


class Escalate(OperatorInput):
    """End now and hand over to humans, with the state of the world and the commands to go on with."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "reason": "vendor called"}'

    command: Literal["escalate"] = "escalate"
    by: str
    reason: str = ""


Command = Annotated[Approve | Abort | Pause | Resume | Retry | Skip | Attest | Escalate, Field(discriminator="command")]

COMMANDS: tuple[type[OperatorInput], ...] = (Approve, Abort, Pause, Resume, Retry, Skip, Attest, Escalate)
