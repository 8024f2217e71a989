"""What every driver needs beside the engine itself, so that none of them decides it anew."""

from __future__ import annotations

from orchestrator.domain.engine.actions import look_for
from orchestrator.domain.outcome import Unknown
from orchestrator.domain.plan import Plan
from orchestrator.domain.state import (
    Action,
    Check,
    Claim,
    Ended,
    ExecutionState,
    Issued,
    LookFor,
    LookStarted,
    Perform,
    StartTimer,
    Status,
)


def announced(action: Action, at: float) -> LookStarted | Issued | None:
    """The event to fold before the action is begun; None where it needs none. `at`: seconds since the epoch."""
    match action:
        case Check(step=step) | LookFor(step=step):
            return LookStarted(step=step, at=at)
        case Perform(attempt=attempt, want=want):
            return Issued(attempt=attempt, want=want, at=at)
        case _:
            return None


def once(action: Action) -> str | None:
    """The name under which an action is begun once though the engine names it again; None for all others."""
    match action:
        case Claim():
            return "claim"
        case StartTimer(id=name):
            return name
        case _:
            return None


def interrupted(state: ExecutionState, why: str, at: float) -> tuple[Ended, ...]:
    """For a driver that starts again: the attempts that it lost, each as a worker's that went silent."""
    records = (*state.steps.values(), *state.undone.values())
    lost = [r.attempt for r in records if r.status is Status.RUNNING and r.attempt]
    return tuple(Ended(attempt=attempt, outcome=Unknown(why=why, lost=True), at=at) for attempt in lost)


def unanswered(plan: Plan, state: ExecutionState) -> tuple[Check | LookFor, ...]:
    """For a driver that starts again: the looks that were announced and never answered, to be done now."""
    running = [s for s in plan.steps if state.steps[s.id].status is Status.RUNNING and not state.steps[s.id].attempt]
    return tuple(Check(step=s.id) if s.kind == "check" else look_for(state, s) for s in running)
