"""A record folded once, with the moments that the report is built around."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.app.report.model import Wait
from orchestrator.domain.commands import Approve
from orchestrator.domain.engine import fold, start
from orchestrator.domain.plan import Plan
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.state import Event, ExecutionState, Human, Issued, Status


@dataclass(frozen=True)
class Facts:
    """`at_approval`: the state that the first approver saw; where nobody approved, the last one.

    `approved_at`: the first accepted approval. `undo_at`: when putting back began. `ended_at`: the last event that
    counted. `events`: those up to the end; `states`: the one before each of them, and the last.
    """

    record: ExecutionRecord
    events: tuple[Event, ...]
    states: tuple[ExecutionState, ...]
    at_approval: ExecutionState
    approved_at: float | None
    undo_at: float | None
    ended_at: float
    waits: tuple[Wait, ...]

    @property
    def plan(self) -> Plan:
        """The plan that was executed."""
        return self.record.plan

    @property
    def state(self) -> ExecutionState:
        """The state at the end."""
        return self.states[-1]

    @property
    def changed(self) -> bool:
        """True where at least one change was handed to a worker."""
        return any(isinstance(event, Issued) for event in self.events)


def gather(record: ExecutionRecord) -> Facts:
    """The facts of one record."""
    plan = record.plan
    states = [start(plan, record.execution, record.record)]
    counted: list[Event] = []
    for event in record.events:
        if states[-1].finish:
            break
        counted.append(event)
        states.append(fold(plan, states[-1], event))
    if record.finish:  # what was recorded is what happened, even where today's rules would conclude otherwise
        states[-1] = states[-1].model_copy(update={"finish": record.finish})
    approval = next((i for i, event in enumerate(counted) if _approves(event)), None)
    return Facts(
        record=record,
        events=tuple(counted),
        states=tuple(states),
        at_approval=states[-1] if approval is None else states[approval],
        approved_at=None if approval is None else counted[approval].at,
        undo_at=next((state.now for state in states if state.undoing), None),
        ended_at=states[-1].now,
        waits=tuple(sorted((*_approvals(plan, states), *_stuck(states), *_pauses(states)), key=lambda w: w.began)),
    )


def _approves(event: Event) -> bool:
    return isinstance(event, Human) and isinstance(event.command, Approve)


def _approvals(plan: Plan, states: list[ExecutionState]) -> list[Wait]:
    found = []
    for step in plan.of_kind("approve"):
        asked = [
            state.now
            for state in states
            if state.steps[step.id].status is Status.PENDING
            and all(state.steps[before].status in (Status.DONE, Status.SKIPPED) for before in step.after)
        ]
        answered = states[-1].steps[step.id].ended_at
        until = answered if answered is not None else states[-1].now
        if asked and asked[0] < until:
            found.append(Wait(kind="approval", why=step.summary, began=asked[0], ended=until))
    return found


def _stuck(states: list[ExecutionState]) -> list[Wait]:
    """One for each time that it was stuck: `waiting.timer` is new each time."""
    found: dict[str, Wait] = {}
    for state, following in zip(states, [*states[1:], states[-1]], strict=True):
        if state.waiting:
            why, began = state.waiting.why, state.waiting.since
            found[state.waiting.timer] = Wait(kind="decision", why=why, began=began, ended=following.now)
    return list(found.values())


def _pauses(states: list[ExecutionState]) -> list[Wait]:
    found: list[Wait] = []
    since: float | None = None
    for state in states:
        if state.paused and since is None:
            since = state.now
        elif since is not None and (not state.paused or state is states[-1]):
            found.append(Wait(kind="pause", why="paused", began=since, ended=state.now))
            since = None
    return found
