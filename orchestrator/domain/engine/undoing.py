"""Undo: what was issued before the promotion, put back to what it was, while that is safe (I8)."""

from __future__ import annotations

from orchestrator.domain.ledger import Request
from orchestrator.domain.plan import CUTS, Plan, Step, Want
from orchestrator.domain.resource_ids import instance, method_of, place_of
from orchestrator.domain.state import ExecutionState, Status, Undo
from orchestrator.domain.world import OFF, PRIMARY, STANDBY, Holder, Records, State


def undo_list(plan: Plan, state: ExecutionState) -> tuple[Undo, ...]:
    """Every resource that this execution touched, the last touched first, with the state it shall go back to.

    It covers every request that was issued, by any method and with any outcome but "surely not sent"; `before`, not
    "on", is what is restored. What only points clients somewhere comes after all else: a machine without power cannot
    take its address back, and a standby that refuses serves clients better than a server that is not there yet (I10).
    A resource whose `before` is not known cannot be in it: see `unrestorable`.
    """
    undos: dict[str, Undo] = {}
    for (resource, kind), step in _touched(plan, state).items():
        before = before_of(state, resource, kind)
        if before is not None and resource not in undos:
            spec = plan.resources[resource]
            want = Want(resource=resource, component=spec.component, site=spec.site, desired=before)
            undos[resource] = Undo(step=step, want=want)
    return tuple(sorted(undos.values(), key=lambda undo: isinstance(undo.want.desired, Holder | Records)))


def unrestorable(plan: Plan, state: ExecutionState) -> tuple[str, ...]:
    """Resources that were touched and whose state before that is not known: nothing can put them back."""
    unknown = {
        resource
        for (resource, kind), step in _touched(plan, state).items()
        if before_of(state, resource, kind) is None and not _was_down(state, resource, plan.step(step))
    }
    return tuple(sorted(unknown))


def inherited(plan: Plan, state: ExecutionState) -> tuple[str, ...]:
    """What an earlier execution that never came to its end asked of this plan's resources, and nothing here puts back:
    it may still take effect, or was not found as it was before, or a server went down with it and was not read to run
    since. With any of it, not everything is as it was before (I4)."""
    own, touched = state.record.epoch, _touched(plan, state)
    open_ends = [doubt for doubt in state.record.doubts if doubt.attempt.epoch != own]
    for request in (request for request in state.record.issued if request.attempt.epoch != own):
        known = (request.want.resource, request.want.desired.kind)
        stays = known not in touched and not _found_as_before(state, request.want.resource)
        if stays or _took_down(plan, state, request):
            open_ends.append(request)
    wants = [r.want for r in open_ends if r.want.resource in plan.resources]
    left = [want for want in wants if before_of(state, want.resource, want.desired.kind) != want.desired]
    return tuple(dict.fromkeys(map(str, left)))


def by_hand(plan: Plan, state: ExecutionState) -> dict[str, str]:
    """Resource to site: what people have switched off and vouched for (FH). No undo gives it back."""
    lifted = {(s.component, s.site) for s in plan.of_kind("release") if state.steps[s.id].status is Status.DONE}
    off = {}
    for step in plan.of_kind(*CUTS):
        evidence = state.steps[step.id].evidence
        if evidence and evidence.attested_by and step.site and (step.component, step.site) not in lifted:
            off[evidence.resource] = step.site
    return off


def _found_as_before(state: ExecutionState, resource: str) -> bool:
    """True where this execution's checks have read what the resource was before all that is unfinished."""
    before, reading = state.record.before.get(resource), state.found.get(resource)
    return before is not None and reading is not None and reading.state(before.kind) == before


def _took_down(plan: Plan, state: ExecutionState, request: Request) -> bool:
    """True where the request cut off a machine and its server was not found running by this execution's checks."""
    server = instance(request.want.component, request.want.site)
    if not request.want.deactivates or server == request.want.resource or server not in plan.resources:
        return False
    found = state.found.get(server)
    return found is None or found.state("role") not in (PRIMARY, STANDBY)


def _was_down(state: ExecutionState, resource: str, step: Step) -> bool:
    """True for a server that a fence took along, that nothing else was asked of, and that was surely down before: read
    so, or its machine was off."""
    if resource not in step.touches or any(request.want.resource == resource for request in state.record.issued):
        return False
    machine_was_off = any(before_of(state, want.resource, "power") == OFF for want in step.wants)
    return resource in state.found or machine_was_off


def _touched(plan: Plan, state: ExecutionState) -> dict[tuple[str, str], str]:
    """(resource, kind of state) to the step: all that this execution changed, or maybe, but for what people have cut
    off by hand; the last touched first."""
    found: dict[tuple[str, str], str] = {}
    vouched = [name for name, record in state.steps.items() if record.evidence and record.evidence.attested_by]
    for request in reversed(state.record.issued):
        if request.attempt.undo or request.attempt.epoch != state.record.epoch:
            continue
        step = plan.step(request.attempt.step)
        if step.id in vouched:
            continue
        for touched in ((request.want.resource, request.want.desired.kind), *((r, "role") for r in step.touches)):
            found.setdefault(touched, step.id)
    return found


def before_of(state: ExecutionState, resource: str, kind: str) -> State | None:
    """What the resource was before it was first touched: the ledger's word, else the check's reading. Of a machine's
    power the ledger's word of another of its doors counts as well: what an unfinished execution has switched there, the
    check has read here."""
    remembered = state.record.before.get(resource) or _at_another_door(state, resource)
    if remembered is not None and remembered.kind == kind:
        return remembered
    reading = state.found.get(resource)
    return reading.state(kind) if reading else None


def _at_another_door(state: ExecutionState, resource: str) -> State | None:
    if not method_of(resource):
        return None
    earlier = (request.want.resource for request in state.record.issued if request.attempt.epoch != state.record.epoch)
    doors = (other for other in earlier if method_of(other) and place_of(other) == place_of(resource))
    return next((state.record.before[other] for other in doors if other in state.record.before), None)


def next_undo(state: ExecutionState) -> Undo | None:
    """The undo to start now: one at a time, in order; None while one runs, one has failed, or all are done."""
    for undo in state.undos:
        record = state.undone.get(undo.want.resource)
        if record is None or record.status is Status.PENDING:
            return undo
        if record.status is not Status.DONE:
            return None
    return None
