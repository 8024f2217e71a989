"""How a state is ensured, call by call: look, change at most once, look again until it is read back.

The table is pure and is driven one call at a time, so that a crash can be placed between any two calls. An error or a
time-out from the change proves nothing: the world is read again, and what stays unclear is Unknown.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from orchestrator.domain.base import Frozen
from orchestrator.domain.errors import GuardRefused, JournalUnavailable, ProviderError, WrongIdentity
from orchestrator.domain.outcome import Done, Failed, Outcome, Refused, Unknown
from orchestrator.domain.world import Evidence, Reading, State, Strength


class Goal(Frozen):
    """What one attempt shall reach.

    `may_be_there`: a first look that shows the state is enough. Never for a fence, a stop or an undo, where a stale
    reading would lie. `identity`: what the check step saw; another one there now is Refused.
    `patience`: seconds for which a first look that sees nothing is repeated.
    """

    resource: str
    desired: State
    may_be_there: bool
    identity: str | None = None
    patience: float = 2.0


class Phase(StrEnum):
    """Where an attempt is."""

    LOOKING = "looking"
    CHANGING = "changing"
    READING_BACK = "reading back"
    IN_DOUBT = "in doubt"


class Progress(Frozen):
    """The state of one attempt. `requested_at`: when the change was accepted, or fell into doubt; `doubt` says why."""

    goal: Goal
    phase: Phase = Phase.LOOKING
    requested_at: float | None = None
    doubt: str = ""
    last: str = "nothing was read yet"


# Calls: what the driver shall do next.


class Look(Frozen):
    """Observe, `after` this many seconds."""

    kind: Literal["look"] = "look"
    after: float = 0.0


class Change(Frozen):
    """Apply once, with the reading just seen."""

    kind: Literal["change"] = "change"


# Replies: what came of it. `at` and `elapsed` in seconds; `elapsed` counts from the attempt's start.


class Saw(Frozen):
    """A reading, begun at `began` (seconds since the epoch)."""

    reading: Reading
    began: float
    elapsed: float


class Blind(Frozen):
    """Nothing could be read; `lasting` where looking again cannot help."""

    why: str
    lasting: bool
    elapsed: float


class Accepted(Frozen):
    """The change was accepted."""

    at: float


class NotSent(Frozen):
    """The change surely had no effect. `refused`: the guard or the adapter would not; else an error."""

    why: str
    refused: bool


class InDoubt(Frozen):
    """The change was sent, or maybe."""

    why: str
    at: float


class TimeUp(Frozen):
    """The attempt's time is over."""


def failed(
    error: ProviderError | GuardRefused | JournalUnavailable, sent: int, went_through: bool, at: float
) -> NotSent | InDoubt:
    """What an error tells of a change (I5). Nothing was done only where nothing had passed its guard, or where the one
    request that did is the one that surely had no effect.

    `sent`: how many requests passed their guards; `went_through`: one of them is known to have had its effect.
    """
    ours = not isinstance(error, ProviderError) or isinstance(error, WrongIdentity)
    surely_not = isinstance(error, ProviderError) and error.surely_not_done and sent == 1 and not went_through
    if sent and not surely_not:
        return InDoubt(why=str(error), at=at)
    return NotSent(why=str(error), refused=ours and not sent)


Call = Look | Change
Reply = Saw | Blind | Accepted | NotSent | InDoubt | TimeUp

GIVE_UP = 10.0
"""Seconds for which a request in doubt may show another definite state before it is left as Unknown: the next method
must not wait out the whole time of one that has failed."""

POLL = 0.1
"""Seconds between two looks."""


def ensure_next(progress: Progress, reply: Reply) -> tuple[Progress, Call | Outcome]:
    """What comes after `reply`: the next call, or how the attempt has ended."""
    match progress.phase:
        case Phase.LOOKING:
            return _looking(progress, reply)
        case Phase.CHANGING:
            return _changing(progress, reply)
        case Phase.READING_BACK | Phase.IN_DOUBT:
            return _reading_back(progress, reply)


def _looking(progress: Progress, reply: Reply) -> tuple[Progress, Call | Outcome]:
    goal = progress.goal
    match reply:
        case Saw(reading=reading) if _another(goal, reading):
            why = f"{goal.resource} is {reading.identity}, but the check saw {goal.identity}: it is not the one meant"
            return progress, Refused(why=why)
        case Saw(reading=reading, began=began) if goal.may_be_there and reading.satisfies(goal.desired):
            return progress, Done(evidence=_evidence(goal, reading, began, None), changed=False)
        case Saw():
            return _to(progress, Phase.CHANGING), Change()
        case Blind(why=why, lasting=False, elapsed=elapsed) if elapsed < goal.patience:
            return progress.model_copy(update={"last": why}), Look(after=POLL)
        case Blind(why=why):
            return progress, Failed(why=f"{goal.resource} could not be read before the change: {why}")
        case _:
            return progress, Failed(why=f"time was up before anything was requested: {progress.last}")


def _changing(progress: Progress, reply: Reply) -> tuple[Progress, Call | Outcome]:
    match reply:
        case Accepted(at=at):
            return _to(progress, Phase.READING_BACK, at), Look()
        case InDoubt(why=why, at=at):
            return _to(progress, Phase.IN_DOUBT, at, why), Look(after=POLL)
        case NotSent(why=why, refused=True):
            return progress, Refused(why=why)
        case NotSent(why=why):
            return progress, Failed(why=why)
        case _:
            return progress, Unknown(why="time was up while the change was being requested")


def _reading_back(progress: Progress, reply: Reply) -> tuple[Progress, Call | Outcome]:
    goal, asked = progress.goal, progress.requested_at
    match reply:
        case Saw(reading=reading) if _another(goal, reading):
            last = f"{reading.identity} answered, but the check saw {goal.identity}"
            return progress.model_copy(update={"last": last}), Look(after=POLL)
        case Saw(reading=reading, began=began) if reading.satisfies(goal.desired) and (asked is None or began >= asked):
            answered = progress.phase is Phase.READING_BACK
            return progress, Done(evidence=_evidence(goal, reading, began, asked), changed=True, answered=answered)
        case Saw(reading=reading, began=began) if _did_not_happen(progress, reading, began):
            still = reading.state(goal.desired.kind)
            return progress, Unknown(why=f"{progress.doubt}; {still} is still read {GIVE_UP:g}s later")
        case Saw(reading=reading):
            seen = "; ".join(str(state) for state in reading.states) or "nothing"
            return progress.model_copy(update={"last": f"last read: {seen}"}), Look(after=POLL)
        case Blind(why=why):
            return progress.model_copy(update={"last": why}), Look(after=POLL)
        case _:
            sent = "accepted" if progress.phase is Phase.READING_BACK else f"sent, or maybe ({progress.doubt}),"
            return progress, Unknown(why=f"{goal.desired} was {sent} but never read back: {progress.last}")


def _another(goal: Goal, reading: Reading) -> bool:
    """True where what was read is surely not the one that the check saw: its word proves nothing."""
    return bool(goal.identity and reading.identity and reading.identity != goal.identity)


def _did_not_happen(progress: Progress, reading: Reading, began: float) -> bool:
    """True where a request in doubt has left another definite state standing; a passing state is waited for."""
    other = reading.state(progress.goal.desired.kind)
    in_doubt = progress.phase is Phase.IN_DOUBT and progress.requested_at is not None
    return in_doubt and other is not None and began > (progress.requested_at or 0.0) + GIVE_UP


def _to(progress: Progress, phase: Phase, requested_at: float | None = None, doubt: str = "") -> Progress:
    return progress.model_copy(update={"phase": phase, "requested_at": requested_at, "doubt": doubt})


def _evidence(goal: Goal, reading: Reading, read_at: float, requested_at: float | None) -> Evidence:
    confirmed = reading.authoritative and (requested_at is not None or goal.may_be_there)
    return Evidence(
        resource=goal.resource,
        state=goal.desired,
        reading=reading,
        strength=Strength.F2 if confirmed else Strength.F1,
        read_at=read_at,
        requested_at=requested_at,
    )
