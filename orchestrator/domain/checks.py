"""What the checks mean: which findings stop an execution before anything is changed, and which only warn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from orchestrator.domain.base import Frozen
from orchestrator.domain.durations import show
from orchestrator.domain.ledger import GroupRecord, Request, conflict, opposite, promotions
from orchestrator.domain.loss import Loss, would_lose
from orchestrator.domain.plan import Plan
from orchestrator.domain.resource_ids import instance, method_of, place_of
from orchestrator.domain.settling import beyond_a_word
from orchestrator.domain.state import ExecutionState
from orchestrator.domain.twins import maybe_replaced, replaced
from orchestrator.domain.world import Reading, ReplicatesFrom, Strength, share_no_controller


class CheckFinding(Frozen):
    """One thing that a check found. `blocks`: nothing may be changed before it is mended."""

    level: Literal["blocks", "warns"]
    component: str
    site: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.component}{f' at {self.site}' if self.site else ''}: {self.text}"


def judge(plan: Plan, state: ExecutionState) -> tuple[CheckFinding, ...]:
    """Every finding of the checks, the blocking ones first."""
    found = [*_unfinished(plan, state), *_errors(plan, state), *_warnings(plan, state)]
    for component in writers(plan):
        found += _roles(plan, state, component)
        found += _ledger(plan, state, component)
    for component in unfenced(plan):
        why = replaced(plan, state, component)
        found += (_blocks(component, plan.target, why),) if why else ()
    return tuple(sorted(found, key=lambda f: f.level != "blocks"))


def writers(plan: Plan) -> tuple[str, ...]:
    """The components with one writer that this plan promotes or rebuilds."""
    return tuple(dict.fromkeys(s.component for s in plan.of_kind("promote", "rebuild") if s.component))


def unfenced(plan: Plan) -> tuple[str, ...]:
    """The components whose machines an unfence powers on."""
    starts = plan.of_kind("start") if plan.mode == "unfence" else ()
    return tuple(dict.fromkeys(step.component for step in starts if step.component))


def promoted_before(state: ExecutionState, component: str, site: str) -> bool:
    """True where an execution that did not end cleanly has requested this promotion: the next goes on from there."""
    asked = (request.want for request in promotions(state.record))
    return any((want.component, want.site) == (component, site) for want in asked)


def current_loss(plan: Plan, state: ExecutionState, until: float | None = None) -> Loss | None:
    """What a promotion would lose by the newest readings; the worst of all writers. None where nothing is promoted.

    `until`: when the source was last able to accept a commit; by default when it was read.
    """
    losses = [_loss_of(plan, state, c, until) for c in writers(plan)] if plan.of_kind("promote") else []
    return max(losses, key=lambda loss: float("inf") if loss.seconds is None else loss.seconds, default=None)


def _loss_of(plan: Plan, state: ExecutionState, component: str, until: float | None) -> Loss:
    source, target = f"{component}@{plan.source}", f"{component}@{plan.target}"
    at = until if until is not None else state.read_at.get(target, state.now)
    read = state.readings
    return would_lose(read.get(source), read.get(target), at, until is not None, state.found.get(target))


def _errors(plan: Plan, state: ExecutionState) -> Iterator[CheckFinding]:
    for resource, error in state.errors.items():
        spec = plan.resources[resource]
        if ":" in resource:
            yield from _fence_errors(plan, state, resource)
            continue
        lost_site = spec.site is not None and spec.site == _may_be_lost(plan)
        level: Literal["blocks", "warns"] = "warns" if lost_site else "blocks"
        yield CheckFinding(level=level, component=spec.component, site=spec.site, text=error.why)


def _may_be_lost(plan: Plan) -> str | None:
    """The site that need not answer: the lost source of a forced failover, the old primary that is rebuilt."""
    return {"forced": plan.source, "reprotect": plan.target, "unfence": plan.target}.get(plan.mode)


def _fence_errors(plan: Plan, state: ExecutionState, resource: str) -> Iterator[CheckFinding]:
    """A fence method that does not answer: it blocks where it cannot mend itself and the others are not enough."""
    spec, error = plan.resources[resource], state.errors[resource]
    methods = [r for r in plan.resources if method_of(r) and place_of(r) == place_of(resource)]
    needing = [step for step in plan.steps if any(resource == want.resource for want in step.wants)]
    usable = [r for r in methods if r not in state.errors or not state.errors[r].lasting]
    hopeless = not usable or (
        any(step.needs_strength is Strength.F3 for step in needing)
        and not share_no_controller(plan.resources[r].controller for r in usable)
    )
    level: Literal["blocks", "warns"] = "blocks" if needing and hopeless else "warns"
    text = f"its fence method {resource.partition(':')[2]} does not answer: {error.why}"
    yield CheckFinding(level=level, component=spec.component, site=spec.site, text=text)


def requested(record: GroupRecord) -> tuple[str, ...]:
    """What an execution that has not ended, or not cleanly, has asked for, oldest first: answered or not."""
    return tuple(dict.fromkeys(str(request.want) for request in record.issued if not request.attempt.undo))


def _unfinished(plan: Plan, state: ExecutionState) -> Iterator[CheckFinding]:
    """What an execution that has not ended, as after a Terminate, or not cleanly, has begun: the next inherits it."""
    if state.claimed:
        return
    holder = state.record.execution
    begun = "; ".join(requested(state.record))
    if holder:
        text = f"is held by {holder}: this one is refused while that runs, and inherits what it began if it was ended"
    elif begun:
        text = "an earlier execution ended with work left: this one inherits what it began"
    else:
        return
    text += f" ({begun})" if begun else ""
    yield CheckFinding(level="warns", component=plan.group, site=None, text=text)


def _warnings(plan: Plan, state: ExecutionState) -> Iterator[CheckFinding]:
    for resource, reading in state.readings.items():
        spec = plan.resources[resource]
        for text in reading.warnings:
            yield CheckFinding(level="warns", component=spec.component, site=spec.site, text=text)


def _roles(plan: Plan, state: ExecutionState, component: str) -> Iterator[CheckFinding]:
    source = state.readings.get(f"{component}@{plan.source}")
    target = state.readings.get(f"{component}@{plan.target}")
    if source and target and source.identity != target.identity:
        text = f"{plan.source} is {source.identity} and {plan.target} is {target.identity}: not the same database"
        yield CheckFinding(level="blocks", component=component, site=None, text=text)
    if plan.mode == "reprotect":
        yield from _reprotect_roles(plan, state, component)
        return
    if plan.mode == "forced" and promoted_before(state, component, plan.target) and _role(target) == "primary":
        text = "was promoted by an execution that did not come to its end: this one goes on from there"
        yield CheckFinding(level="warns", component=component, site=plan.target, text=text)
    else:
        yield from _failover_roles(plan, state, component)


def _nothing_to_move(plan: Plan, state: ExecutionState, component: str) -> str:
    if not promoted_before(state, component, plan.target):
        return "there is nothing to move"
    go_on = f"tideover run {plan.group} --to {plan.target} --mode forced"
    return f"an execution that did not come to its end promoted it; go on from there with `{go_on}`"


def _failover_roles(plan: Plan, state: ExecutionState, component: str) -> Iterator[CheckFinding]:
    source = state.readings.get(f"{component}@{plan.source}")
    target = state.readings.get(f"{component}@{plan.target}")
    role = _role(target)
    if role == "primary":
        yield _blocks(component, plan.target, f"is primary already: {_nothing_to_move(plan, state, component)}")
    elif target and role != "standby":
        text = f"is {_found_as(target)}, not a standby: start it if it was one, or rebuild it with reprotect"
        yield _blocks(component, plan.target, text)
    down = _role(source) in (None, "stopped")  # crashed or shut down: what a forced failover is for
    if source and _role(source) != "primary" and not (down and plan.mode == "forced"):
        text = f"is {_found_as(source)}, not primary: check the direction and the mode"
        yield _blocks(component, plan.source, text + (_start_the_last(plan, state, component) if down else ""))
    streams = target and target.state("replicates_from") == ReplicatesFrom(site=plan.source)
    if plan.mode == "planned" and target and role == "standby" and not streams:
        yield _blocks(component, plan.target, f"does not stream from {plan.source}: a planned move would lose data")


def _reprotect_roles(plan: Plan, state: ExecutionState, component: str) -> Iterator[CheckFinding]:
    primary = state.readings.get(f"{component}@{plan.source}")
    if primary and _role(primary) != "primary":
        text = f"is {_found_as(primary)}: there is no primary to rebuild {plan.target} from"
        yield _blocks(component, plan.source, f"{text}{_start_the_last(plan, state, component)}")
    if _role(state.readings.get(f"{component}@{plan.target}")) == "primary":
        text = "accepts writes as well: look which data is the right one, and stop the other server by hand"
        yield _blocks(component, plan.target, text)


def _start_the_last(plan: Plan, state: ExecutionState, component: str) -> str:
    """The way out where the database's last primary is down and stands under no fence. Nothing where the ledger, or the
    other server, speaks of a successor, or the other server cannot be read: a human may have promoted it (I1)."""
    if state.record.holders.get(component) != plan.source or maybe_replaced(state.record, plan.source):
        return ""
    other = state.readings.get(f"{component}@{plan.target}")
    if other is None or _role(other) == "primary" or _fences(state, component, plan.source):
        return ""
    last = state.readings.get(f"{component}@{plan.source}")
    how = " as a primary: as it is, it would come up as a standby" if last and last.latched else ""
    return f"; it was the last one proven, and nothing is known to have replaced it: start its server{how}"


def _ledger(plan: Plan, state: ExecutionState, component: str) -> Iterator[CheckFinding]:
    """What earlier executions left behind (I9, and the rule of opposite requests in doubt)."""
    if plan.moves and _fences(state, component, plan.target):
        yield _blocks(component, plan.target, _still_fenced(plan, state, component))
    for step in plan.of_kind("promote"):
        doubt = opposite(state.record, step.wants[0]) if step.component == component else None
        if doubt:
            why = conflict(state.record, step.wants[0])
            yield _blocks(component, plan.target, f"{why}: {_way_out(plan, state, doubt)}")


def _fences(state: ExecutionState, component: str, site: str) -> list[str]:
    """What the ledger holds fenced of the component at the site."""
    return [resource for resource in state.record.fenced if place_of(resource) == instance(component, site)]


def _still_fenced(plan: Plan, state: ExecutionState, component: str) -> str:
    """What leads out of a fence that has to stay (I9). Where its successor is gone too, no rule can weigh the loss."""
    text = f"is fenced since an earlier failover: run `tideover failback {plan.group} --reprotect-only` first"
    successor = state.readings.get(f"{component}@{plan.source}")
    if _role(successor) == "primary":
        return text
    found = f"is {_role(successor) or 'down'}" if successor else "does not answer"
    return (
        f"{text}; that needs {component} at {plan.source}, which {found}: bring it back. If it is lost for good, "
        f"whatever was committed there is lost with it, and only people can start {plan.target} again, by hand"
    )


def _way_out(plan: Plan, state: ExecutionState, doubt: Request) -> str:
    spec = plan.resources.get(doubt.want.resource)
    if spec is None or spec.late_effect is None:
        return beyond_a_word(doubt, None) or "look at it with `tideover doctor`"
    left = max(1.0, doubt.at + spec.late_effect - state.now)
    return f"for {show(round(left))} more at most; start it again then"


def _blocks(component: str, site: str | None, text: str) -> CheckFinding:
    return CheckFinding(level="blocks", component=component, site=site, text=text)


def _role(reading: Reading | None) -> str | None:
    return reading.role if reading else None


def _found_as(reading: Reading) -> str:
    """The role of a server that was read; one that crashed is in none."""
    return _role(reading) or "down and was not shut down cleanly"
