"""Every way in which a rehearsal can go on from where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from orchestrator.domain.admission import refusal
from orchestrator.domain.commands import Abort, Approve, Attest, Command, Escalate, Pause, Resume, Retry, Skip
from orchestrator.domain.rehearsal.attempts import Fault, landed, may_land, performed, woken
from orchestrator.domain.rehearsal.driving import (
    Broken,
    Rehearsal,
    checked,
    claimed,
    folded,
    following,
    looked,
    step_of,
)
from orchestrator.domain.rehearsal.model import crashed, cut_off, passed, powered, returned, severed, ticked
from orchestrator.domain.state import Check, Claim, Human, LookFor, Perform, TimerFired


@dataclass(frozen=True)
class Move:
    """One way on. `cost`: 1 for a fault or something unusual, 0 for what happens anyway."""

    name: str
    cost: int
    made: Callable[[Rehearsal], Rehearsal]


def moves(now: Rehearsal, unusual: bool) -> Iterator[Move]:
    """What may happen next; with `unusual`, what goes wrong as well."""
    if now.state.finish:
        yield from _after_the_end(now)
        return
    yield _default(now)
    if unusual:
        yield from _flights(now)
        yield from _humans(now)
        yield from _nature(now)
    yield from _coming_late(now)


def _after_the_end(now: Rehearsal) -> Iterator[Move]:
    """Whatever is late comes in the end; the next execution may begin before or after that."""
    yield from _coming_late(now)
    if len(now.missions) > 1:
        then = now.missions[1].plan
        told = f"it ends {now.state.finish and now.state.finish.end}; next: {then.mode} to {then.target}"
        yield Move(told, 0, lambda r: following(r, finished=True))


def _coming_late(now: Rehearsal) -> Iterator[Move]:
    for late in [sent for sent in now.late if may_land(now, sent)][:1]:
        yield Move(f"lands late: {late.order.want}", 0, lambda r, w=late: landed(r, w))  # type: ignore[misc]
    for zombie in now.zombies[:1]:
        yield Move(f"a lost worker goes on: {zombie.order.want}", 0, lambda r, z=zombie: woken(r, z))  # type: ignore[misc]


def _default(now: Rehearsal) -> Move:
    """What happens when nothing unusual does."""
    state = now.state
    if now.flights:
        flight = now.flights[0]
        return Move(f"{_named(flight)}: goes well", 0, lambda r: _flown_well(r, flight))
    approval = _approval(now)
    if approval is not None:
        return Move(f"approved, max_loss {approval.max_loss}", 0, lambda r: _said(r, approval))
    if state.paused:
        return Move("resumed", 0, lambda r: _said(r, Resume(by="ann")))
    if state.waiting and now.reactions:
        return Move(f"a human's answer: {now.reactions[0]}", 0, _reacted)
    if now.timers:
        timer = min(now.timers, key=lambda t: t.at)
        return Move(f"timer {timer.id}", 0, lambda r: _fired(r, timer.id))
    raise Broken("nothing is under way, no timer runs, and it has not ended")


def _named(flight: object) -> str:
    if isinstance(flight, Perform):
        return f"{flight.attempt} {flight.want}{' (undo)' if flight.attempt.undo else ''}"
    return f"{type(flight).__name__} {step_of(flight) or ''}"  # type: ignore[arg-type]


def _flown_well(now: Rehearsal, flight: object) -> Rehearsal:
    match flight:
        case Check():
            return checked(now, flight)
        case LookFor():
            return looked(now, flight)
        case Claim():
            return claimed(now, flight)
        case Perform():
            return performed(now, flight, Fault.NONE)
    raise AssertionError(flight)


def _flights(now: Rehearsal) -> Iterator[Move]:
    """Each flight answering out of order, or badly."""
    for index, flight in enumerate(now.flights):
        if index:
            yield Move(f"{_named(flight)}: goes well, first", 1, lambda r, f=flight: _flown_well(r, f))  # type: ignore[misc]
        yield from _bad_answers(now, flight)
    if now.events:
        yield Move("the newest event again", 1, lambda r: folded(r, r.events[-1]))


def _bad_answers(now: Rehearsal, flight: object) -> Iterator[Move]:
    match flight:
        case Check(step=step):
            for name in now.plan.step(step).looks_at:
                yield Move(f"{step}: {name} is not read", 1, lambda r, n=name, f=flight: checked(r, f, {n: False}))  # type: ignore[misc]
                yield Move(f"{step}: {name} is not readable", 1, lambda r, n=name, f=flight: checked(r, f, {n: True}))  # type: ignore[misc]
        case LookFor(step=step):
            yield Move(f"{step}: nothing is read", 1, lambda r: looked(r, flight, blind=True))
        case Claim():
            yield Move("the claim's answer is lost", 1, lambda r: claimed(r, flight, answered=False))
        case Perform(attempt=attempt):
            latch = now.plan.step(attempt.step).needs_latch and not attempt.undo
            for fault in Fault:
                if fault is Fault.NONE or (fault in (Fault.UNLATCHED, Fault.HEARSAY) and not latch):
                    continue
                yield Move(f"{_named(flight)}: {fault}", 1, lambda r, f=fault: performed(r, flight, f))  # type: ignore[misc]


# Humans


def _said(now: Rehearsal, *commands: Command) -> Rehearsal:
    now = replace(now, world=ticked(now.world))
    for command in commands:
        if refusal(now.plan, now.state, command) is None:
            now = folded(now, Human(command=command, at=now.world.clock))
    return now


def _approval(now: Rehearsal) -> Approve | None:
    """The approval that would be admitted now; an abort is the way out where none is."""
    for loss in (now.mission.max_loss, None):
        approve = Approve(by="ann", to=now.plan.target, plan=now.mission.hash, max_loss=loss)
        if refusal(now.plan, now.state, approve) is None and not now.state.waiting:
            return approve
    return None


def _reacted(now: Rehearsal) -> Rehearsal:
    """The next human has answered what the execution waits for."""
    waiting = now.state.waiting
    assert waiting is not None  # noqa: S101 -- somebody was asked
    name, now = now.reactions[0], replace(now, reactions=now.reactions[1:])
    match name:
        case "retry":
            return _said(now, *(Retry(by="ann", step=step) for step in waiting.steps))
        case "skip":
            return _said(now, *(Skip(by="ann", step=step, reason="by hand") for step in waiting.steps))
        case "abort":
            return _said(now, Abort(by="ann"))
        case "accept":
            return _said(now, Approve(by="ann", to=now.plan.target, plan=now.mission.hash, max_loss="1h"))
        case "attest":
            return _attested(now)
    raise AssertionError(name)


def _attested(now: Rehearsal) -> Rehearsal:
    """Two people have pulled the plug of what could not be fenced, and say so."""
    waiting = now.state.waiting
    assert waiting is not None  # noqa: S101 -- somebody was asked
    commands: list[Command] = []
    for step in (now.plan.step(name) for name in waiting.steps):
        if step.kind in ("fence", "stop", "isolate") and step.component and step.site:
            now = replace(now, world=powered(now.world, (step.component, step.site), "off"))
            now = replace(now, disturbed=now.disturbed | {step.site})
            commands += [Attest(by=who, step=step.id, reason="I pulled its plug") for who in ("ann", "bob")]
    return _said(now, *commands)


def _humans(now: Rehearsal) -> Iterator[Move]:
    """A human interferes, wherever that is admitted."""
    for command in (Abort(by="bob"), Pause(by="bob"), Escalate(by="bob")):
        if refusal(now.plan, now.state, command) is None:
            yield Move(f"{command.command} by bob", 1, lambda r, c=command: _said(r, c))  # type: ignore[misc]


# The rest of the world


def _fired(now: Rehearsal, name: str) -> Rehearsal:
    timer = next(timer for timer in now.timers if timer.id == name)
    world = passed(now.world, max(0.0, timer.at - now.world.clock))
    timers = tuple(other for other in now.timers if other is not timer)
    return folded(replace(now, world=world, timers=timers), TimerFired(id=name, at=world.clock))


def _nature(now: Rehearsal) -> Iterator[Move]:
    for timer in now.timers:
        yield Move(f"timer {timer.id}, early", 1, lambda r, t=timer: _fired(r, t.id))  # type: ignore[misc]
    source, target = now.plan.source, now.plan.target
    for site in (source, target):
        yield Move(f"{site} crashes", 1, lambda r, s=site: _disturbed(r, s, crashed))  # type: ignore[misc]
    yield Move(f"{source} is cut off", 1, lambda r: _disturbed(r, source, cut_off))
    yield Move("replication stops", 1, lambda r: replace(r, world=severed(r.world)))
    yield Move(f"{source} returns by itself", 1, lambda r: _disturbed(r, source, returned))
    if len(now.missions) > 1 and now.state.claimed:
        then = now.missions[1].plan
        yield Move(f"it is terminated; next: {then.mode} to {then.target}", 1, lambda r: following(r, finished=False))


def _disturbed(now: Rehearsal, site: str, how: Callable) -> Rehearsal:  # type: ignore[type-arg]
    return replace(now, world=how(now.world, site), disturbed=now.disturbed | {site})
