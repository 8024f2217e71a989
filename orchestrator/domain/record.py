"""One execution as it happened: what the report is made of, kept in the journal when it ends."""

from __future__ import annotations

from orchestrator.domain.base import Frozen
from orchestrator.domain.engine import fold, start
from orchestrator.domain.ledger import Execution, GroupRecord
from orchestrator.domain.plan import Plan
from orchestrator.domain.state import Event, ExecutionState, Finish


class ExecutionRecord(Frozen):
    """The plan, every event, and the end. `record`: the group's ledger as the execution found it."""

    plan: Plan
    execution: Execution
    reason: str
    record: GroupRecord
    events: tuple[Event, ...]
    finish: Finish | None = None

    def state(self) -> ExecutionState:
        """The state that the events fold to."""
        state = start(self.plan, self.execution, self.record)
        for event in self.events:
            state = fold(self.plan, state, event)
        return state
