"""What an end says is judged on the model world (I4)."""

from __future__ import annotations

from orchestrator.domain.engine import fold
from orchestrator.domain.plan import CUTS, Step
from orchestrator.domain.rehearsal.attempts import landed, may_come, own, promotions_to_come
from orchestrator.domain.rehearsal.model import World, upstream
from orchestrator.domain.rehearsal.nature import BY_HAND
from orchestrator.domain.rehearsal.values import Broken, Rehearsal, Try
from orchestrator.domain.resource_ids import instance, place_of
from orchestrator.domain.state import End, Finish, Status
from orchestrator.domain.world import Power, ReplicatesFrom


def judge(now: Rehearsal) -> None:
    """Nothing. Raises Broken where the end is not what it says, or where it is none."""
    finish = now.state.finish
    assert finish is not None  # noqa: S101 -- it has ended
    match finish.end:
        case End.SUCCEEDED:
            _succeeded(now)
        case End.ROLLED_BACK | End.ABORTED_SAFE | End.REFUSED:
            _as_before(now, finish.end)
        case End.NEEDS_HUMAN if not finish.next_commands:
            raise Broken("I4: NEEDS_HUMAN names no command to go on with")
    _proposed(now, finish)
    _by_hand(now, finish)
    if finish.protected and not _protected(now):
        raise Broken("I4: it ends protected, but no standby follows")
    _nothing_follows(now)


def _by_hand(now: Rehearsal, finish: Finish) -> None:
    """I4 and I9: what people have switched off is not as it was before, and stands as fenced."""
    for step in now.plan.of_kind(*CUTS):
        evidence, place = now.state.steps[step.id].evidence, (step.component or "", step.site or "")
        if not evidence or not evidence.attested_by or now.world.power.get(place) != "off":
            continue
        if finish.end in (End.ROLLED_BACK, End.ABORTED_SAFE):
            raise Broken(f"I4: {finish.end}, but people have switched {instance(*place)} off")
        if not any(place_of(resource) == instance(*place) for resource in now.journal.fenced):
            raise Broken(f"I9: people have switched {instance(*place)} off, and the ledger tells of no fence")


def _proposed(now: Rehearsal, finish: Finish) -> None:
    """I9: nobody is told to lift the fence of what was replaced, or may be, unless it would start as a standby."""
    for command in finish.next_commands:
        if command.startswith("tideover unfence"):
            site = command.rpartition(" ")[2]
            writers = {name for (name, at), server in now.world.servers.items() if at == site and not server.signal}
            coming = [(sent.order.want.component, sent.order.want.site) for sent in promotions_to_come(now)]
            elsewhere = {at for name, at in (*now.past.lawful.items(), *coming) if at and name in writers} - {site}
            if elsewhere:
                raise Broken(f"I9: `{command}` is proposed, but {sorted(elsewhere)} was promoted, or may be")


def _protected(now: Rehearsal) -> bool:
    """True where every database has a standby that follows, but for what something else has disturbed."""
    standbys = {place[0] for place in now.world.servers if upstream(now.world, place)}
    return bool(now.past.disturbed) or standbys >= now.past.lawful.keys()


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
        _unfenced(now)
        return
    _skipped_and_told(now, told)
    _announced(now)
    _verified(now)
    for component, lawful in now.past.lawful.items():
        if lawful != plan.target:
            raise Broken(f"I4: SUCCEEDED, but {component} was never promoted at {plan.target}")
        if plan.target not in now.world.writable(component) and plan.target not in now.past.disturbed:
            raise Broken(f"I4: SUCCEEDED, but {component} is not writable at {plan.target}")
    skipped = {step.component for step in plan.of_kind("switch") if now.state.steps[step.id].status is Status.SKIPPED}
    for shared, state in now.world.shared.items():
        said = shared in now.past.disturbed and shared in told
        if shared in skipped or said or state == BY_HAND:
            continue
        if not now.mission.demands.answered(shared, plan.target, state):
            raise Broken(f"I10: SUCCEEDED, but {shared} points elsewhere: {state}")


def _unfenced(now: Rehearsal) -> None:
    """Where the journal has not heard of the answer, the request stays a doubt there, and the fence with it."""
    unheard = any(doubt.want.activates and doubt.want.site == now.plan.target for doubt in now.journal.doubts)
    fenced = [resource for resource, site in now.journal.fenced.items() if site == now.plan.target]
    if now.plan.mode == "unfence" and fenced and not unheard:
        raise Broken(f"I4: the fence at {now.plan.target} is lifted, but the ledger tells of {fenced}")


def _skipped_and_told(now: Rehearsal, told: str) -> None:
    for step, record in now.state.steps.items():
        if record.status is Status.SKIPPED and step not in told:
            raise Broken(f"I4: SUCCEEDED, and not a word of {step}, which was skipped")


def _announced(now: Rehearsal) -> None:
    """That an address is there already tells no client of it."""
    for step in now.plan.of_kind("announce"):
        record = now.state.steps[step.id]
        asked = record.evidence and record.evidence.requested_at is not None
        if record.status is Status.DONE and not asked:
            raise Broken(f"I10: SUCCEEDED, but nobody was asked for {step.id}")


def _verified(now: Rehearsal) -> None:
    for step in now.plan.of_kind("verify"):
        record = now.state.steps[step.id]
        seen = record.evidence.reading.states if record.evidence else ()
        if record.status is not Status.SKIPPED and step.wants[0].desired not in seen:
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
    """What is not as it was, beside what something else has disturbed.

    Once it has claimed the group an execution answers for what those before it have left unfinished: of all, where it
    moves the service, else of what its plan is about.
    """
    new = now.world.facts() - (now.past.origin if now.state.claimed else now.past.found)
    if not now.plan.moves:
        about = {spec.id if spec.site is None else (spec.component, spec.site) for spec in now.plan.resources.values()}
        new = frozenset(fact for fact in new if fact[0] in about or fact not in now.past.found)
    return sorted(
        f"{what if isinstance(what, str) else '@'.join(what)} is {state}" for what, state in new
        if what not in now.past.disturbed and not (isinstance(what, tuple) and what[1] in now.past.disturbed)
    )  # fmt: skip
