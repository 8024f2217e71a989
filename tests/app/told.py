"""Executions for the report's tests: the recorded ones, and what is hard to provoke, told on by the engine itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from orchestrator.domain.engine import fold, next_actions, start
from orchestrator.domain.outcome import Done, Failed, Outcome, Unknown
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.state import (
    Claimed,
    Ended,
    Event,
    ExecutionState,
    Issued,
    Looked,
    LookFor,
    LookStarted,
    Perform,
    TimerFired,
)
from orchestrator.domain.world import Evidence, Reading, Role, Strength

RECORDS = Path(__file__).parent / "records"
RECORDED = tuple(sorted(path.stem for path in RECORDS.glob("*.json")))

SECONDS_PER_EVENT = 0.4

Answers = Callable[[Perform], Outcome | None]


@cache
def recorded(name: str) -> ExecutionRecord:
    """What tests.app.recording kept under this name."""
    return ExecutionRecord.model_validate_json((RECORDS / f"{name}.json").read_text())


def told_on(
    record: ExecutionRecord, answers: Answers, *later: Callable[[ExecutionState], Event | None]
) -> ExecutionRecord:
    """`record` up to its claim, and from there what the engine does when attempts are answered by `answers`.

    Where that is None an attempt succeeds. Each of `later` is said once nothing is left to do.
    """
    claim = next(i for i, event in enumerate(record.events) if isinstance(event, Claimed))
    teller = _Teller(record.model_copy(update={"events": record.events[: claim + 1], "finish": None}))
    teller.go_on(answers)
    for say in later:
        teller.hear(say(teller.state))
        teller.go_on(answers)
    return teller.record.model_copy(update={"events": tuple(teller.events), "finish": teller.state.finish})


def without_database(record: ExecutionRecord) -> ExecutionRecord:
    """The same of a service that has no database: only what belongs to its name."""
    kept = [step for step in record.plan.steps if step.component != "db"]
    ids = {step.id for step in kept}
    steps = [step.model_copy(update={"after": tuple(name for name in step.after if name in ids)}) for step in kept]
    approved = [
        step.model_copy(update={"after": step.after if step.after or step.kind == "check" else ("approve",)})
        for step in steps
    ]
    plan = record.plan.model_copy(update={"steps": tuple(approved)})
    about = [(event, _step_of(event)) for event in record.events]
    events = tuple(event for event, step in about if step is None or step in ids)
    return record.model_copy(update={"plan": plan, "events": events})


def _step_of(event: Event) -> str | None:
    attempt = getattr(event, "attempt", None)
    return attempt.step if attempt else getattr(event, "step", None)


class _Teller:
    def __init__(self, record: ExecutionRecord) -> None:
        self.record, self.events = record, list(record.events)
        self.state = start(record.plan, record.execution, record.record)
        for event in self.events:
            self.state = fold(record.plan, self.state, event)
        self.clock = self.state.now

    def tick(self) -> float:
        self.clock += SECONDS_PER_EVENT
        return self.clock

    def hear(self, event: Event | None) -> None:
        if event is not None:
            self.events.append(event)
            self.state = fold(self.record.plan, self.state, event)
            self.clock = self.state.now

    def go_on(self, answers: Answers) -> None:
        """Actions are begun together and end one after the other, as they do in parallel."""
        plan = self.record.plan
        while actions := [a for a in next_actions(plan, self.state) if isinstance(a, Perform | LookFor)]:
            begun = self.tick()
            for action in actions:
                if isinstance(action, Perform):
                    self.hear(Issued(attempt=action.attempt, want=action.want, at=begun))
                else:
                    self.hear(LookStarted(step=action.step, at=begun))
            for action in actions:
                self.hear(self.answer(action, answers))

    def answer(self, action: Perform | LookFor, answers: Answers) -> Event:
        if isinstance(action, Perform):
            outcome = answers(action) or self.success(action)
            return Ended(attempt=action.attempt, outcome=outcome, at=self.tick())
        step = self.record.plan.step(action.step)
        seen = self.state.readings.get(action.resource) or Reading(states=(), authority="a probe")
        if step.wants:
            seen = seen.model_copy(update={"states": (step.wants[0].desired,)})
        return Looked(step=action.step, resource=action.resource, reading=seen, why="", at=self.tick())

    def success(self, order: Perform) -> Done:
        told = self.state.readings.get(order.want.resource) or Reading(
            states=(), authority=f"API of {order.want.resource}"
        )
        update = {"states": (order.want.desired,), "authoritative": True, "latched": True}
        if order.want.desired == Role(role="primary") and told.replication:
            update["replication"] = told.replication.model_copy(
                update={"timeline": 9, "written": told.replication.received}
            )
        proof = Evidence(
            resource=order.want.resource, state=order.want.desired, reading=told.model_copy(update=update),
            strength=Strength.F2, requested_at=self.clock, read_at=self.clock + SECONDS_PER_EVENT / 2,
        )  # fmt: skip
        return Done(evidence=proof, changed=True)


def rolled_back() -> ExecutionRecord:
    """The promotion of a switchover is refused before any request: the source serves again."""
    no = Failed(why="no connection came about: nobody listens at 127.0.1.1:54320")
    return told_on(recorded("planned"), lambda order: no if order.attempt.step == "db.promote" else None)


def rollback_stopped() -> ExecutionRecord:
    """The promotion is refused, and then the fence cannot be lifted."""
    no, doubt = Failed(why="nobody listens"), Unknown(why="power on was sent, or maybe but never read back")
    answers = {"db.promote": no}
    return told_on(recorded("forced"), lambda o: doubt if o.attempt.undo else answers.get(o.attempt.step))


def unknown_promote() -> ExecutionRecord:
    """The answer to the promotion is lost: it waits for a human until the time is over."""
    lost = Unknown(why="role primary was sent, or maybe but never read back: connection reset by peer")
    return told_on(
        recorded("forced"),
        lambda order: lost if order.attempt.step == "db.promote" else None,
        lambda state: TimerFired(id=state.waiting.timer, at=state.waiting.deadline) if state.waiting else None,
    )
