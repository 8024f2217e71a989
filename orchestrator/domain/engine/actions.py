"""What a driver shall do now, read off the state."""

from __future__ import annotations

from typing import TypedDict

from orchestrator.domain.engine.steps import ready, startable
from orchestrator.domain.engine.undoing import next_undo
from orchestrator.domain.ledger import Attempt
from orchestrator.domain.plan import CHANGES, Plan, Step, Want
from orchestrator.domain.resource_ids import component_of
from orchestrator.domain.state import (
    Action,
    Check,
    Claim,
    Condition,
    ExecutionState,
    IsReadable,
    IsState,
    LookFor,
    Perform,
    ReplayedPast,
    StartTimer,
    Undo,
)
from orchestrator.domain.world import ReplicatesFrom, Role, State

NEVER_ALREADY_THERE = frozenset({"fence", "stop", "isolate", "announce"})
"""Kinds that always ask the world to change: a stale reading of a fence would lie, an announcement is the change."""


class _Seen(TypedDict):
    first: bool
    before: State | None
    identity: str | None


UNDO_TIMEOUT = 120.0
UNDO_PATIENCE = 60.0


def next_actions(plan: Plan, state: ExecutionState) -> tuple[Action, ...]:
    """Everything to start now. Timers may be named again while they run: a driver starts each ID once."""
    if state.finish:
        return ()
    if not state.claimed:
        return _before_the_claim(plan, state)
    if state.undoing:
        undo = next_undo(state)
        return () if undo is None else (_undo(state, undo),)
    timers = (
        (StartTimer(id=state.waiting.timer, at=state.waiting.deadline, summary="waiting for a human"),)
        if state.waiting
        else ()
    )
    if state.paused or state.aborted:
        return timers
    return (*timers, *_forward(plan, state))


def _before_the_claim(plan: Plan, state: ExecutionState) -> tuple[Action, ...]:
    steps = ready(plan, state)
    checks = tuple(Check(step=step.id) for step in steps if step.kind == "check")
    if checks:
        return checks
    if "approve" in state.approvals:
        return () if state.paused or state.claim_refused else (Claim(),)
    return tuple(_approval_timer(state, step) for step in steps if step.kind == "approve")


def _approval_timer(state: ExecutionState, step: Step) -> StartTimer:
    timeout = step.gate.timeout if step.gate else 900.0
    since = max((r.ended_at for r in state.steps.values() if r.ended_at), default=state.now)
    return StartTimer(id=f"approval:{step.id}", at=since + timeout, summary="waiting for the approval")


def _forward(plan: Plan, state: ExecutionState) -> tuple[Action, ...]:
    actions: list[Action] = []
    number = state.last_n
    for step in startable(plan, state):
        if step.kind == "approve":
            actions.append(_approval_timer(state, step))
        elif step.kind not in CHANGES:
            actions.append(look_for(state, step))
        else:
            number += 1
            actions.append(_perform(plan, state, step, number))
    return tuple(actions)


def _perform(plan: Plan, state: ExecutionState, step: Step, number: int) -> Perform:
    method = state.steps[step.id].method
    want = step.wants[method]
    believed = step.kind not in NEVER_ALREADY_THERE and not plan.resources[want.resource].stale_reads
    through = f" through {want.resource.partition(':')[2]}" if len(step.wants) > 1 else ""
    return Perform(
        attempt=Attempt(epoch=state.record.epoch, step=step.id, method=method, n=number),
        want=want,
        may_be_there=believed,
        **_seen(state, want),
        timeout=step.timeout,
        patience=step.patience,
        summary=f"{step.summary}{through}",
    )


def _undo(state: ExecutionState, undo: Undo) -> Perform:
    return Perform(
        attempt=Attempt(epoch=state.record.epoch, step=undo.step, method=0, n=state.last_n + 1, undo=True),
        want=undo.want,
        may_be_there=False,
        **_seen(state, undo.want),
        timeout=UNDO_TIMEOUT,
        patience=UNDO_PATIENCE,
        summary=f"undo {undo.step}: {undo.want}",
    )


def _seen(state: ExecutionState, want: Want) -> _Seen:
    reading = state.found.get(want.resource)
    return {
        "first": want.resource not in state.attempted,
        "before": reading.state(want.desired.kind) if reading else None,
        "identity": reading.identity if reading else _of_its_twin(state, want),
    }


def _of_its_twin(state: ExecutionState, want: Want) -> str | None:
    """What a server has to be that the check could not read: the servers of a component are copies of one database."""
    if not isinstance(want.desired, Role | ReplicatesFrom):
        return None
    read = (reading for name, reading in state.found.items() if component_of(name) == want.component)
    return next((r.identity for r in read if r.identity and isinstance(r.state("role"), Role)), None)


def look_for(state: ExecutionState, step: Step) -> LookFor:
    """What a looking step waits to read."""
    resource = step.wants[0].resource if step.wants else step.looks_at[0]
    return LookFor(step=step.id, resource=resource, condition=_condition(state, step), timeout=step.timeout)


def _condition(state: ExecutionState, step: Step) -> Condition:
    if step.kind == "catch_up":
        stopped = state.steps[f"{step.component}.stop"].evidence
        replication = stopped.reading.replication if stopped else None
        written = replication.written if replication else None
        return ReplayedPast(position=written) if written is not None else _never()
    if step.wants:
        return IsState(want=step.wants[0])
    return IsReadable()


def _never() -> Condition:
    """A stop that left no position behind: nothing can be known to be past it."""
    return ReplayedPast(position=2**63)
