"""The break-glass driver: performs the engine's actions in threads of this process and folds what comes back.

It knows no rule: order is the engine's, what a human may say is `admission`'s, who may send a request is the ledger's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol

from orchestrator.app.break_glass.kept import Kept
from orchestrator.domain.admission import refusal
from orchestrator.domain.commands import Command
from orchestrator.domain.engine import fold, next_actions
from orchestrator.domain.engine.driving import announced, interrupted, once, unanswered
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.ledger import Execution, Gone
from orchestrator.domain.outcome import Unknown
from orchestrator.domain.plan import Plan
from orchestrator.domain.state import (
    Action,
    Check,
    Checked,
    Claimed,
    ClaimRefused,
    Ended,
    Event,
    ExecutionState,
    Human,
    Looked,
    LookFor,
    Perform,
    ReadError,
    StartTimer,
    TimerFired,
)
from orchestrator.runtime import audit
from orchestrator.runtime.actor import Actor, Closed, Mandate

LOST = "the process that did it was lost"


class Operator(Protocol):
    """Who sees the execution and speaks to it."""

    def show(self, plan: Plan, state: ExecutionState) -> None:
        """The state stands on the screen."""

    def decides(self, plan: Plan, state: ExecutionState) -> Command | None:
        """What was decided beforehand and is due now; None where nothing is."""

    def said(self, line: str, plan: Plan, state: ExecutionState) -> Command | None:
        """The command that a typed line means; None where it means none, which was answered."""

    def answered(self, command: Command, refused: str | None) -> None:
        """The command was taken, or refused with this reason."""


class Left(Exception):
    """The person at the terminal has left the execution as it is."""


@dataclass
class Driver:
    """One execution in this process. `gone`: who held the group and runs no more, by a human's word."""

    actor: Actor
    kept: Kept
    operator: Operator
    gone: Gone | None = None
    state: ExecutionState = field(init=False)
    _inbox: SimpleQueue[Event | str] = field(default_factory=SimpleQueue, init=False)
    _timers: dict[str, float] = field(default_factory=dict, init=False)
    _begun: set[str] = field(default_factory=set, init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _running: set[Future[None]] = field(default_factory=set, init=False)
    _leaving: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.state = self.kept.as_record(None).state()
        self._threads = ThreadPoolExecutor(max_workers=100, thread_name_prefix="action")

    @property
    def plan(self) -> Plan:
        """The plan that is executed."""
        return self.kept.head.plan

    def hear(self, line: str) -> None:
        """The line will be taken as a command. May be called from any thread."""
        self._inbox.put(line)

    def leave(self) -> None:
        """`run` raises Left where nothing is half begun or half kept. May be called from a signal's handler."""
        self._leaving = True
        self._inbox.put("")

    def run(self) -> Closed:
        """The execution driven to its end, and what is left of it. Raises TakenOver, and Left.

        Where the process was killed before: what it had begun and not answered counts as lost, and is looked at anew.
        """
        try:
            self._drive()
        finally:
            self._stop.set()  # what was not sent yet is not sent any more
        if not self.state.claimed:
            wait(self._running)  # a claim under way may yet stand in the journal, and is released then
        epoch = self.state.record.epoch if self.state.claimed else None
        return self.actor.closed(self.kept.as_record(self.state.finish), epoch)

    def _drive(self) -> None:
        if not self.state.finish:
            self._pick_up()
        while not self.state.finish:
            for action in next_actions(self.plan, self.state):
                self._begin(action)
            self.operator.show(self.plan, self.state)
            for item in self._next():
                self._take(item)
            if self._leaving and not self.state.finish:
                raise Left
        self.operator.show(self.plan, self.state)

    def _pick_up(self) -> None:
        """What an earlier process had begun and not answered is lost, and its looks are done now."""
        for event in interrupted(self.state, LOST, time.time()):
            self._fold(event)
        for look in unanswered(self.plan, self.state):
            self._start(look)

    def stop(self) -> None:
        """Nothing new is begun; what was sent has answered, and its answer is kept."""
        self._stop.set()
        while any(not done.done() for done in self._running) or not self._inbox.empty():
            for item in self._next(until=time.time() + 0.5):
                if not isinstance(item, str):
                    self._fold(item)

    def _begin(self, action: Action) -> None:
        name = once(action)
        if name in self._begun:
            return
        self._begun |= {name} if name else set()
        if announcement := announced(action, time.time()):
            self._fold(announcement)
        self._start(action)

    def _start(self, action: Action) -> None:
        if isinstance(action, StartTimer):
            self._timers[action.id] = action.at
            return
        state = self.state
        running = self._threads.submit(lambda: self._inbox.put(self._done(action, state)))
        self._running = {other for other in self._running if not other.done()} | {running}

    def _next(self, until: float | None = None) -> Iterator[Event | str]:
        """What comes first: an answer, a typed line, or a timer; nothing where `until` does."""
        due = min((*self._timers.values(), *((until,) if until else ())), default=None)
        try:
            yield self._inbox.get(timeout=None if due is None else max(0.0, due - time.time()))
        except Empty:
            now = time.time()
            for name in [name for name, at in self._timers.items() if at <= now]:
                del self._timers[name]
                yield TimerFired(id=name, at=now)

    def _take(self, item: Event | str) -> None:
        if not isinstance(item, str):
            self._fold(item)
        elif command := self.operator.said(item, self.plan, self.state):
            self._say(command)
        while not self.state.finish and (decided := self.operator.decides(self.plan, self.state)):
            self._say(decided)

    def _say(self, command: Command) -> None:
        """The command was taken or refused, as admission decides; either stands in the audit trail (I12)."""
        why = refusal(self.plan, self.state, command)
        execution = self.state.execution
        entry = audit.spoken(execution.id, self.plan.group, execution.plan, command.command, command, why)
        audit.append(self.actor.journal, entry)
        if why is None:
            self._fold(Human(command=command, at=time.time()))
        self.operator.answered(command, why)

    def _fold(self, event: Event) -> None:
        self.kept.append(event)
        self.state = fold(self.plan, self.state, event)

    def _done(self, action: Action, state: ExecutionState) -> Event:
        """What came of the action; an error that nobody foresaw is as a worker's that went silent."""
        try:
            return self._act(action, state)
        except TideoverError as error:
            return self._failed(action, str(error))
        except Exception as error:  # noqa: BLE001 -- the thread must answer, and what it did is then not known
            return self._failed(action, f"an error that nobody foresaw, {type(error).__name__}: report it")

    def _act(self, action: Action, state: ExecutionState) -> Event:
        plan, mandate = self.plan, self._mandate(state.execution)
        match action:
            case Check(step=step):
                specs = {resource: plan.resources[resource] for resource in plan.step(step).looks_at}
                readings, errors = self.actor.checked(specs)
                return Checked(step=step, readings=readings, errors=errors, at=time.time())
            case LookFor(step=step, resource=resource, condition=condition, timeout=timeout):
                until, cancelled = (condition, timeout), self._stop.is_set
                spec, kind = plan.resources[resource], plan.step(step).kind
                seen = self.actor.looked(kind, spec, until, mandate, cancelled)
                return Looked(
                    step=step, resource=resource, reading=seen.reading, why=seen.why, superseded=seen.superseded,
                    at=time.time(),
                )  # fmt: skip
            case Perform(attempt=attempt, want=want):
                outcome = self.actor.performed(plan.resources[want.resource], action, mandate, self._stop.is_set)
                return Ended(attempt=attempt, outcome=outcome, at=time.time())
            case _:
                return self._claimed(state)

    def _mandate(self, execution: Execution) -> Mandate:
        return Mandate(self.plan.group, execution.plan, execution.who, execution.id)

    def _claimed(self, state: ExecutionState) -> Event:
        claimed = self.actor.claimed(self.plan, state.execution, self.gone, state.asked_at, state.record.epoch)
        now = time.time()
        return ClaimRefused(why=claimed, at=now) if isinstance(claimed, str) else Claimed(record=claimed, at=now)

    def _failed(self, action: Action, why: str) -> Event:
        now = time.time()
        match action:
            case Check(step=step):
                unread = ReadError(error="Unreachable", why=why, lasting=False)
                return Checked(
                    step=step, readings={}, errors=dict.fromkeys(self.plan.step(step).looks_at, unread), at=now
                )
            case LookFor(step=step, resource=resource):
                return Looked(step=step, resource=resource, reading=None, why=why, at=now)
            case Perform(attempt=attempt):
                return Ended(attempt=attempt, outcome=Unknown(why=why), at=now)
            case _:
                return ClaimRefused(why=f"the group could not be claimed: {why}", at=now)
