"""What a human can say to an execution. Each is one flat object, so that it can be typed into the Temporal UI."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from orchestrator.domain.base import Frozen
from orchestrator.domain.durations import Seconds


class OperatorInput(Frozen):
    """Base of everything that a human types. `EXAMPLE` is shown where the input is wrong."""

    EXAMPLE: ClassVar[str] = "{}"


MIN_REASON = 8
"""Letters that a reason has on which something is taken for certain."""


def named(by: str) -> str:
    """The name of who speaks. Raises ValueError where it names nobody, or has letters that nobody sees: with one of
    them a person could be taken for two."""
    if not by.strip():
        msg = "Nobody is named: say who you are"
        raise ValueError(msg)
    if not by.isprintable():
        msg = f"Letters that cannot be seen stand in {by!a}: write the name without them"
        raise ValueError(msg)
    return by


def weighed(reason: str) -> str:
    """The reason on which something is taken for certain. Raises ValueError where it is none."""
    if len(reason.strip()) < MIN_REASON:
        msg = f"Fewer than {MIN_REASON} letters: say what makes you certain"
        raise ValueError(msg)
    return reason


def weighed_or_none(reason: str) -> str:
    """The same, or empty where nothing is taken for certain. Raises ValueError."""
    return reason and weighed(reason)


By = Annotated[str, AfterValidator(named)]
Reason = Annotated[str, AfterValidator(weighed)]
ReasonOrNone = Annotated[str, AfterValidator(weighed_or_none)]


def person(by: str) -> str:
    """Who is meant by `by`: a name in another spelling is not another person."""
    return " ".join(unicodedata.normalize("NFKC", by).split()).casefold()


def enough(vouching: Iterable[str]) -> bool:
    """True where two different people vouch (FH)."""
    return len(set(map(person, vouching))) >= 2


class Approve(OperatorInput):
    """Let the execution change the world: names the target site, the plan's hash and the largest loss accepted."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "to": "az-b", "plan": "0123456789ab", "max_loss": "30s"}'

    command: Literal["approve"] = "approve"
    by: By
    to: str
    plan: str
    max_loss: Seconds | None = None


class Abort(OperatorInput):
    """Undo what was done and end, while that is safe."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "reason": "false alarm"}'

    command: Literal["abort"] = "abort"
    by: By
    reason: str = ""


class Pause(OperatorInput):
    """Start no further step; what runs goes on."""

    EXAMPLE: ClassVar[str] = '{"by": "ann"}'

    command: Literal["pause"] = "pause"
    by: By


class Resume(OperatorInput):
    """Go on after a pause."""

    EXAMPLE: ClassVar[str] = '{"by": "ann"}'

    command: Literal["resume"] = "resume"
    by: By


class Retry(OperatorInput):
    """Try a failed step again, from its first method."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "step": "db.fence"}'

    command: Literal["retry"] = "retry"
    by: By
    step: str


class Skip(OperatorInput):
    """Go on without a step. A check, fence, stop or promotion cannot be skipped."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "step": "name.switch", "reason": "changed by hand"}'

    command: Literal["skip"] = "skip"
    by: By
    step: str
    reason: str


class Attest(OperatorInput):
    """Say that a fence holds though no authority confirms it. It counts once two different people have said so."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "step": "db.fence", "reason": "I pulled the power cord of rack 4"}'

    command: Literal["attest"] = "attest"
    by: By
    step: str
    reason: Reason


class Escalate(OperatorInput):
    """End now and hand over to humans, with the state of the world and the commands to go on with."""

    EXAMPLE: ClassVar[str] = '{"by": "ann", "reason": "vendor called"}'

    command: Literal["escalate"] = "escalate"
    by: By
    reason: str = ""


Command = Annotated[Approve | Abort | Pause | Resume | Retry | Skip | Attest | Escalate, Field(discriminator="command")]

COMMANDS: tuple[type[OperatorInput], ...] = (Approve, Abort, Pause, Resume, Retry, Skip, Attest, Escalate)
