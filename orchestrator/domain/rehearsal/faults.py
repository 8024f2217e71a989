"""What can go wrong with one call of an attempt, and where it makes a difference."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.domain.ensure import Phase
from orchestrator.domain.errors import ProviderError
from orchestrator.domain.plan import CUTS
from orchestrator.domain.rehearsal.model import World, is_server, stale
from orchestrator.domain.rehearsal.values import Rehearsal, Try
from orchestrator.domain.state import ExecutionState
from orchestrator.domain.world import Reading, Replication

OTHER = "another one"
"""The identity of what answers in the place of what was meant."""


class Fault(StrEnum):
    """What can go wrong with one call of an attempt."""

    NONE = "goes well"
    # a look
    BLIND = "sees nothing, and time is up"
    STALE = "sees what was a moment ago"
    UNLATCHED = "reads it back, but not latched"
    HEARSAY = "reads it back, but not by an authority"
    ANOTHER = "is answered by another one, which is as this one should be"
    # the guard
    NO_JOURNAL = "cannot reach the journal and lets nothing through"
    WRITTEN = "writes the journal, never learns of it, and lets nothing through"
    # the request
    REJECTED = "is rejected"
    UNANSWERED = "takes effect, the answer is lost"
    LATE = "is accepted, and takes effect later or never"
    LATE_UNANSWERED = "gets no answer, and takes effect later or never"
    # the answer
    NOT_KEPT = "is heard, but cannot be written to the journal"


FAULTS: dict[str, tuple[Fault, ...]] = {
    "look": (Fault.BLIND, Fault.STALE, Fault.UNLATCHED, Fault.HEARSAY, Fault.ANOTHER),
    "guard": (Fault.NO_JOURNAL, Fault.WRITTEN),
    "request": (Fault.REJECTED, Fault.UNANSWERED, Fault.LATE, Fault.LATE_UNANSWERED),
    "answer": (Fault.NOT_KEPT,),
}
"""The faults of each call."""


def possible(now: Rehearsal, attempt: Try, fault: Fault) -> bool:
    """True where the fault would make a difference to the attempt's next call."""
    reading_back = attempt.progress.phase is not Phase.LOOKING
    match fault:
        case Fault.STALE:
            # After a request every reading that was begun before it is stale, whatever the type.
            lags = reading_back or attempt.spec.stale_reads
            return lags and now.memory.of(_differs, now.world, attempt)
        case Fault.UNLATCHED | Fault.HEARSAY:
            order = attempt.order.attempt
            return reading_back and not order.undo and attempt.mission.plan.step(order.step).kind in CUTS
        case Fault.ANOTHER:
            return is_server(attempt.spec) and _known(now.state, attempt)
    return True


def _known(state: ExecutionState, attempt: Try) -> bool:
    """True where the checks have seen who it is, at this site or the other: a database is the same at both."""
    resources, component = attempt.mission.plan.resources, attempt.spec.component
    return any(reading.identity and resources[name].component == component for name, reading in state.found.items())


def _differs(world: World, attempt: Try) -> bool:
    try:
        return stale(world, attempt.spec) is not None
    except ProviderError:
        return False


def another(attempt: Try) -> Reading:
    """What answers in its place: it is as this one should be, and its log has just begun."""
    return Reading(
        states=(attempt.progress.goal.desired,),
        authority=attempt.spec.id,
        authoritative=True,
        latched=True,
        identity=OTHER,
        replication=Replication(timeline=1, written=0),
    )
