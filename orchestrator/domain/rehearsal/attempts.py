"""Attempts on the model world, call by call: what a worker does with an order, well or badly, at once or late.

It does what `orchestrator.runtime.effect` does with threads and a journal: look, pass the guard, request, read back,
answer. A worker may be lost, or freeze, between any two of these, and what it was about to do may still come.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.domain import ledger
from orchestrator.domain.ensure import (
    GIVE_UP,
    Accepted,
    Blind,
    InDoubt,
    NotSent,
    Phase,
    Reply,
    Saw,
    TimeUp,
    ensure_next,
)
from orchestrator.domain.errors import ProviderError
from orchestrator.domain.ledger import Attempt, GroupRecord, Request
from orchestrator.domain.outcome import Done, Failed, Outcome, Refused, Unknown
from orchestrator.domain.plan import Want
from orchestrator.domain.rehearsal.driving import told
from orchestrator.domain.rehearsal.faults import Fault, another
from orchestrator.domain.rehearsal.model import World, changed, observe, stale
from orchestrator.domain.rehearsal.values import Overwritten, Promotion, Rehearsal, Try
from orchestrator.domain.state import Ended
from orchestrator.domain.world import PRIMARY, Reading

LOOKS = 3
"""How often one attempt looks before its time is up: once before the request and twice after it."""


def called(now: Rehearsal, attempt: Try, fault: Fault = Fault.NONE) -> tuple[Rehearsal, Try]:
    """The attempt after its next call, but for its answer."""
    of = now.memory.of
    match attempt.place:
        case "look":
            journal, attempt = of(_look, now.journal, now.world, attempt, fault)
            first = attempt.looks == 1 and not attempt.order.first
            now = _taken(now, attempt)._replace(journal=journal)
            return revoked(now) if first else now, attempt
        case "guard":
            journal, attempt = of(_guard, now.journal, now.world, attempt, fault)
            return now._replace(journal=journal), attempt
    effect = of(_request, now.world, attempt, fault)
    if effect.late:
        now = now._replace(strays=(*now.strays, effect.late))
    return effected(now, attempt, effect.world), effect.attempt


def _taken(now: Rehearsal, attempt: Try) -> Rehearsal:
    """An accepted request whose wanted state was read back afterwards has been taken: it does not come later as well.
    One that got no answer may."""
    if attempt.progress.phase is not Phase.READING_BACK or not isinstance(attempt.call, Done):
        return now
    name = attempt.order.attempt
    left = tuple(stray for stray in now.strays if not (stray.adrift and stray.order.attempt == name))
    return now._replace(strays=left)


def _look(journal: GroupRecord, world: World, attempt: Try, fault: Fault) -> tuple[GroupRecord, Try]:
    order = attempt.order
    if not attempt.looks and not order.first:
        claimed = ledger.claim(journal, order.attempt, order.want.resource)
        if isinstance(claimed, str):
            return journal, attempt._replace(call=Refused(why=claimed))
        journal = claimed
    reply = _seen(world, attempt, fault)
    seen = reply.reading if isinstance(reply, Saw) else attempt.seen
    attempt = _after(attempt._replace(seen=seen, looks=attempt.looks + 1), reply)
    if attempt.place == "look" and (fault in (Fault.BLIND, Fault.ANOTHER) or attempt.looks == LOOKS):
        attempt = _after(attempt, TimeUp())
    return journal, attempt


def _seen(world: World, attempt: Try, fault: Fault) -> Reply:
    if fault is Fault.BLIND:
        return Blind(why="no answer", lasting=True, elapsed=1.0)
    began = world.clock
    if fault is Fault.ANOTHER:
        return Saw(reading=another(attempt), began=began, elapsed=1.0)
    reading: Reading | None
    try:
        reading = observe(world, attempt.spec)
    except ProviderError as error:
        return Blind(why=str(error), lasting=True, elapsed=1.0)
    match fault:
        case Fault.STALE:
            reading, began = stale(world, attempt.spec), began - 1.0
            assert reading is not None  # noqa: S101 -- see `possible`
        case Fault.UNLATCHED:
            reading = reading.model_copy(update={"latched": False})
        case Fault.HEARSAY:
            reading = reading.model_copy(update={"authoritative": False})
    if attempt.looks == LOOKS - 1 and not reading.satisfies(attempt.progress.goal.desired):
        began += GIVE_UP + 1.0  # the last look, when its time is nearly up
    return Saw(reading=reading, began=began, elapsed=1.0)


def _after(attempt: Try, reply: Reply) -> Try:
    progress, call = ensure_next(attempt.progress, reply)
    return attempt._replace(progress=progress, call=call)


def _guard(journal: GroupRecord, world: World, attempt: Try, fault: Fault) -> tuple[GroupRecord, Try]:
    order, seen = attempt.order, attempt.seen
    if fault is Fault.NO_JOURNAL:
        return journal, _after(attempt, NotSent(why="the guard cannot read the journal", refused=True))
    before = order.before or (seen.state(order.want.desired.kind) if seen else None)
    request = Request(attempt=order.attempt, want=order.want, before=before, at=world.clock)
    entered = ledger.enter(journal, request, attempt.mission.digest)
    if isinstance(entered, str):
        return journal, _after(attempt, NotSent(why=entered, refused=True))
    if fault is Fault.WRITTEN:
        return entered, _after(attempt, NotSent(why="the guard cannot read the journal", refused=True))
    return entered, attempt._replace(let_through=world.clock)


class _Effect(NamedTuple):
    """What a request did: the world, the attempt with its reply, and what is still on its way."""

    world: World
    attempt: Try
    late: Try | None = None


def _request(world: World, attempt: Try, fault: Fault) -> _Effect:
    at = world.clock
    if fault is Fault.REJECTED:
        return _Effect(world, _after(attempt, NotSent(why="rejected", refused=False)))
    doubt, accepted = InDoubt(why="no answer", at=at), Accepted(at=at)
    if fault in (Fault.LATE, Fault.LATE_UNANSWERED):
        reply = accepted if fault is Fault.LATE else doubt
        return _Effect(world, _after(attempt, reply), attempt._replace(adrift=True))
    then = landed(world, attempt)
    if isinstance(then, str):
        return _Effect(world, _after(attempt, NotSent(why=then, refused=False)))
    return _Effect(then, _after(attempt, doubt if fault is Fault.UNANSWERED else accepted))


def landed(world: World, attempt: Try) -> World | str:
    """The world after the request took effect, or why it surely cannot."""
    try:
        return changed(world, attempt.spec, attempt.order.want.desired, attempt.seen)
    except ProviderError as error:
        return str(error)


def effected(now: Rehearsal, attempt: Try, after: World) -> Rehearsal:
    """The request was made. A standby that was promoted by it is the lawful primary from now on."""
    before, want = now.world, attempt.order.want
    now = now._replace(world=after, happened=(*now.happened, attempt))
    was, compares = before.shared.get(want.resource), attempt.spec.compare_and_set
    changed_it = was != after.shared.get(want.resource)
    if compares and changed_it and attempt.seen and was not in attempt.seen.states:
        return now._replace(happened=(*now.happened, Overwritten(want.resource)))
    if want.desired != PRIMARY or want.site is None:
        return now
    place = want.component, want.site
    if before.servers[place].role != "standby" or after.servers[place].role != "primary":
        return now
    old, new = now.past.lawful[want.component], before.servers[place]
    lost = max(0, before.servers[want.component, old].log - new.log) / 10 if old != want.site else 0.0
    replaced = old != want.site and not new.upstream
    promotion = Promotion(want.component, want.site, lost, attempt.accepted, replaced)
    now = now.since(lawful={**now.past.lawful, want.component: want.site})
    return now._replace(happened=(*now.happened, promotion))


# Answers


def answered(now: Rehearsal, attempt: Try, kept: bool = True) -> Rehearsal:
    """The attempt has ended as it says. Not `kept`: the journal does not learn of it."""
    outcome = attempt.call
    assert isinstance(outcome, Done | Refused | Failed | Unknown)  # noqa: S101 -- its calls are over
    if kept:
        now = now._replace(journal=now.memory.of(ledger.close_attempt, now.journal, attempt.order.attempt, outcome))
    if isinstance(outcome, Failed | Refused):
        now = now._replace(promoting=now.promoting - {attempt.order.attempt})
    return told(now, _ended, attempt, outcome, now.world.clock)


def lost(now: Rehearsal, attempt: Try) -> Rehearsal:
    """The worker went silent; what it was about to do may still come."""
    return told(now, _ended, attempt, Unknown(why="the worker went silent", lost=True), now.world.clock)


def _ended(attempt: Try, outcome: Outcome, at: float) -> Ended:
    return Ended(attempt=attempt.order.attempt, outcome=outcome, at=at)


# Strays


def may_come(now: Rehearsal, stray: Try) -> bool:
    """True where the stray's next call is still possible: a request within the lateness that its type declares."""
    bound = stray.spec.late_effect
    return stray.place != "request" or bound is None or now.world.clock <= (stray.let_through or 0.0) + bound


def promotions_to_come(now: Rehearsal) -> list[Try]:
    """Promotions past their guards, of whichever execution, that may still take effect."""
    return [other for other in sent_to_come(now) if other.order.want.desired == PRIMARY]


def sent_to_come(now: Rehearsal) -> list[Try]:
    """Requests past their guards, of whichever execution, that may still take effect."""
    sent = (flight for flight in (*now.flights, *now.strays) if isinstance(flight, Try) and flight.place == "request")
    return [other for other in sent if may_come(now, other)]


def is_over(stray: Try) -> bool:
    """True where it asks for nothing any more: all that is left is that the journal hears of it."""
    return stray.place == "answer" or stray.progress.phase in (Phase.READING_BACK, Phase.IN_DOUBT)


def strayed(now: Rehearsal, stray: Try) -> Rehearsal:
    """A worker that was thought lost has made one more call, or what was on its way has come; nobody hears of it."""
    now = now._replace(strays=tuple(other for other in now.strays if other is not stray))
    if stray.adrift:
        then = now.memory.of(landed, now.world, stray)
        return now if isinstance(then, str) else effected(_touched(now, stray), stray, then)
    if stray.place == "request":
        now = _touched(now, stray)
    after = stray
    if stray.place != "answer":
        now, after = called(now, stray)
    while after.looks > 1 and after.place == "look":
        now, after = called(now, after)
    if after.place == "answer":
        return now._replace(journal=now.memory.of(ledger.close_attempt, now.journal, after.order.attempt, after.call))
    return unheard(now._replace(strays=(*now.strays, after)))


def revoked(now: Rehearsal) -> Rehearsal:
    """Strays that no guard will let through any more are gone: something newer has claimed what they want."""
    left = tuple(stray for stray in now.strays if not now.memory.of(_hopeless, now.journal, stray))
    return now._replace(strays=left)


def unheard(now: Rehearsal) -> Rehearsal:
    """What has not been heard of an older attempt when the group is claimed is heard before the next claim, if there is
    one: else it is of no account any more, unless a guard could mind it."""
    if now.mission.then or not now.state.claimed:
        return now
    left = [stray for stray in now.strays if not is_over(stray) or _could_hinder(stray.order.want)]
    return now._replace(strays=tuple(left))


def _could_hinder(doubted: Want) -> bool:
    return doubted.activates or doubted.deactivates


def hinders(doubted: Want, wanted: Want, undo: bool) -> bool:
    """True where a guard would let the one through but for the doubt about the other."""
    doubt = Request(attempt=Attempt(epoch=0, step="", method=0, n=0), want=doubted, before=None, at=0.0)
    record = GroupRecord(group="", doubts=(doubt,))
    return bool(ledger.conflict(record, wanted) or (undo and ledger.no_way_back(record)))


def _hopeless(journal: GroupRecord, stray: Try) -> bool:
    """True where the guard refuses, and not because of a doubt, which may yet be closed."""
    if stray.place not in ("look", "guard") or stray.looks > 1:
        return False
    request = Request(attempt=stray.order.attempt, want=stray.order.want, before=None, at=0.0)
    return isinstance(ledger.enter(journal.model_copy(update={"doubts": ()}), request, stray.mission.digest), str)


def _touched(now: Rehearsal, sent: Try) -> Rehearsal:
    """What another execution's attempt changes now is no matter of this one's end."""
    if own(now, sent):
        return now
    return now.since(disturbed=now.past.disturbed | {sent.spec.site or sent.spec.id})


def own(now: Rehearsal, sent: Try) -> bool:
    """True for an attempt of the execution that runs, not of one before it."""
    return now.state.claimed and sent.order.attempt.epoch == now.state.record.epoch
