"""The invariants of DESIGN's chapter on safety, judged on the model world and not on what the engine believes."""

from __future__ import annotations

from orchestrator.domain.ledger import Request
from orchestrator.domain.plan import SAFETY
from orchestrator.domain.rehearsal.attempts import own
from orchestrator.domain.rehearsal.driving import Broken, Rehearsal, Sent
from orchestrator.domain.rehearsal.model import World
from orchestrator.domain.state import End, Status
from orchestrator.domain.world import Role, Strength

MOVES = ("planned", "forced")


def judge(before: Rehearsal, now: Rehearsal) -> None:
    """Nothing. Raises Broken where the move from `before` to `now` breaks an invariant."""
    _one_writer(now)
    for sent in now.sent[len(before.sent) :]:
        _request(now, sent)
    for promotion in now.promotions[len(before.promotions) :]:
        if promotion.lost > promotion.accepted + 0.1:
            raise Broken(f"I3: {promotion.lost}s of commits are lost, {promotion.accepted}s were accepted")
    _skipped(now)
    if now.state.finish:
        _end(now)


def _one_writer(now: Rehearsal) -> None:
    """I1 and I9: at most one site is writable, and only the one that was lawfully promoted last."""
    for component, lawful in now.lawful.items():
        writable = now.world.writable(component)
        if len(writable) > 1:
            raise Broken(f"I1: {component} is writable at {sorted(writable)}")
        if not writable <= {lawful}:
            raise Broken(f"I9: {component} is writable at {sorted(writable)}, but {lawful} was promoted")


def _request(now: Rehearsal, sent: Sent) -> None:
    """I2: a promotion is sent only when every other possible writer is cut off, in truth and by strong evidence."""
    want, plan = sent.order.want, sent.plan
    if want.desired != Role(role="primary") or sent.order.attempt.undo:
        return
    for step in plan.of_kind("fence", "stop"):
        assert step.component is not None  # noqa: S101 -- the plan says so
        assert step.site is not None  # noqa: S101 -- the plan says so
        if not _cut_off(now.world, step.component, step.site):
            raise Broken(f"I2: {want} is sent while {step.component} at {step.site} is not cut off")
        if not own(now, sent):
            continue
        evidence = now.state.steps[step.id].evidence
        if evidence is None:
            raise Broken(f"I2: {want} is sent without evidence of {step.id}")
        strong = evidence.strength >= Strength.F2 and evidence.reading.latched
        if not strong and len(evidence.attested_by) < 2:
            raise Broken(f"I2: {want} is sent with weak evidence of {step.id}")


def _cut_off(world: World, component: str, site: str) -> bool:
    server = world.servers.get((component, site))
    latched = server is not None and server.signal and server.role in ("stopped", "standby")
    return latched or world.power[component, site] == "off"


def _skipped(now: Rehearsal) -> None:
    for step in now.plan.steps:
        if step.kind in SAFETY and now.state.steps[step.id].status is Status.SKIPPED:
            raise Broken(f"{step.id} was skipped")


def _end(now: Rehearsal) -> None:
    """I4: the end says what is the case."""
    finish = now.state.finish
    assert finish is not None  # noqa: S101 -- the plan says so
    match finish.end:
        case End.SUCCEEDED:
            _succeeded(now)
        case End.ROLLED_BACK | End.ABORTED_SAFE | End.REFUSED:
            _as_before(now, finish.end)
        case End.NEEDS_HUMAN if not finish.next_commands:
            raise Broken("I4: NEEDS_HUMAN names no command to go on with")
    if now.state.claimed:
        _copies_agree(now)


def _succeeded(now: Rehearsal) -> None:
    plan = now.plan
    if plan.mode not in MOVES:
        return
    for component, lawful in now.lawful.items():
        if lawful != plan.target:
            raise Broken(f"I4: SUCCEEDED, but {component} was never promoted at {plan.target}")
        if plan.target not in now.world.writable(component) and plan.target not in now.disturbed:
            raise Broken(f"I4: SUCCEEDED, but {component} is not writable at {plan.target}")
    for step in plan.of_kind("switch"):
        skipped = now.state.steps[step.id].status is Status.SKIPPED
        resource = step.wants[0].resource
        told = resource in now.disturbed and resource in (now.state.finish.why if now.state.finish else "")
        if not skipped and not told and now.world.shared[resource] != step.wants[0].desired:
            raise Broken(f"I10: SUCCEEDED, but {step.id} points elsewhere")


def _as_before(now: Rehearsal, end: End) -> None:
    changed = differing(now)
    if changed:
        raise Broken(f"I4: {end}, but not as before: {changed}")
    doubts = _own_doubts(now) if now.state.claimed else []
    if doubts:
        raise Broken(f"I4: {end}, but in doubt: {[str(doubt.want) for doubt in doubts]}")


def differing(now: Rehearsal) -> list[str]:
    """What is not as it was, beside what something else has disturbed."""
    world, before = now.world, now.origins
    places = [place for place in world.power if place[1] not in now.disturbed]
    found = [f"{p} is {world.servers[p].role}" for p in places
             if p in world.servers and world.servers[p].role not in {b.servers[p].role for b in before}]  # fmt: skip
    found += [f"{p} has power {world.power[p]}" for p in places if world.power[p] not in {b.power[p] for b in before}]
    shared = [name for name in world.shared if name not in now.disturbed]
    return found + [f"{n} is {world.shared[n]}" for n in shared if world.shared[n] not in [b.shared[n] for b in before]]


def _copies_agree(now: Rehearsal) -> None:
    """The engine knows of every doubt that the journal holds."""
    known = {doubt.attempt for doubt in now.state.record.doubts}
    unknown = [str(doubt.attempt) for doubt in _own_doubts(now) if doubt.attempt not in known]
    if unknown:
        raise Broken(f"the engine does not know of {unknown}")


def _own_doubts(now: Rehearsal) -> list[Request]:
    """This execution's doubts in the journal, but for those past their greatest lateness."""
    own = [doubt for doubt in now.journal.doubts if doubt.attempt.epoch == now.state.record.epoch]
    lateness = {doubt.want.resource: now.plan.resources[doubt.want.resource].late_effect for doubt in own}
    return [d for d in own if (late := lateness[d.want.resource]) is None or now.world.clock <= d.at + late]
