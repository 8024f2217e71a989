"""The invariants of DESIGN's chapter on safety, judged on the model world and not on what the engine believes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from orchestrator.domain.engine import fold
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.plan import SAFETY, Step
from orchestrator.domain.rehearsal.attempts import landed, may_come, own
from orchestrator.domain.rehearsal.driving import Broken, Mission, Overwritten, Promotion, Rehearsal, Try
from orchestrator.domain.rehearsal.model import World
from orchestrator.domain.rehearsal.nature import BY_HAND
from orchestrator.domain.state import End, ExecutionState, Status
from orchestrator.domain.world import PRIMARY, Holder, Power, Records, ReplicatesFrom


def judge(now: Rehearsal) -> None:
    """Nothing. Raises Broken where what the last move did, or the state that it led to, breaks an invariant."""
    of = now.memory.of
    broken = of(_world, now.world, now.past.lawful) or of(_skipped, now.mission, now.state)
    for sent in (*now.flights, *now.strays):
        if not broken and isinstance(sent, Try) and sent.place == "request" and may_come(now, sent):
            broken = of(_pending, now.journal, sent)
    if broken:
        raise Broken(broken)
    for happened in now.happened:
        match happened:
            case Try():
                _request(now, happened)
            case Promotion():
                _promotion(happened)
            case Overwritten(resource=resource):
                raise Broken(f"I5: {resource} was changed by a request that was based on what is no longer so")
    if now.state.finish:
        _end(now)
        _nothing_follows(now)


def _world(world: World, all_lawful: Mapping[str, str]) -> str | None:
    """I1 and I9: at most one site is writable, and only the one that was lawfully promoted last. I10: somebody holds
    what clients go by."""
    for component, lawful in all_lawful.items():
        writable = world.writable(component)
        if len(writable) > 1:
            return f"I1: {component} is writable at {sorted(writable)}"
        if not writable <= {lawful}:
            return f"I9: {component} is writable at {sorted(writable)}, but {lawful} was promoted"
    acting = Counter(component for (component, site), power in world.power.items()
                     if power == "on" and (component, site) not in world.servers)  # fmt: skip
    for component, sites in acting.items():
        if sites > 1:
            return f"I1: {component} acts at {sites} sites"
    nowhere = [name for name, state in world.shared.items() if state == Holder(site=None)]
    return f"I10: clients of {nowhere} are pointed to nothing" if nowhere else None


def _pending(journal: GroupRecord, sent: Try) -> str | None:
    """I5: what may still take effect stands in the journal as a doubt, for every execution to see."""
    if any(doubt.attempt == sent.order.attempt for doubt in journal.doubts):
        return None
    return f"I5: the journal does not know that this may still take effect: {sent.order.want}"


def _promotion(promotion: Promotion) -> None:
    if promotion.lost > promotion.accepted + 0.1:
        raise Broken(f"I3: {promotion.lost}s of commits are lost, {promotion.accepted}s were accepted")


def _request(now: Rehearsal, sent: Try) -> None:
    """What must be so when a request is made that leads clients or writers somewhere."""
    want = sent.order.want
    if sent.order.attempt.undo:
        return
    _agreed(now, sent)
    unfenced = sent.mission.plan.mode == "unfence" and want.activates
    if unfenced and now.past.lawful.get(want.component, want.site) != want.site:
        raise Broken(f"I9: {want} is sent, but {now.past.lawful[want.component]} was promoted since")
    starting = [step for step in sent.mission.plan.of_kind("start") if step.id == sent.order.attempt.step]
    if want.desired == PRIMARY:
        _promotion_is_due(now, sent)
    elif starting and sent.mission.plan.moves:
        _start_is_due(now, sent)
    if isinstance(want.desired, Records) and own(now, sent) and now.plan.target not in now.past.disturbed:
        served = all(now.plan.target in now.world.writable(component) for component in now.past.lawful)
        if not served:
            raise Broken(f"I10: {want} is sent while nobody serves at {now.plan.target}")
    if want.activates and now.plan.mode == "reprotect" and own(now, sent):
        isolated = [step for step in now.plan.of_kind("isolate") if step.component == want.component]
        if any(now.state.steps[step.id].status is not Status.DONE for step in isolated):
            raise Broken(f"I9: {want} is sent before it is isolated")


def _agreed(now: Rehearsal, sent: Try) -> None:
    """I7: a human has approved whatever is changed, and a promotion beyond that where a gate stands before it."""
    if not own(now, sent):
        return
    gates = {step.id for step in now.plan.of_kind("approve")}
    needed = gates if sent.order.want.desired == PRIMARY else gates - {"promotion"}
    if missing := needed - now.state.approvals.keys():
        raise Broken(f"I7: {sent.order.want} is sent, but nobody has approved {sorted(missing)}")


def _promotion_is_due(now: Rehearsal, sent: Try) -> None:
    """I2: a promotion is sent only when every other possible writer is cut off, in truth and by strong evidence."""
    want, plan = sent.order.want, sent.mission.plan
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
        strong = evidence.strength >= step.needs_strength and evidence.reading.latched
        if not strong and len(evidence.attested_by) < 2:
            raise Broken(f"I2: {want} is sent with weak evidence of {step.id}")


def _start_is_due(now: Rehearsal, sent: Try) -> None:
    """I2: what acts by itself is started only when its twin at the other site is cut off, in truth."""
    want = sent.order.want
    for step in sent.mission.plan.of_kind("fence", "stop"):
        if step.component == want.component and step.site and not _cut_off(now.world, want.component, step.site):
            raise Broken(f"I2: {want} is sent while {want.component} at {step.site} is not cut off")


def _cut_off(world: World, component: str, site: str) -> bool:
    server = world.servers.get((component, site))
    latched = server is not None and server.signal and server.role in ("stopped", "standby")
    return latched or world.power[component, site] == "off"


def _skipped(mission: Mission, state: ExecutionState) -> str | None:
    for step in mission.plan.steps:
        if step.kind in SAFETY and state.steps[step.id].status is Status.SKIPPED:
            return f"{step.id} was skipped"
    return None


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


def _nothing_follows(now: Rehearsal) -> None:
    """I4: an end is an end, whatever is heard after it."""
    if now.heard and fold(now.plan, now.state, now.heard.event) != now.state:
        raise Broken("I4: an event after the end changes something")


def _succeeded(now: Rehearsal) -> None:
    plan = now.plan
    told = now.state.finish.why if now.state.finish else ""
    for step in plan.of_kind("start", "rebuild"):
        done = now.state.steps[step.id].status is Status.DONE and step.site not in now.past.disturbed
        if done and "may still take effect" not in told and not _reached(now.world, step):
            raise Broken(f"I4: SUCCEEDED, but not so: {step.wants[0]}")
    if not plan.moves:
        return
    _verified(now)
    for component, lawful in now.past.lawful.items():
        if lawful != plan.target:
            raise Broken(f"I4: SUCCEEDED, but {component} was never promoted at {plan.target}")
        if plan.target not in now.world.writable(component) and plan.target not in now.past.disturbed:
            raise Broken(f"I4: SUCCEEDED, but {component} is not writable at {plan.target}")
    for step in plan.of_kind("switch"):
        skipped = now.state.steps[step.id].status is Status.SKIPPED
        resource = step.wants[0].resource
        said = resource in now.past.disturbed and resource in told
        by_hand = now.world.shared[resource] == BY_HAND
        if not (skipped or said or by_hand) and now.world.shared[resource] != step.wants[0].desired:
            raise Broken(f"I10: SUCCEEDED, but {step.id} points elsewhere")


def _verified(now: Rehearsal) -> None:
    for step in now.plan.of_kind("verify"):
        record = now.state.steps[step.id]
        seen = record.evidence.reading.states if record.evidence else ()
        if record.status is Status.DONE and step.wants[0].desired not in seen:
            raise Broken(f"I4: SUCCEEDED, but {step.id} has not read what it is to verify")


def _reached(world: World, step: Step) -> bool:
    """True where what the step wants of a machine or a standby is the case."""
    want = step.wants[0]
    assert want.site is not None  # noqa: S101 -- only asked of what a site has for itself
    if isinstance(want.desired, Power):
        return world.power[want.component, want.site] == want.desired.power
    server = world.servers[want.component, want.site]
    return server.role == "standby" and ReplicatesFrom(site=server.upstream or "") == want.desired


def _as_before(now: Rehearsal, end: End) -> None:
    changed = differing(now)
    if changed:
        raise Broken(f"I4: {end}, but not as before: {changed}")
    coming = [str(sent.order.want) for sent in now.strays if now.state.claimed and _would_change(now, sent)]
    if coming:
        raise Broken(f"I4: {end}, but this may still take effect: {coming}")


def _would_change(now: Rehearsal, sent: Try) -> bool:
    """True where the request is past its guard, of whichever execution, and would undo that all is as before."""
    if sent.place != "request" or not may_come(now, sent) or sent.order.want.resource not in now.plan.resources:
        return False
    then = now.memory.of(landed, now.world, sent)
    return own(now, sent) or (isinstance(then, World) and bool(differing(now._replace(world=then))))


def differing(now: Rehearsal) -> list[str]:
    """What is not as it was, beside what something else has disturbed."""
    new = now.world.facts() - now.past.origin
    return sorted(
        f"{what if isinstance(what, str) else '@'.join(what)} is {state}" for what, state in new
        if what not in now.past.disturbed and not (isinstance(what, tuple) and what[1] in now.past.disturbed)
    )  # fmt: skip
