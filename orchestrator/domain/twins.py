"""What acts at one site must not act at the other: nothing is switched on beside what has replaced it (I1, I9)."""

from __future__ import annotations

from orchestrator.domain.ledger import GroupRecord, Request, promotions, successor
from orchestrator.domain.plan import Plan, Want
from orchestrator.domain.resource_ids import instance
from orchestrator.domain.state import ExecutionState, Status
from orchestrator.domain.world import OFF, ON, PRIMARY, State


def replaced(plan: Plan, state: ExecutionState, component: str) -> str | None:
    """Why an unfence must not power on the component's machine; None where it was surely never replaced.

    A database goes by the ledger, and by the role that the other server is read in: it is rebuilt, even where its
    successor is down by now. A machine that acts by itself goes by what was asked for last and by what is read: where
    nothing tells that its twin is off, it may be on.
    """
    rebuild = f"rebuild it with `tideover failback {plan.group} --reprotect-only`"
    if why := _promoted_elsewhere(state.record, component, plan.target):
        return f"{why}: {rebuild}"
    other = state.found.get(instance(component, plan.source))
    if other and other.state("role") == PRIMARY:
        return f"was replaced: {component} at {plan.source} is a primary, whoever promoted it: {rebuild}"
    return _twin_acts(plan, state, component) if _acts_by_itself(plan, component) else None


def maybe_replaced(record: GroupRecord, site: str) -> bool:
    """True where a database was promoted at another site than this, or may be: an unfence of this one is refused then,
    and not worth proposing (I9)."""
    databases = {*record.holders, *(promoted.want.component for promoted in promotions(record))}
    return any(_promoted_elsewhere(record, database, site) for database in databases)


def _promoted_elsewhere(record: GroupRecord, database: str, site: str) -> str | None:
    """What the ledger knows of a promotion that has replaced the database at this site, or may have."""
    if after := successor(record, database, site):
        return f"was replaced by {after}, which has served since"
    for promoted in promotions(record):
        if promoted.want.component == database and promoted.want.site != site:
            return f"may have been replaced, as {promoted.want} was requested by {promoted.attempt}: look at it first"
    return None


def started_elsewhere(plan: Plan, state: ExecutionState, want: Want) -> str | None:
    """Why undo must not switch on a machine that acts by itself; None where nothing speaks against it.

    It is the twin's start that speaks against it, unless it was read off since. What acted before this execution is no
    matter of it: undo restores what was.
    """
    if not want.activates or not _acts_by_itself(plan, want.component):
        return None
    asked = _asked(state, want.component, other_than=want.site)
    starts = [request for request in asked if request.want.activates]
    if not starts or (not asked[-1].want.activates and _read_off(plan, state, asked[-1])):
        return None
    return f"{want.component} was started at {starts[-1].want.site} by {starts[-1].attempt}, and must not act twice"


def _read_off(plan: Plan, state: ExecutionState, last: Request) -> bool:
    """True where the machine was read off after that was asked for last: by this execution, or by its checks."""
    if last.attempt.epoch != state.record.epoch:
        return set(_power(plan, state, last.want.component, last.want.site)) == {OFF}
    of = state.undone.get(last.want.resource) if last.attempt.undo else state.steps.get(last.attempt.step)
    return of is not None and of.status is Status.DONE


def _power(plan: Plan, state: ExecutionState, component: str, site: str | None) -> list[State | None]:
    """What the checks have read of the machine's power, through each of its fence methods."""
    specs = [spec.id for spec in plan.resources.values() if (spec.component, spec.site) == (component, site)]
    return [state.found[name].state("power") for name in specs if name in state.found]


def _twin_acts(plan: Plan, state: ExecutionState, component: str) -> str | None:
    site, asked = plan.source, _asked(state, component, other_than=plan.target)
    read = _power(plan, state, component, site)
    way_out = f"move the service with `tideover run {plan.group} --to {plan.target} --mode planned`, or switch that off"
    if ON in read:
        return f"is on at {site}, and must not act twice: {way_out}"
    if asked and asked[-1].want.activates:
        return f"was started at {site} by {asked[-1].attempt}, and must not act twice: {way_out}"
    if not read:
        return f"may be on at {site}, where its machine cannot be read: {way_out}"
    return None


def _acts_by_itself(plan: Plan, component: str) -> bool:
    """True for a machine without a server in it that would decide whether it may act: only its power tells."""
    own = [spec.id for spec in plan.resources.values() if spec.component == component and spec.site is not None]
    return bool(own) and all(":" in name for name in own)


def _asked(state: ExecutionState, component: str, other_than: str | None) -> list[Request]:
    """What was asked of it elsewhere, by this execution or one that did not come to its end; the oldest first."""
    asked = (r for r in state.record.issued if r.want.component == component and r.want.site not in (None, other_than))
    return sorted(asked, key=lambda request: (request.attempt.epoch, request.attempt.n))
