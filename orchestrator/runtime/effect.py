"""One attempt on the world: drives the table of `ensure` with a real adapter, guarded by the group's ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from orchestrator.domain.ensure import (
    Accepted,
    Blind,
    Change,
    Goal,
    Look,
    NotSent,
    Progress,
    Reply,
    Saw,
    TimeUp,
    ensure_next,
    failed,
)
from orchestrator.domain.errors import (
    GuardRefused,
    JournalUnavailable,
    ProviderError,
)
from orchestrator.domain.ledger import Attempt, Request
from orchestrator.domain.outcome import Outcome, Refused
from orchestrator.domain.plan import Want
from orchestrator.domain.world import Reading, State
from orchestrator.ports import Resource, Resumed
from orchestrator.runtime.group import Group


@dataclass(frozen=True)
class Order:
    """One attempt to make. `before`: what the check saw; `timeout` in seconds for all of it.

    `first`: no earlier attempt of this execution can still be under way for the resource.
    """

    attempt: Attempt
    want: Want
    goal: Goal
    before: State | None
    plan: str
    who: str
    timeout: float
    first: bool


_TOO_LATE = "time was up, or it was cancelled, before anything was requested"


def never_cancelled() -> bool:
    """For drivers that cannot be cancelled."""
    return False


@dataclass
class GuardedCall:
    """The `Call` that an adapter gets: each guard writes the request into the ledger before it may be sent."""

    group: Group
    order: Order
    before: State | None
    deadline: float
    cancelled: Callable[[], bool]
    sent: int = field(default=0, init=False)
    went_through: bool = field(default=False, init=False)

    def guard(self) -> None:
        """The request is in the ledger and may be sent now. Raises GuardRefused."""
        if self.cancelled():
            raise GuardRefused(f"{self.order.attempt} was cancelled")
        if self.remaining <= 0:
            raise GuardRefused(f"the deadline of {self.order.attempt} has passed")
        request = Request(attempt=self.order.attempt, want=self.order.want, before=self.before, at=time.time())
        try:
            self.group.enter(request, self.order.plan, self.order.who)
        except JournalUnavailable as error:
            raise GuardRefused(f"the guard cannot read the journal and lets nothing through: {error}") from error
        if self.remaining <= 0:
            raise GuardRefused(f"the deadline of {self.order.attempt} has passed")
        self.sent += 1

    def accepted(self) -> None:
        """Something was done, whatever becomes of what is asked for next."""
        self.went_through = True

    def checkpoint(self, token: str) -> None:
        """The token is durable."""
        self.group.keep_token(self.order.want.resource, token)

    @property
    def remaining(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - time.monotonic())


def perform(group: Group, resource: Resource, order: Order, cancelled: Callable[[], bool] = never_cancelled) -> Outcome:
    """How the attempt ended. Never raises for what the world or the journal does; the ledger holds the answer."""
    started = time.monotonic()
    try:
        if not order.first:
            group.revoke_older(order.attempt, order.want.resource)
        token = group.record().tokens.get(order.want.resource)
    except (GuardRefused, JournalUnavailable) as error:
        return _told(group, Refused(why=str(error)))
    if token and isinstance(resource, Resumed):
        resource.resume(token)
    call = GuardedCall(group, order, order.before, started + order.timeout, cancelled)
    outcome = _ensure(resource, order, call, started)
    with suppress(JournalUnavailable):  # the doubt then stays in the ledger, which is the safe side
        group.close_attempt(order.attempt, outcome, order.who, order.plan)
    return _told(group, outcome)


def _told(group: Group, outcome: Outcome) -> Outcome:
    """The outcome; of a refusal whether the execution has lost the group, so that it ends instead of trying again."""
    if isinstance(outcome, Refused):
        with suppress(JournalUnavailable):
            return outcome.model_copy(update={"superseded": group.superseded() is not None})
    return outcome


def _ensure(resource: Resource, order: Order, call: GuardedCall, started: float) -> Outcome:
    progress = Progress(goal=order.goal)
    step: object = Look()
    observed: Reading | None = None
    while isinstance(step, Look | Change):
        if call.remaining <= 0 or (call.cancelled() and not call.sent):
            reply: Reply = TimeUp() if isinstance(step, Look) else NotSent(why=_TOO_LATE, refused=True)
        elif isinstance(step, Change):
            assert observed is not None  # noqa: S101 -- the table looks before it changes
            reply = _change(resource, order, observed, call)
        else:
            time.sleep(min(step.after, call.remaining))
            reply = look(resource, started)
            observed = reply.reading if isinstance(reply, Saw) else observed
        progress, step = ensure_next(progress, reply)
    return step  # type: ignore[return-value]  # the loop ends only on an Outcome


def look(resource: Resource, started: float) -> Saw | Blind:
    """One observation; `started` is the monotonic time that `elapsed` counts from."""
    began = time.time()
    try:
        reading = resource.observe()
    except ProviderError as error:
        return Blind(why=str(error), lasting=not error.retryable, elapsed=time.monotonic() - started)
    return Saw(reading=reading, began=began, elapsed=time.monotonic() - started)


def _change(resource: Resource, order: Order, observed: Reading, call: GuardedCall) -> Reply:
    if call.before is None:
        call.before = observed.state(order.want.desired.kind)
    try:
        resource.apply(order.want.desired, observed, call)
    except (GuardRefused, JournalUnavailable, ProviderError) as error:
        return failed(error, call.sent, call.went_through, time.time())
    return Accepted(at=time.time())
