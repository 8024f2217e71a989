"""A plan for a person with no tool at all: what to look at, do, read back and tick, in the plan's own order. Pure.

The order, the barrier and what each step must prove are the plan's; how a resource is read and set by hand is its
provider's (`ByHand`). Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator.app import plan_view
from orchestrator.domain.by_hand import ByHand, filled, wanted
from orchestrator.domain.catalog import Catalog, NoSettings
from orchestrator.domain.durations import show
from orchestrator.domain.plan import CUTS, Plan, ResourceSpec, Step, Want
from orchestrator.domain.resource_ids import instance
from orchestrator.domain.world import OFF, ON, Holder, Records, State, Strength

TICK = "- [ ] done    time ____:____    name ______________________    read back ______________________________"
BLANK = "______________________________"


def markdown(plan: Plan, catalog: Catalog) -> str:
    """The whole checklist."""
    lines = [*_head(plan)]
    fenced, shown = plan_view.barrier(plan), False
    for number, row in enumerate(plan_view.rows(plan), start=1):
        if fenced and row.step.id in fenced[1] and not shown:
            lines += _barrier(plan, fenced[0])
            shown = True
        lines += [f"## {number}. `{row.step.id}`: {plan_view.inline(row.step.summary)}", ""]
        lines += [*_when(plan, row), *_how(plan, catalog, row.step, row.undo), TICK, ""]
    return "\n".join([*lines, *_foot(plan)])


def _head(plan: Plan) -> Iterator[str]:
    yield f"# By hand: {plan_view.title(plan)}"
    yield ""
    yield f"plan `{plan.hash}` · {plan_view.objectives(plan)} · printed from the plan: its order is not to be changed"
    yield ""
    yield "- One person reads aloud, another types; both sign. Write the time of every box."
    yield "- Tideover must not act beside you: no execution may be under way. End its workers first."
    yield "- **No answer and a time-out prove nothing.** What was requested and not read back may still come."
    yield "- A password is asked for where it is needed. Do not write one on this paper."
    yield ""
    yield "- [ ] no worker and no execution runs    time ____:____    name ______________________"
    yield ""


def _foot(plan: Plan) -> Iterator[str]:
    yield "## Afterwards"
    yield ""
    yield f"Tideover knows nothing of what was done by hand. Before its next execution: `tideover status {plan.group}`."
    yield "Compare what it reads with this paper, and keep the paper with the report."
    if plan.of_kind("promote"):
        yield f"The old primary at {plan.source} must not be started: it is to be rebuilt as a standby first."
    for name in _acting(plan):
        yield f"The machine of `{name}` at {plan.source} must not be started while that at {plan.target} may be on."
    yield ""
    yield f"- [ ] all of the above was compared    time ____:____    name ______________________    plan `{plan.hash}`"


def _barrier(plan: Plan, proven: frozenset[str]) -> Iterator[str]:
    yield "---"
    yield ""
    yield f"## BARRIER: do not go on before {plan_view.barrier_text(plan)}"
    yield ""
    yield from (f"- [ ] `{step.id}` is ticked, and read back as: {BLANK}" for step in plan.steps if step.id in proven)
    yield ""
    two = "two writers lose more" if plan.of_kind("promote") else "two machines that act do more harm"
    yield f"If one of these cannot be ticked, stop here: {two} than a longer outage."
    if plan.of_kind("promote"):
        yield "From the first promotion on there is only forward: nothing above is undone any more."
    if acting := _acting(plan):
        machines = ", ".join(f"`{name}`" for name in acting)
        yield f"Never power on {machines} at {plan.source} while it may be on at {plan.target}: read that off first."
    yield ""
    yield "- [ ] we go on    time ____:____    first name ______________________    second name ______________________"
    yield ""
    yield "---"
    yield ""


def _acting(plan: Plan) -> list[str]:
    """The components whose machines act by themselves, and are started at the target of a move."""
    return list(dict.fromkeys(step.component for step in plan.of_kind("start") if plan.moves and step.component))


def _when(plan: Plan, row: plan_view.Row) -> Iterator[str]:
    if row.step.after:
        yield f"- not before: {', '.join(f'`{before}`' for before in row.step.after)}"
    beside = [other.step.id for other in plan_view.rows(plan) if other.rank == row.rank and other.step != row.step]
    if beside:
        yield f"- may be done at the same time: {', '.join(f'`{step}`' for step in beside)}"


def _how(plan: Plan, catalog: Catalog, step: Step, undo: str) -> Iterator[str]:
    for resource in step.looks_at:
        yield f"- look at `{resource}`, and write down what it is: {BLANK}"
        yield from _code(_looking(plan, catalog, resource, None))
    for number, want in enumerate(step.wants, start=1):
        yield from _reaching(plan, catalog, step, want, number)
    yield from _proof(step)
    if step.kind == "approve":
        allowed = ", ".join(step.gate.approvers) if step.gate and step.gate.approvers else "whoever may decide it"
        yield f"- who approves: {allowed}, by the plan's hash `{plan.hash}` and the site said aloud: **{plan.target}**"
    if step.kind == "measure":
        yield f"- what may be lost: at most {show(plan.objectives.rpo)}, or what the approver writes here: ____________"
        yield f"- it must be a standby that receives nothing from {plan.source} any more: else that fence is not true"
    if step.kind == "recheck":
        yield "- no answer proves nothing: go on. An answer as a primary makes its fence void: fence it in another way"
    if step.kind == "catch_up":
        yield "- it must have replayed *past* the position at which the source was shut down, not merely up to it"
    if undo:
        forward = undo == plan_view.FORWARD_ONLY
        until = ", and never once a promotion was begun" if plan.of_kind("promote") else ""
        yield f"- undo: {undo}" if forward else f"- undo, the last step first{until}:"
        yield from () if forward else _undoing(plan, catalog, step)


def _reaching(plan: Plan, catalog: Catalog, step: Step, want: Want, number: int) -> Iterator[str]:
    how = _by_hand(plan, catalog, want.resource)
    if number > 1 and step.needs_strength is Strength.F3:
        yield f"- **also, until two that share no controller have confirmed it**, method {number}, `{want.resource}`:"
    elif number > 1:
        yield f"- **only if the one before was not confirmed**, method {number}, `{want.resource}`:"
    looking = _looking(plan, catalog, want.resource, want.desired)
    if plan_view.changes(step):
        yield f"- before: `{want.resource}` is {BLANK} (look as below)"
        doing = _filled(plan, catalog, want.resource, want.desired, how.do.get(wanted(want.desired), ()) if how else ())
        yield f"- do: bring `{want.resource}` to **{want.desired}**" + ("" if doing else f" {_no_commands(plan, want)}")
        yield from _code(doing)
    reading = "read back, by a look begun after that" if plan_view.changes(step) else "must read"
    yield f"- {reading}: **{want.desired}**"
    yield from _code(looking)


def _undoing(plan: Plan, catalog: Catalog, step: Step) -> Iterator[str]:
    for want in reversed(step.wants):
        how = _by_hand(plan, catalog, want.resource)
        yield f"    - bring `{want.resource}` back to what was written down as before, and read it back"
        if how and want.desired == OFF:
            on = ON
            yield from _code(_filled(plan, catalog, want.resource, on, how.do.get(wanted(on), ())))


def _proof(step: Step) -> Iterator[str]:
    if step.needs_strength:
        latched = ", and it cannot come back writable by itself" if step.needs_latch else ""
        strength = f"F{step.needs_strength:d}"
        yield f"- done only when the authority that cut it reads it back after the cut ({strength}){latched}"
    if step.kind in CUTS:
        yield "- if nobody can read it back: two different people vouch for it, each with the reason"
        yield f"    - name ______________________ because {BLANK}"
        yield f"    - name ______________________ because {BLANK}"


def _no_commands(plan: Plan, want: Want) -> str:
    kind = plan.resources[want.resource].type
    return f"with its own console or tool (no commands are known for {kind}); its own authority must read it back"


def _looking(plan: Plan, catalog: Catalog, resource: str, state: State | None) -> list[str]:
    how = _by_hand(plan, catalog, resource)
    found = _filled(plan, catalog, resource, state, how.look) if how else []
    return found or [f"(no commands are known for {plan.resources[resource].type}: its own console, or its own tool)"]


def _by_hand(plan: Plan, catalog: Catalog, resource: str) -> ByHand | None:
    return catalog.get(plan.resources[resource].type).by_hand


def _filled(plan: Plan, catalog: Catalog, resource: str, state: State | None, lines: tuple[str, ...]) -> list[str]:
    spec = plan.resources[resource]
    site = spec.site or (state.site if isinstance(state, Holder) and state.site else plan.target)
    return list(filled(lines, _keys(plan, catalog, spec, site), _records(plan, spec, state)))


def _keys(plan: Plan, catalog: Catalog, spec: ResourceSpec, site: str) -> dict[str, Any]:
    """What the provider's lines may name. The resource's models put in their defaults."""
    kind = catalog.get(spec.type)
    there = plan.source if site == plan.target else plan.target
    place = _dumped(kind.place, spec.places.get(site, {}))
    other = {f"there_{key}": value for key, value in _dumped(kind.place, spec.places.get(there, {})).items()}
    where = spec.sites[site].model_dump(exclude_none=True)
    given = {**where, **_dumped(kind.settings, spec.settings), **place, **_others(plan, spec, there), **other}
    given |= {"thing": spec.thing, "site": site, "there": there, "component": spec.component}
    return given | {"credentials": spec.credentials}


def _others(plan: Plan, spec: ResourceSpec, there: str) -> dict[str, Any]:
    """The keys of the same component's resource at the other site, where each site has its own."""
    twin = plan.resources.get(instance(spec.component, there))
    place = twin.places.get(there, {}) if twin and twin.type == spec.type else {}
    return {f"there_{key}": value for key, value in place.items()}


def _dumped(model: Any, keys: Mapping[str, Any]) -> dict[str, Any]:
    if model is NoSettings:
        return dict(keys)
    try:
        found: dict[str, Any] = model.model_validate(keys).model_dump(mode="json", exclude_none=True)
    except ValidationError:  # a place that the resource does not have, or one that knows less than it needs
        return dict(keys)
    return found


def _records(plan: Plan, spec: ResourceSpec, state: State | None) -> list[dict[str, str]]:
    """Each answer of a name, for the lines that are repeated."""
    wants = [want.desired for step in plan.steps for want in step.wants if want.resource == spec.id]
    records = next((found for found in (state, *wants) if isinstance(found, Records)), None)
    if records is None:
        return []
    given = sorted(records.records.items())
    return [{"kind": kind, "value": value, "ttl": str(records.ttl)} for kind, values in given for value in values]


def _code(lines: list[str]) -> Iterator[str]:
    if lines:
        yield from ("", *(f"      {part}" for line in lines for part in line.split("\n")), "")
