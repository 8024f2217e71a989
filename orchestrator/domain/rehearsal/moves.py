"""Every way in which a rehearsal can go on from where it is.

What happens anyway is one move: the next call of what was begun first. Beside it stands what may go wrong. Two things
that do not depend on each other lead to the same in either order, so something unusual stands only before a call that
could notice it: a site is cut off before something there is looked at or changed, a human interferes before the engine
learns something. That leaves out orders, and no outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from orchestrator.domain.commands import Resume
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.rehearsal import humans, nature
from orchestrator.domain.rehearsal.attempts import (
    answered,
    called,
    hinders,
    is_over,
    landed,
    lost,
    may_come,
    strayed,
    unheard,
)
from orchestrator.domain.rehearsal.driving import folded, following, told
from orchestrator.domain.rehearsal.faults import FAULTS, possible
from orchestrator.domain.rehearsal.looks import checked, claimed, looked
from orchestrator.domain.rehearsal.model import World, passed
from orchestrator.domain.rehearsal.touching import (
    CLAIM,
    ENGINE,
    JOURNAL,
    REACH,
    Touched,
    changed_by,
    machines,
    servers,
    touched_by,
)
from orchestrator.domain.rehearsal.values import Broken, Flight, Mission, Rehearsal, Try
from orchestrator.domain.settling import settle_by_hand
from orchestrator.domain.state import Check, Claim, LookFor, TimerFired


class Move(NamedTuple):
    """One way on. `cost`: 1 for a fault or something unusual, 0 for what happens anyway. `made(now, *given)`."""

    cost: int
    told: tuple[object, ...]
    made: Callable[..., Rehearsal]
    given: tuple[object, ...] = ()

    def __str__(self) -> str:
        return " ".join(_told(part) for part in self.told)


def _told(part: object) -> str:
    match part:
        case Try(order=order):
            return f"{order.attempt}{' (undo)' if order.attempt.undo else ''} {order.want}: the {part.place}"
        case LookFor(step=step, resource=resource):
            return f"{step} looks at {resource}:"
        case Check(step=step):
            return f"{step}:"
        case Claim():
            return "the group is claimed:"
    return str(part)


def moves(now: Rehearsal, unusual: bool) -> Iterator[Move]:
    """What may happen next; with `unusual`, what goes wrong as well."""
    if now.state.finish:
        yield from _after_the_end(now, unusual)
        return
    if not unusual and not now.strays and now.flights and isinstance(now.flights[0], Try):
        yield Move(0, (now.flights[0], "goes well, to its end"), _undisturbed, (now.flights[0],))
        return
    yield _usual(now)
    if not unusual and not now.strays:
        return
    touched = _touched(now)
    yield from _strays(now, touched)
    if unusual:
        yield from _flights(now, touched)
        if touched & ENGINE or _begins(now):
            yield from _interferences(now)
        if touched & JOURNAL:
            yield from _terminated(now)
        yield from _nature(now, touched)


def _begins(now: Rehearsal) -> bool:
    """True where an attempt is about to make its first call: its worker may be lost at any of them, which the engine
    learns as well."""
    first = now.flights[0] if now.flights else None
    return isinstance(first, Try) and not first.looks


def _after_the_end(now: Rehearsal, unusual: bool) -> Iterator[Move]:
    """Whatever is late comes in the end; the next execution may begin before or after that."""
    yield from _strays(now, servers(now) | machines(now) | now.world.shared.keys(), "after the end, ")
    yield from _next(now, 0, ("it ends", now.state.finish and now.state.finish.end))
    if unusual:
        yield from _settled(now)
    if unusual and not now.mission.then:
        yield from _nature(now, servers(now) | machines(now))


# What happens anyway


def _usual(now: Rehearsal) -> Move:
    """What happens when nothing unusual does."""
    if now.flights:
        return Move(0, (now.flights[0], "goes well"), _flown, (now.flights[0],))
    approval = now.memory.of(humans.approval, now.mission, now.state)
    if approval is not None:
        return Move(0, ("approved, max_loss", approval.max_loss), humans.said, (approval,))
    if now.state.paused:
        return Move(0, ("resumed",), humans.said, (Resume(by="ann"),))
    if now.state.waiting and now.past.reactions:
        return Move(0, ("a human's answer:", now.past.reactions[0]), humans.reacted)
    if now.timers:
        timer = min(now.timers, key=lambda t: t.at)
        return Move(0, ("timer", timer.id), _fired, (timer.id,))
    raise Broken("nothing is under way, no timer runs, and it has not ended")


def _touched(now: Rehearsal) -> Touched:
    """What the usual move depends on: what people say changes the engine alone, and what they do, or time, anything."""
    if now.flights:
        return touched_by(now, now.flights[0])
    if now.state.paused or now.memory.of(humans.approval, now.mission, now.state) is not None:
        return ENGINE
    return ENGINE | JOURNAL | REACH | servers(now) | machines(now) | now.world.shared.keys()


def _flown(now: Rehearsal, flight: Flight) -> Rehearsal:
    match flight:
        case Check():
            return checked(_landed(now, flight), flight)
        case LookFor():
            return looked(_landed(now, flight), flight)
        case Claim():
            return claimed(_landed(now, flight))
        case Try():
            return _called(now, flight)


def _landed(now: Rehearsal, flight: Flight) -> Rehearsal:
    return now._replace(flights=tuple(other for other in now.flights if other is not flight))


def _called(now: Rehearsal, attempt: Try, *fault: object) -> Rehearsal:
    """The attempt's next call made; its answer is a call of its own."""
    if attempt.place == "answer":
        return answered(_landed(now, attempt), attempt, kept=not fault)
    now, after = called(now, attempt, *fault)  # type: ignore[arg-type]  # a Fault
    return now._replace(flights=tuple(after if other is attempt else other for other in now.flights))


def _undisturbed(now: Rehearsal, attempt: Try) -> Rehearsal:
    """The attempt made from here to its answer: nothing can come between where nothing more goes wrong."""
    now = _landed(now, attempt)
    while attempt.place != "answer":
        now, attempt = called(now, attempt)
    return answered(now, attempt)


# What comes of strays


def _strays(now: Rehearsal, touched: Touched, when: str = "") -> Iterator[Move]:
    """The next calls of strays that could be noticed by what happens anyway, or could notice it.

    What a lost worker has done is heard by the journal before a guard that its doubt would hinder, or before the group
    is claimed the next time: to nothing else does it matter when.
    """
    guarded = next((f.order for f in now.flights[:1] if isinstance(f, Try) and f.place == "guard"), None)
    for stray in now.strays:
        noticed = bool(touched & (CLAIM if is_over(stray) else _to_touch(stray)))
        if not noticed and guarded and not stray.adrift:
            noticed = now.memory.of(hinders, stray.order.want, guarded.want, guarded.attempt.undo)
        if noticed and may_come(now, stray) and not _idle(now, stray):
            words = "late:" if stray.adrift else "a lost worker goes on:"
            yield Move(0, (f"{when}{words}", stray), strayed, (stray,))


def _to_touch(stray: Try) -> Touched:
    """What any of the stray's calls up to its request depends on: each is only on the way to the next.

    What has been let through may be heard by the journal before the next claim: for that it has to be made before.
    """
    return changed_by(stray) | (CLAIM if stray.place == "request" else JOURNAL)


def _idle(now: Rehearsal, stray: Try) -> bool:
    """True for what is on its way and would change nothing now: it may as well come later, or never."""
    return stray.adrift and now.memory.of(_no_effect, now.world, stray)


def _no_effect(world: World, stray: Try) -> bool:
    then = landed(world, stray)
    return isinstance(then, str) or then.facts() == world.facts()


# What goes wrong with what is under way


def _flights(now: Rehearsal, touched: Touched) -> Iterator[Move]:
    for flight in now.flights[1:]:
        if not isinstance(now.flights[0], Try) or not now.flights[0].looks:
            yield Move(1, (flight, "is faster"), _first, (flight,))
    if now.flights:
        yield from _bad_answers(now, now.flights[0])
    if now.heard and touched & ENGINE:
        yield Move(1, ("the newest event again:", now.heard.event.kind), folded, (now.heard.event,))


def _first(now: Rehearsal, flight: Flight) -> Rehearsal:
    return now._replace(flights=(flight, *(other for other in now.flights if other is not flight)))


def _bad_answers(now: Rehearsal, flight: Flight) -> Iterator[Move]:
    match flight:
        case Check(step=step):
            for name in now.plan.step(step).looks_at:
                yield Move(1, (flight, name, "is not read in time"), _unread, (flight, name, False))
                yield Move(1, (flight, name, "cannot be read"), _unread, (flight, name, True))
        case LookFor():
            yield Move(1, (flight, "nothing is read"), _blind, (flight,))
        case Claim():
            yield Move(1, ("the claim's answer is lost",), _unclaimed, (flight,))
        case Try():
            yield from _bad_calls(now, flight)


def _bad_calls(now: Rehearsal, attempt: Try) -> Iterator[Move]:
    for fault in FAULTS[attempt.place]:
        if possible(now, attempt, fault):
            yield Move(1, (attempt, fault), _called, (attempt, fault))
    if attempt.place != "look" or attempt.looks == 1:
        yield Move(1, ("before", attempt, "the worker is lost"), _lost, (attempt,))
    if attempt.place == "answer":
        yield Move(1, ("after", attempt, "the worker is lost"), _lost_after, (attempt,))


def _unread(now: Rehearsal, check: Check, name: str, lasting: bool) -> Rehearsal:
    return checked(_landed(now, check), check, name, lasting)


def _blind(now: Rehearsal, look: LookFor) -> Rehearsal:
    return looked(_landed(now, look), look, blind=True)


def _unclaimed(now: Rehearsal, claim: Claim) -> Rehearsal:
    return claimed(_landed(now, claim), answered=False)


def _lost(now: Rehearsal, attempt: Try) -> Rehearsal:
    return lost(_stray(now, attempt), attempt)


def _lost_after(now: Rehearsal, attempt: Try) -> Rehearsal:
    """The journal knows how it ended, and nobody else."""
    return lost(strayed(_stray(now, attempt), attempt), attempt)


def _stray(now: Rehearsal, attempt: Try) -> Rehearsal:
    now = _landed(now, attempt)
    return unheard(now._replace(strays=(*now.strays, attempt)))


def _interferences(now: Rehearsal) -> Iterator[Move]:
    """A human, or a timer that goes off early, interferes with what the engine is about to learn."""
    for command in humans.interferences(now):
        yield Move(1, (command.command, "by bob"), humans.said, (command,))
    for timer in now.timers:
        yield Move(1, ("timer", timer.id, "early"), _fired, (timer.id,))


def _terminated(now: Rehearsal) -> Iterator[Move]:
    if now.state.claimed:
        yield from _next(now, 1, ("it is terminated",))


def _next(now: Rehearsal, cost: int, words: tuple[object, ...]) -> Iterator[Move]:
    """The next execution begins at once or, where something is in doubt, when a request of one of the plan's types can
    come no more: what is in doubt may be of another."""
    bounds = {spec.late_effect for spec in now.plan.resources.values() if spec.late_effect is not None}
    for mission in now.mission.then:
        yield Move(cost, (*words, "- next:", mission), following, (mission,))
        for bound in sorted(bounds) if now.journal.doubts else ():
            yield Move(cost, (*words, f"- after {bound + 1:g} s:", mission), _following_later, (mission, bound + 1.0))


def _settled(now: Rehearsal) -> Iterator[Move]:
    """Somebody believes that what may yet come cannot: a word that must not be taken."""
    for sent in now.strays:
        want, late = sent.order.want, sent.spec.late_effect
        believed = late is None and not (want.activates or want.deactivates)
        if sent.place == "request" and may_come(now, sent) and not believed:
            settled = now.memory.of(settle_by_hand, now.journal, want.resource, late)
            if not isinstance(settled, str):
                yield Move(1, ("somebody says that it cannot come any more:", want), _journal, (settled,))


def _journal(now: Rehearsal, journal: GroupRecord) -> Rehearsal:
    return now._replace(journal=journal)


def _following_later(now: Rehearsal, mission: Mission, seconds: float) -> Rehearsal:
    now = now._replace(world=now.memory.of(passed, now.world, seconds))
    return following(now._replace(strays=tuple(stray for stray in now.strays if may_come(now, stray))), mission)


# The rest of the world


def _timer(name: str, at: float) -> TimerFired:
    return TimerFired(id=name, at=at)


def _fired(now: Rehearsal, name: str) -> Rehearsal:
    timer = next(timer for timer in now.timers if timer.id == name)
    world = now.memory.of(_later, now.world, timer.at)
    timers = tuple(other for other in now.timers if other is not timer)
    now = now._replace(world=world, timers=timers)
    now = now._replace(strays=tuple(stray for stray in now.strays if may_come(now, stray)))
    return told(now, _timer, name, world.clock)


def _later(world: World, at: float) -> World:
    return passed(world, max(0.0, at - world.clock))


def _nature(now: Rehearsal, touched: Touched) -> Iterator[Move]:
    for words, what, then in (*nature.events(now, touched), *nature.by_hand(now, touched)):
        yield Move(1, (words,), nature.disturbed, (what, then))
