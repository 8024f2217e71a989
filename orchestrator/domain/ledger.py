"""The safety state of a protection group. It lives in the journal, so every execution inherits what is in doubt.

Pure functions from record to record. The runtime writes each result by compare-and-set; the engine folds the same
functions over its own copy, so that the two cannot disagree about a rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from orchestrator.domain.base import Frozen
from orchestrator.domain.outcome import Done, Outcome, Unknown
from orchestrator.domain.plan import Kind, Plan, PlanMode, Want
from orchestrator.domain.resource_ids import instance, place_of
from orchestrator.domain.world import PRIMARY, State


class Attempt(Frozen):
    """The guard's token: one try of one method of one step, or of its undo. `n` rises over an execution's attempts."""

    epoch: int
    step: str
    method: int
    n: int
    undo: bool = False

    def __str__(self) -> str:
        return f"{self.epoch}/{self.n} {self.step}"


class Request(Frozen):
    """A mutating request that was sent, or maybe. `before`: what the resource was; `at`: seconds since the epoch."""

    attempt: Attempt
    want: Want
    before: State | None
    at: float


class Execution(Frozen):
    """Who holds the group. `id` leads back to the driver: a Temporal workflow and run, or a break-glass process.

    `home`: the ID of the Temporal namespace that it runs in, which no other has; empty where that is not known.
    """

    id: str
    who: str
    plan: str
    mode: PlanMode
    target: str
    since: float
    home: str = ""

    def __str__(self) -> str:
        return f"{self.id}, {self.mode} to {self.target}, started by {self.who}"


class Gone(Frozen):
    """An execution that surely runs no more, by its ID, and how that is known."""

    execution: str
    why: str


class GroupRecord(Frozen):
    """Everything that the next execution must know.

    claims: the newest attempt of this epoch for each resource. doubts: requests whose effect may still come.
    issued: requests that were sent in the running or last unfinished execution, oldest first: what undo must cover.
    before: what each resource was before it was first touched. holders: component to the site last proven primary.
    fenced: resource to the site it was cut off at; it stays until it is released explicitly (I9).
    tokens: what a long-running request left behind for the next attempt, by resource.
    """

    group: str
    epoch: int = 0
    execution: Execution | None = None
    claims: dict[str, int] = Field(default_factory=dict)
    doubts: tuple[Request, ...] = ()
    issued: tuple[Request, ...] = ()
    before: dict[str, State] = Field(default_factory=dict)
    holders: dict[str, str] = Field(default_factory=dict)
    fenced: dict[str, str] = Field(default_factory=dict)
    tokens: dict[str, str] = Field(default_factory=dict)


def open_execution(
    record: GroupRecord, execution: Execution, gone: Gone | None = None, seen: int | None = None
) -> GroupRecord | str:
    """The group claimed for `execution` under the next epoch, or why not (I6).

    `gone`: who held the group when it was looked up, and is closed, as after a Terminate. `seen`: the epoch of the
    checks: what has claimed the group since may have changed everything.
    """
    if record.execution and record.execution.id == execution.id:
        return record
    if record.execution and not (gone and gone.execution == record.execution.id):
        return f"{record.group} is held by {record.execution}: wait for it, or end it first"
    if seen is not None and record.epoch != seen:
        other = record.execution or "another execution"
        return f"{record.group} was claimed since the checks, by {other}: start again, so that they are made again"
    update = {"epoch": record.epoch + 1, "execution": execution, "claims": {}, "tokens": {}}
    return record.model_copy(update=update)


def not_holding(record: GroupRecord, execution: str) -> str | None:
    """Why the execution may change nothing (any more); None where it holds the group (I6).

    A run that was reset in Temporal begins again in the middle of what another run has claimed and gone on with: its
    epoch and its attempts' numbers are those of the other, and only its ID tells.
    """
    if record.execution and record.execution.id == execution:
        return None
    held = f"{record.group} is held by {record.execution}" if record.execution else f"nobody holds {record.group}"
    return f"{held}, and not by {execution}: that was taken over, or reset"


def over(record: GroupRecord, epoch: int) -> str | None:
    """Why nothing of this epoch may change anything any more; None where it is the group's (I6)."""
    if record.epoch == epoch:
        return None
    return f"epoch {epoch} of {record.group} is over: a newer execution has taken over, at epoch {record.epoch}"


def close_execution(record: GroupRecord, plan: Plan, epoch: int, clean: bool) -> GroupRecord:
    """The group released. After a clean end nothing that the plan is about is left to undo (a move is about all of the
    group); else the next one inherits it."""
    if over(record, epoch):
        return record
    update: dict[str, object] = {"execution": None, "claims": {}, "tokens": {}}
    if clean:
        left = frozenset[str]() if plan.moves else {r.want.resource for r in record.issued} - plan.resources.keys()
        served = {r.want.component: r.want.site for r in promotions(record) if r.attempt.epoch == epoch}
        update["holders"] = {**record.holders, **served}  # also where the journal never heard that it was promoted
        update["issued"] = tuple(request for request in record.issued if request.want.resource in left)
        update["before"] = {resource: state for resource, state in record.before.items() if resource in left}
    return record.model_copy(update=update)


def let_go(record: GroupRecord, plan: Plan, execution: str, epoch: int | None, clean: bool) -> GroupRecord | str:
    """The group after the execution's end, or why it is not its to release. Done twice it does no harm.

    `epoch`: as the execution knows it; None where it never heard that its claim was made, and so has changed nothing.
    """
    if record.execution and record.execution.id == execution:
        if epoch is None:
            return close_execution(record, plan, record.epoch, clean=False)
        return over(record, epoch) or close_execution(record, plan, epoch, clean)
    released = epoch is None or (record.execution is None and record.epoch == epoch)
    return record if released else not_holding(record, execution) or record


def claim(record: GroupRecord, attempt: Attempt, resource: str) -> GroupRecord | str:
    """The resource claimed for `attempt`: every older attempt that has not yet passed its guard is revoked (I5)."""
    if ended := over(record, attempt.epoch):
        return ended
    newest = record.claims.get(resource, 0)
    if attempt.n < newest:
        return f"a newer attempt ({newest}) has claimed {resource}"
    return record.model_copy(update={"claims": {**record.claims, resource: attempt.n}})


def enter(record: GroupRecord, request: Request, plan: str) -> GroupRecord | str:
    """What the guard asks: may this request be sent now? The record with it in doubt, or why not (I5, I7, I8)."""
    if record.execution is None or record.execution.plan != plan:
        held = record.execution.plan[:12] if record.execution else "nothing"
        return f"plan {plan[:12]} is not what {record.group} is executing: that is {held}"
    claimed = claim(record, request.attempt, request.want.resource)
    if isinstance(claimed, str):
        return claimed
    blocked = conflict(claimed, request.want)
    if request.attempt.undo:
        blocked = blocked or no_way_back(claimed) or succeeded(claimed, request.want)
    if blocked:
        return blocked
    if any(doubt.attempt == request.attempt for doubt in claimed.doubts):
        return claimed
    resource = request.want.resource
    update: dict[str, object] = {"doubts": (*claimed.doubts, request), "issued": (*claimed.issued, request)}
    if request.before is not None and resource not in claimed.before:
        update["before"] = {**claimed.before, resource: request.before}
    if request.want.deactivates and request.want.site:
        update["fenced"] = {**claimed.fenced, resource: request.want.site}
    return claimed.model_copy(update=update)


def close_attempt(record: GroupRecord, attempt: Attempt, outcome: Outcome, execution: str | None = None) -> GroupRecord:
    """The attempt has ended. Only its own definite answer closes its doubt; an Unknown stays one, and so does a request
    without an answer, whatever was read afterwards.

    An attempt that sent nothing itself may have found what an earlier one, whose worker was lost, has done. What one of
    an older execution has read may have been changed since: it closes its doubt and tells nothing else (I9).
    `execution`: in whose name it answers: where a reset has made another beside it, the doubt of this name may be that
    one's.
    """
    now = record.epoch == attempt.epoch
    if now and execution and record.execution and record.execution.id != execution:
        return record
    mine = next((doubt for doubt in record.doubts if doubt.attempt == attempt), None)
    if isinstance(outcome, Unknown):
        return record
    if mine is None:
        found = _requested(record, outcome) if isinstance(outcome, Done) and now else None
        return record.model_copy(update=_done(record, found)) if found else record
    update: dict[str, object] = _done(record, mine) if isinstance(outcome, Done) and now else {}
    if not isinstance(outcome, Done):
        update["issued"] = tuple(r for r in record.issued if r.attempt != attempt)
    if not isinstance(outcome, Done) or outcome.answered:
        update["doubts"] = tuple(d for d in record.doubts if d.attempt != attempt)
    return record.model_copy(update=update)


def sent_by(record: GroupRecord, attempt: Attempt, at: float) -> GroupRecord:
    """The attempt's doubt, where it leaves one, counted from `at`: a worker may have asked long after the attempt was
    handed to it."""
    doubts = tuple(d.model_copy(update={"at": max(d.at, at)}) if d.attempt == attempt else d for d in record.doubts)
    return record.model_copy(update={"doubts": doubts})


def overtaken(record: GroupRecord, attempt: Attempt, at: float) -> GroupRecord:
    """Doubts of older attempts on the resource that this attempt has claimed, counted from its end at `at`.

    Until it claimed the resource, a worker that was long thought lost could still pass its guard.
    """
    resource = next((r.want.resource for r in record.issued if r.attempt == attempt), None)
    doubts = tuple(
        d.model_copy(update={"at": max(d.at, at)})
        if d.want.resource == resource and d.attempt.epoch == attempt.epoch and d.attempt.n < attempt.n
        else d
        for d in record.doubts
    )
    return record.model_copy(update={"doubts": doubts})


def lifts(kind: Kind, why: str) -> bool:
    """True where a look of this kind has seen that what was fenced is a standby again: its fence is lifted (I9).

    `why`: what it has not found; empty where it has.
    """
    return kind == "release" and not why


def release(record: GroupRecord, component: str, site: str) -> GroupRecord:
    """The fence of `component` at `site` lifted: it was rebuilt, or a human asked for it (I9)."""
    kept = {r: s for r, s in record.fenced.items() if place_of(r) != instance(component, site)}
    return record.model_copy(update={"fenced": kept})


def settle(record: GroupRecord, resource: str, late_effect: float | None, by: float) -> GroupRecord:
    """Doubts on `resource` closed whose greatest lateness had passed at `by`: that has happened, or never will."""
    if late_effect is None:
        return record
    doubts = tuple(d for d in record.doubts if d.want.resource != resource or d.at + late_effect >= by)
    return record if len(doubts) == len(record.doubts) else record.model_copy(update={"doubts": doubts})


def settle_all(record: GroupRecord, plan: Plan, asked_at: dict[str, float]) -> GroupRecord:
    """`settle` for every resource of the plan that the checks looked at, and when, in seconds since the epoch.

    It need not have answered: what a request did in its time is older than whatever is proven from then on, and a site
    that is lost for good never answers again.
    """
    for resource, at in asked_at.items():
        record = settle(record, resource, plan.resources[resource].late_effect, at)
    return record


def still_doubted(record: GroupRecord, seen: GroupRecord) -> GroupRecord:
    """The claimed record, with what was in doubt when the checks were made and has been answered since: its effect may
    be younger than what they have read (I1, I2). `seen`: as the checks saw it, but for what was settled by them."""
    open_ = {doubt.attempt for doubt in record.doubts}
    answered = tuple(doubt for doubt in seen.doubts if doubt.attempt not in open_)
    return record.model_copy(update={"doubts": (*record.doubts, *answered)}) if answered else record


def promotion_issued(record: GroupRecord) -> Request | None:
    """The promotion request past the point of doubt: from here on nothing un-fences the source by itself (I8)."""
    return next(promotions(record), None)


def promotions(record: GroupRecord) -> Iterator[Request]:
    """Every promotion that was requested and may have come, or did and was not followed by a clean end."""
    return (r for r in (*record.issued, *record.doubts) if _promotes(r.want) and not r.attempt.undo)


def successor(record: GroupRecord, component: str, site: str) -> str | None:
    """The site that was promoted last, where that is another one: it has served since (I9)."""
    return None if record.holders.get(component, site) == site else record.holders[component]


def succeeded(record: GroupRecord, want: Want) -> str | None:
    """Why undo must not make a writer of what was replaced, whatever it was read as before; None where it may (I9)."""
    after = successor(record, want.component, want.site) if _promotes(want) and want.site else None
    return after and f"{want} is not safe: {want.component} is served at {after} since an earlier move"


def no_way_back(record: GroupRecord) -> str | None:
    """Why nothing may be undone any more; None while it may (I8)."""
    promotion = promotion_issued(record)
    if promotion is None:
        return None
    return f"the promotion of {promotion.want.component} was requested: from here on only forward, or a human decides"


def conflict(record: GroupRecord, want: Want) -> str | None:
    """Why `want` must not be requested; None where it may (I1, I2)."""
    doubt = opposite(record, want)
    if doubt is None:
        return None
    return f"{want} is not safe: {doubt.want} was requested by {doubt.attempt} and may still take effect"


def opposite(record: GroupRecord, want: Want) -> Request | None:
    """The doubt that speaks against `want`: evidence is void while an opposite request is in doubt (I1, I2)."""
    for doubt in record.doubts:
        same_component = doubt.want.component == want.component
        elsewhere = doubt.want.site != want.site
        # Where a standby is promoted, whatever acts at another site has to be down, not this component alone.
        promoted = _promotes(want) or _promotes(doubt.want)
        come_up = doubt.want.activates and elsewhere and (same_component or promoted)
        pulled_away = doubt.want.deactivates and not elsewhere and same_component and _promotes(want)
        if want.activates and (come_up or pulled_away):
            return doubt
    return None


def _promotes(want: Want) -> bool:
    return want.desired == PRIMARY


def _requested(record: GroupRecord, outcome: Done) -> Request | None:
    """The request, by whichever attempt, for what was now read."""
    resource, state = outcome.evidence.resource, outcome.evidence.state
    fitting = (r for r in record.issued if r.want.resource == resource and r.want.desired == state)
    return next(fitting, None)


def _done(record: GroupRecord, request: Request) -> dict[str, object]:
    want, update = request.want, dict[str, object]()
    if _promotes(want) and want.site:
        update["holders"] = {**record.holders, want.component: want.site}
    if want.activates:
        asked = record.execution is not None and record.execution.mode == "unfence"  # what was stopped there as well
        lifted = {want.resource, instance(want.component, want.site)} if asked else {want.resource}
        update["fenced"] = {r: s for r, s in record.fenced.items() if r not in lifted}
    return update
