"""The invariants of DESIGN's chapter on safety, judged on the model world and not on what the engine believes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from unicodedata import normalize

from orchestrator.domain.commands import Command
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Done
from orchestrator.domain.plan import CUTS, SAFETY, Want
from orchestrator.domain.rehearsal import endings
from orchestrator.domain.rehearsal.attempts import may_come, own, promotions_to_come, sent_to_come
from orchestrator.domain.rehearsal.faults import OTHER
from orchestrator.domain.rehearsal.model import World
from orchestrator.domain.rehearsal.values import Broken, Counted, Mission, Overwritten, Promotion, Rehearsal, Try
from orchestrator.domain.state import Ended, ExecutionState, Human, Status, TimerFired
from orchestrator.domain.world import ON, PRIMARY, Evidence, Holder, Power, Records, Strength


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
                _meant(happened)
                _request(now, happened)
            case Promotion():
                _promotion(now, happened)
            case Counted():
                _counted(happened)
            case Overwritten(resource=resource):
                raise Broken(f"I5: {resource} was changed by a request that was based on what is no longer so")
    if now.state.finish:
        endings.judge(now)


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


def _counted(counted: Counted) -> None:
    """I7, and what two people vouch for: nothing counts as said but what somebody has said now, nor as not said in time
    what somebody has."""
    before, after, event = counted.before, counted.after, counted.event
    if isinstance(event, TimerFired):
        name, _, about = event.id.partition(":")
        if name == "approval" and about in before.approvals and (after.aborted or after.finish):
            raise Broken(f"I7: it ends because nobody approved {about!r} in time, and somebody has")
        if name == "waiting" and not (before.waiting and before.waiting.timer == event.id):
            raise Broken("I4: it ends because nobody decided in time, and that was about something else")
    said = event.command if isinstance(event, Human) else None
    new: list[Command] = [a for gate, a in after.approvals.items() if before.approvals.get(gate) != a]
    for step, attestations in after.attestations.items():
        new += [attest for attest in attestations if attest not in before.attestations.get(step, ())]
    if len(new) > 1:
        raise Broken(f"I7: this counts {len(new)} times: {new[0]}")
    if wrong := [command for command in new if command != said]:
        raise Broken(f"I7: this counts as said, and nobody said it: {wrong[0]}")
    for cut in counted.plan.of_kind(*CUTS):
        _read_or_vouched(counted, cut.id)


def _read_or_vouched(counted: Counted, step: str) -> None:
    """I2: a cut is proven by what its own attempts have read, or by two people's word for this very one."""
    earlier, evidence, event = counted.before.steps[step].evidence, counted.after.steps[step].evidence, counted.event
    if evidence is None or evidence == earlier:
        return
    vouched = {_spelt(attest.by) for attest in counted.after.attestations.get(step, ())}
    if evidence.attested_by:
        witnesses = set(map(_spelt, evidence.attested_by))
        if len(witnesses) < 2 or not witnesses <= vouched:
            raise Broken(f"I2: {step} counts as vouched for by {sorted(witnesses)}, and {sorted(vouched)} said so")
        return
    read = [(each.resource, each.reading) for each in (earlier, *(earlier.beside if earlier else ())) if each]
    if isinstance(event, Ended) and isinstance(event.outcome, Done) and event.attempt.step == step:
        read.append((event.outcome.evidence.resource, event.outcome.evidence.reading))
    for each in (evidence, *evidence.beside):
        if (each.resource, each.reading) not in read:
            raise Broken(f"I2: {step} counts as proven by {each.resource}, which nobody has read for it")


def _promotion(now: Rehearsal, promotion: Promotion) -> None:
    """I3: no more is lost than was accepted, nor than was told. I9: what was replaced stays so until it is rebuilt."""
    if promotion.replaced:
        raise Broken(f"I9: {promotion.component} is promoted at {promotion.site}, which was replaced and not rebuilt")
    if promotion.lost > promotion.accepted + 0.1:
        raise Broken(f"I3: {promotion.lost}s of commits are lost, {promotion.accepted}s were accepted")
    told = now.state.loss_measured
    if told and told.seconds is not None and promotion.lost > told.seconds + 0.1:
        raise Broken(f"I3: {promotion.lost}s of commits are lost, {told} was told")


def _meant(sent: Try) -> None:
    """I5: nothing is changed unseen, nor at what is not the one that the checks have seen."""
    if sent.seen is None:
        raise Broken(f"I5: {sent.order.want} is sent by who has not looked")
    if sent.seen.identity == OTHER:
        raise Broken(f"I5: {sent.order.want} is sent, and another one answered than the checks have seen")


def _request(now: Rehearsal, sent: Try) -> None:
    """What must be so when a request is made that leads clients or writers somewhere."""
    want = sent.order.want
    if want.activates and (sent.order.attempt.undo or sent.mission.plan.mode == "unfence"):
        _given_back(now, sent)
    if sent.order.attempt.undo:
        return
    _agreed(now, sent)
    _in_order(now, sent)
    starting = [step for step in sent.mission.plan.of_kind("start") if step.id == sent.order.attempt.step]
    if want.desired == PRIMARY:
        _promotion_is_due(now, sent)
    elif starting and sent.mission.plan.moves:
        _start_is_due(now, sent)
    lives = now.plan.mode == "planned" and now.plan.source not in now.past.disturbed
    if lives and want.site is None and own(now, sent):
        serving = [component for component in now.past.lawful if now.plan.source in now.world.writable(component)]
        if serving:
            raise Broken(f"I10: {want} is sent while {now.plan.source} still serves {serving}")
    if isinstance(want.desired, Records) and own(now, sent) and now.plan.target not in now.past.disturbed:
        excused = _left_out(now) - now.past.lawful.keys()
        down = sent.mission.demands.leads_to[want.component] - _up(now, now.plan.target) - excused
        if down:
            raise Broken(f"I10: {want} is sent while nobody serves at {now.plan.target} as {sorted(down)}")
    if now.plan.mode == "reprotect" and own(now, sent):
        _rebuilt(now, want)


def _in_order(now: Rehearsal, sent: Try) -> None:
    """I10: what serves comes up after all that it needs, and is stopped before; but for what a human has skipped.

    Once it undoes, or has ended, nothing of this is sent any more: what lands then was sent before.
    """
    want, plan, needs = sent.order.want, sent.mission.plan, sent.mission.demands.needs
    if not (own(now, sent) and plan.moves and want.site) or want.site in now.past.disturbed:
        return
    if now.state.undoing or now.state.finish:
        return
    up = _up(now, want.site)
    if want.activates and want.site == plan.target:
        down = [
            name for name in needs[want.component] if name in now.mission.demands.proof.keys() - up - _left_out(now)
        ]
        if down:
            raise Broken(f"I10: {want} is sent before what it needs is up: {down}")
    if want.deactivates and want.site == plan.source and plan.mode == "planned":
        relying = [name for name in up - _left_out(now) if want.component in needs[name]]
        if relying:
            raise Broken(f"I10: {want} is sent while what needs it is up: {relying}")


def _up(now: Rehearsal, site: str) -> set[str]:
    """The components that act at the site, in truth."""
    return {name for name in now.mission.demands.proof if _acts(now.world, name, site)}


def _left_out(now: Rehearsal) -> set[str | None]:
    """The components of which a human has skipped a step."""
    return {step.component for step in now.plan.steps if now.state.steps[step.id].status is Status.SKIPPED}


def _acts(world: World, component: str, site: str) -> bool:
    if (component, site) in world.servers:
        return site in world.writable(component)
    return world.power[component, site] == "on"


def _rebuilt(now: Rehearsal, want: Want) -> None:
    """I3: what is rebuilt is not what serves. I9: it comes back only when it is proven that it cannot accept writes."""
    if now.past.lawful.get(want.component) == want.site:
        raise Broken(f"I3: {want} is sent, and that is where {want.component} serves")
    for step in now.plan.of_kind("isolate"):
        if step.component != want.component or not want.activates:
            continue
        record = now.state.steps[step.id]
        if record.status is not Status.DONE or not record.evidence:
            raise Broken(f"I9: {want} is sent before it is isolated")
        if not _strong(now, record.evidence, Strength.F2):
            raise Broken(f"I9: {want} is sent with weak evidence that it is isolated")


def _given_back(now: Rehearsal, sent: Try) -> None:
    """I9: what was replaced stays fenced. I8: so does what a promotion may replace yet, of whichever execution.

    A machine may be powered on where what starts on it is a standby: that makes no writer.
    """
    want = sent.order.want
    for step in now.plan.of_kind(*CUTS):
        evidence = now.state.steps[step.id].evidence
        vouched = evidence and evidence.attested_by and (step.component, step.site) == (want.component, want.site)
        if vouched and sent.order.attempt.undo:
            raise Broken(f"I9: {want} is sent, but people have cut it off, and give it back themselves")
    server = now.world.servers.get((want.component, want.site or ""))
    if want.desired == ON and server and server.signal:
        return
    if now.past.lawful.get(want.component, want.site) != want.site:
        raise Broken(f"I9: {want} is sent, but {now.past.lawful[want.component]} was promoted since")
    coming = [str(other.order.want) for other in promotions_to_come(now) if other.order.want.site != want.site]
    if coming:
        raise Broken(f"I8: {want} is sent while this may still take effect: {coming}")


def _agreed(now: Rehearsal, sent: Try) -> None:
    """I7: those who may have approved this very plan, and a promotion beyond that where the runbook has a gate."""
    if not own(now, sent):
        return
    for gate, approvers in now.mission.demands.approvals.items():
        if gate == "promotion" and sent.order.want.desired != PRIMARY:
            continue
        approval = now.state.approvals.get(gate)
        if approval is None:
            raise Broken(f"I7: {sent.order.want} is sent, but nobody has approved {gate!r}")
        allowed = not approvers or _spelt(approval.by) in map(_spelt, approvers)
        if approval.plan != now.mission.hash or not allowed:
            raise Broken(f"I7: {sent.order.want} is sent, but {gate!r} was approved by {approval}")


def _promotion_is_due(now: Rehearsal, sent: Try) -> None:
    """I2: a promotion is sent only when all that acts at the other site is cut off, in truth and by strong evidence."""
    want, source = sent.order.want, sent.mission.plan.source
    coming = [str(other.order.want) for other in sent_to_come(now) if other.order.want.deactivates
              and (other.order.want.component, other.order.want.site) == (want.component, want.site)]  # fmt: skip
    if coming and own(now, sent):
        raise Broken(f"I2: {want} is sent while this may still take effect: {coming}")
    for component, needed in sent.mission.demands.proof.items():
        if not _cut_off(now.world, component, source):
            raise Broken(f"I2: {want} is sent while {component} at {source} is not cut off")
        if own(now, sent):
            _proven(now, component, needed, want)


def _proven(now: Rehearsal, component: str, needed: Strength, want: Want) -> None:
    """A machine needs the evidence that the runbook asks for; a store that was stopped tells its own end (F2)."""
    cut = [s for s in now.plan.of_kind("fence", "stop") if (s.component, s.site) == (component, now.plan.source)]
    evidence = next((found for step in cut if (found := now.state.steps[step.id].evidence)), None)
    if evidence is None:
        raise Broken(f"I2: {want} is sent without evidence that {component} at {now.plan.source} is cut off")
    enough = needed if isinstance(evidence.state, Power) else Strength.F2
    if not _strong(now, evidence, enough):
        raise Broken(f"I2: {want} is sent with weak evidence that {component} at {now.plan.source} is cut off")


def _strong(now: Rehearsal, evidence: Evidence, needed: Strength) -> bool:
    """True where two people vouch for it, or as many controllers as are needed have read it themselves, latched, after
    they were asked; what the engine makes of their strength does not count."""
    if len(set(map(_spelt, evidence.attested_by))) > 1:
        return True
    read = [
        each for each in (evidence, *evidence.beside)
        if each.requested_at is not None and each.reading.authoritative and each.reading.latched
        and each.reading.identity != OTHER
    ]  # fmt: skip
    if needed < Strength.F3:
        return evidence in read
    return len({now.plan.resources[each.resource].controller for each in read} - {""}) > 1


def _spelt(by: str) -> str:
    """The same for every spelling of a name. The judge's own: it does not go by what it judges (`commands.person`)."""
    return normalize("NFKC", by).strip().casefold()


def _start_is_due(now: Rehearsal, sent: Try) -> None:
    """I2: what acts by itself is started only when its twin at the other site is cut off, in truth."""
    want, source = sent.order.want, sent.mission.plan.source
    if want.component in sent.mission.demands.proof and not _cut_off(now.world, want.component, source):
        raise Broken(f"I2: {want} is sent while {want.component} at {source} is not cut off")
    if own(now, sent) and want.component in sent.mission.demands.proof:
        _proven(now, want.component, sent.mission.demands.proof[want.component], want)


def _cut_off(world: World, component: str, site: str) -> bool:
    server = world.servers.get((component, site))
    latched = server is not None and server.signal and server.role != "primary"
    return latched or world.power.get((component, site)) == "off"


def _skipped(mission: Mission, state: ExecutionState) -> str | None:
    for step in mission.plan.steps:
        if step.kind in SAFETY and state.steps[step.id].status is Status.SKIPPED:
            return f"{step.id} was skipped"
    return None
