"""Attempts on the model world: what a worker does with an order, well or badly, at once or late."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.domain import ledger
from orchestrator.domain.ensure import (
    Accepted,
    Blind,
    Call,
    Change,
    Goal,
    InDoubt,
    Look,
    NotSent,
    Progress,
    Reply,
    Saw,
    TimeUp,
    ensure_next,
)
from orchestrator.domain.errors import ProviderError
from orchestrator.domain.ledger import Request
from orchestrator.domain.outcome import Failed, Outcome, Refused, Unknown
from orchestrator.domain.rehearsal.driving import Promotion, Rehearsal, Sent, flown, folded, sent_by
from orchestrator.domain.rehearsal.model import World, changed, observe
from orchestrator.domain.state import Ended, Perform
from orchestrator.domain.world import Reading, Role


class Fault(StrEnum):
    """What can go wrong with one attempt."""

    NONE = "goes well"
    BLIND = "the first look sees nothing"
    NO_EFFECT = "the request is rejected"
    UNANSWERED = "takes effect, the answer is lost"
    LATE = "the answer is lost, the effect comes later"
    LOST_EARLY = "the worker is lost before its guard"
    LOST_AFTER = "the worker is lost after the effect"
    LOST_LATE = "the worker is lost, the effect comes later"
    UNLATCHED = "read back, but not latched"
    HEARSAY = "read back, but not by an authority"


EARLY = frozenset({Fault.BLIND, Fault.LOST_EARLY})
LOST = frozenset({Fault.LOST_EARLY, Fault.LOST_AFTER, Fault.LOST_LATE})
DELAYED = frozenset({Fault.LATE, Fault.LOST_LATE})


@dataclass
class Worker:
    """One attempt on the model world: what `orchestrator.runtime.effect` does with threads and a journal."""

    now: Rehearsal
    sent: Sent
    fault: Fault

    def run(self) -> tuple[Rehearsal, Outcome]:
        """What is the case afterwards, and how the attempt ended."""
        if self.fault is Fault.LOST_EARLY:
            zombies = (*self.now.zombies, self.sent)
            return replace(self.now, zombies=zombies), Unknown(why="the worker went silent", lost=True)
        if not self.order.first:
            found = ledger.claim(self.now.journal, self.order.attempt, self.order.want.resource)
            if isinstance(found, str):
                return self.now, Refused(why=found)
            self.now = replace(self.now, journal=found)
        outcome = self._ensured()
        if self.fault in LOST:
            return self.now, Unknown(why="the worker went silent", lost=True)
        journal = ledger.close_attempt(self.now.journal, self.order.attempt, outcome)
        return replace(self.now, journal=journal), outcome

    def _ensured(self) -> Outcome:
        goal = Goal(
            resource=self.order.want.resource,
            desired=self.order.want.desired,
            may_be_there=self.order.may_be_there,
            identity=self.order.identity,
            patience=0.0,
        )
        progress, call, seen = Progress(goal=goal), Look(), None
        said: Call | Outcome = call
        looks = 0
        while isinstance(said, Look | Change):
            if isinstance(said, Change):
                assert seen is not None  # noqa: S101 -- the table looks before it changes
                reply = self._change(seen)
            else:
                looks += 1
                reply = self._look(looks) if looks <= 3 else TimeUp()
                seen = reply.reading if isinstance(reply, Saw) else seen
            progress, said = ensure_next(progress, reply)
        return said

    def _look(self, looks: int) -> Reply:
        blind = self.fault is Fault.BLIND if looks == 1 else self.fault in (Fault.UNANSWERED, *DELAYED)
        if blind:
            return Blind(why="injected", lasting=True, elapsed=1.0)
        try:
            reading = observe(self.now.world, self.sent.spec)
        except ProviderError as error:
            return Blind(why=str(error), lasting=True, elapsed=1.0)
        if self.fault is Fault.UNLATCHED:
            reading = reading.model_copy(update={"latched": False})
        if self.fault is Fault.HEARSAY:
            reading = reading.model_copy(update={"authoritative": False})
        return Saw(reading=reading, began=self.now.world.clock, elapsed=1.0)

    def _change(self, seen: Reading) -> Reply:
        order, at = self.order, self.now.world.clock
        try:
            after = changed(self.now.world, self.sent.spec, order.want.desired)
        except ProviderError as error:
            return NotSent(why=str(error), refused=False)
        before = order.before or seen.state(order.want.desired.kind)
        request = Request(attempt=order.attempt, want=order.want, before=before, at=at)
        found = ledger.enter(self.now.journal, request, self.sent.mission.digest)
        if isinstance(found, str):
            return NotSent(why=found, refused=True)
        self.now = replace(self.now, journal=found, sent=(*self.now.sent, self.sent))
        if self.fault is Fault.NO_EFFECT:
            return NotSent(why="injected: rejected", refused=False)
        if self.fault in DELAYED:
            self.now = replace(self.now, late=(*self.now.late, replace(self.sent, at=at)))
            return InDoubt(why="injected: no answer", at=at)
        self.now = effected(self.now, self.sent, after)
        return InDoubt(why="injected: no answer", at=at) if self.fault is Fault.UNANSWERED else Accepted(at=at)

    @property
    def order(self) -> Perform:
        """The attempt."""
        return self.sent.order


def performed(now: Rehearsal, order: Perform, fault: Fault) -> Rehearsal:
    """The attempt's answer, after whatever happened."""
    now, outcome = Worker(flown(now, order), sent_by(now, order), fault).run()
    if isinstance(outcome, Failed | Refused):
        now = replace(now, promoting=now.promoting - {order.attempt})
    return folded(now, Ended(attempt=order.attempt, outcome=outcome, at=now.world.clock))


def own(now: Rehearsal, sent: Sent) -> bool:
    """True for an attempt of the execution that runs, not of one before it."""
    return now.state.claimed and sent.order.attempt.epoch == now.state.record.epoch


def woken(now: Rehearsal, zombie: Sent) -> Rehearsal:
    """A worker that was thought lost goes on at its guard; nobody hears its answer."""
    zombies = list(now.zombies)
    zombies.remove(zombie)
    return Worker(_touched(replace(now, zombies=tuple(zombies)), zombie), zombie, Fault.NONE).run()[0]


def may_land(now: Rehearsal, late: Sent) -> bool:
    """True while a late request may still take effect: within the lateness that its resource type declares."""
    bound = late.spec.late_effect
    return bound is None or now.world.clock <= late.at + bound


def landed(now: Rehearsal, late: Sent) -> Rehearsal:
    """A late request takes effect, where it still can."""
    rest = list(now.late)
    rest.remove(late)
    now = _touched(replace(now, late=tuple(rest)), late)
    try:
        after = changed(now.world, late.spec, late.order.want.desired)
    except ProviderError:
        return now
    return effected(now, late, after)


def _touched(now: Rehearsal, sent: Sent) -> Rehearsal:
    """What another execution's attempt changes now is no matter of this one's end."""
    return now if own(now, sent) else replace(now, disturbed=now.disturbed | {sent.spec.site or sent.spec.id})


def effected(now: Rehearsal, sent: Sent, after: World) -> Rehearsal:
    """The world changed. A standby that was promoted is the lawful primary from now on."""
    before, want, now = now.world, sent.order.want, replace(now, world=after)
    if want.desired != Role(role="primary") or want.site is None:
        return now
    if before.servers[want.component, want.site].role != "standby":
        return now
    old, new = now.lawful[want.component], before.servers[want.component, want.site]
    lost = max(0, before.servers[want.component, old].log - new.log) / 10 if old != want.site else 0.0
    promotion = Promotion(want.component, want.site, lost, sent.accepted)
    return replace(now, lawful={**now.lawful, want.component: want.site}, promotions=(*now.promotions, promotion))
