"""Runs plans against the model world, driven by the real engine, ledger and `ensure`, one call at a time.

What a real driver does with threads, a journal and Temporal is done here by moves in an order that the caller chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.domain import ledger
from orchestrator.domain.engine import fold, next_actions, start
from orchestrator.domain.engine.driving import announced, once
from orchestrator.domain.engine.undoing import by_hand
from orchestrator.domain.ensure import Goal, Look, Progress
from orchestrator.domain.ledger import Execution, GroupRecord
from orchestrator.domain.plan import CUTS, Plan
from orchestrator.domain.rehearsal.memory import Memory
from orchestrator.domain.rehearsal.model import START, World, place_of, rebased
from orchestrator.domain.rehearsal.values import Broken, Counted, Flight, Heard, Mission, Past, Rehearsal, Try
from orchestrator.domain.settling import fence_by_hand
from orchestrator.domain.state import Action, Check, Claim, Event, ExecutionState, LookFor, Perform, StartTimer
from orchestrator.domain.world import PRIMARY


def begin(mission: Mission, world: World, lawful: Mapping[str, str]) -> Rehearsal:
    """The first execution just started, in a group that nobody has touched yet."""
    journal = GroupRecord(group=mission.plan.group)
    past = Past(1, lawful, world.facts(), world.facts(), reactions=mission.reactions)
    return _begun_anew(mission, world, journal, (), past, Memory())


def following(now: Rehearsal, mission: Mission) -> Rehearsal:
    """The next execution just started; the one before ended, or was terminated and closed nothing."""
    finish = now.state.finish
    world = now.memory.of(rebased, now.world, START)
    past = now.past._replace(number=now.past.number + 1, found=world.facts(), reactions=mission.reactions)
    if finish and finish.end.clean and now.state.claimed:
        past = _settled(past, now.plan)
    left = tuple(flight for flight in now.flights if isinstance(flight, Try))
    strays = tuple(now.memory.of(_stray_since, stray, now.world.clock) for stray in (*now.strays, *left))
    journal = now.memory.of(_journal_since, now.journal, now.world.clock)
    return _begun_anew(mission, world, journal, strays, past, now.memory)


def _settled(past: Past, plan: Plan) -> Past:
    """After a clean end nothing that the plan is about is left unfinished: a move is about all of the group."""
    if plan.moves:
        return past._replace(origin=past.found, disturbed=frozenset())
    about = {spec.id if spec.site is None else place_of(spec) for spec in plan.resources.values()}
    before = {fact for fact in past.origin if fact[0] not in about}
    return past._replace(origin=frozenset(before | {fact for fact in past.found if fact[0] in about}))


def _stray_since(stray: Try, clock: float) -> Try:
    def later(at: float | None) -> float | None:
        return at + (START - clock) if at is not None else None

    progress = stray.progress.model_copy(update={"requested_at": later(stray.progress.requested_at)})
    return stray._replace(let_through=later(stray.let_through), progress=progress)


def _journal_since(journal: GroupRecord, clock: float) -> GroupRecord:
    """The journal's times moved along with the clock: each execution begins at the same time, or no two of them, begun
    after different waits, would ever be the same."""
    by = START - clock
    moved = {
        name: tuple(request.model_copy(update={"at": request.at + by}) for request in getattr(journal, name))
        for name in ("doubts", "issued")
    }
    holder = journal.execution and journal.execution.model_copy(update={"since": START})
    return journal.model_copy(update={**moved, "execution": holder})


def _begun_anew(
    mission: Mission, world: World, journal: GroupRecord, strays: tuple[Try, ...], past: Past, memory: Memory
) -> Rehearsal:
    past = memory.same(past)
    state = memory.of(_started, mission, past.number, journal)
    return driven(Rehearsal(mission, world, journal, state, (), (), frozenset(), strays, frozenset(), past, memory))


def _started(mission: Mission, number: int, journal: GroupRecord) -> ExecutionState:
    plan = mission.plan
    execution = Execution(
        id=f"rehearsal-{number}", who="ann", plan=mission.digest, mode=plan.mode, target=plan.target, since=START
    )
    return start(plan, execution, journal)


# The driver


def told(now: Rehearsal, event: Callable[..., Event], *given: object) -> Rehearsal:
    """The event, made of these values, folded."""
    return folded(now, now.memory.of(event, *given))


def folded(now: Rehearsal, event: Event) -> Rehearsal:
    """The event folded; where it ends the execution, the journal is closed as the driver would."""
    state = now.memory.of(_fold, now.mission, now.state, event)
    journal = now.journal
    if state.finish and not now.state.finish:
        journal = now.memory.of(_closed, now.mission, journal, state)
    if now.memory.of(_counts, now.mission, now.state) is not now.memory.of(_counts, now.mission, state):
        now = now._replace(happened=(*now.happened, Counted(now.plan, event, now.state, state)))
    return now._replace(state=state, journal=journal, heard=Heard(event, now.heard))


def _counts(mission: Mission, state: ExecutionState) -> tuple[object, ...]:
    """What counts only as people have said it, as nobody has in time, or as it was read."""
    proofs = tuple(state.steps[step.id].evidence for step in mission.plan.of_kind(*CUTS))
    return state.approvals, state.attestations, state.aborted, state.finish, proofs


def _fold(mission: Mission, state: ExecutionState, event: Event) -> ExecutionState:
    return fold(mission.plan, state, event)


def _closed(mission: Mission, journal: GroupRecord, state: ExecutionState) -> GroupRecord:
    assert state.finish is not None  # noqa: S101 -- only what has ended is closed
    epoch = state.record.epoch if state.claimed else None
    fenced = fence_by_hand(journal, by_hand(mission.plan, state))
    closed = ledger.let_go(fenced, mission.plan, state.execution.id, epoch, state.finish.end.clean)
    return journal if isinstance(closed, str) else closed


def driven(now: Rehearsal) -> Rehearsal:
    """Every action that the engine asks for begun."""
    for action in now.memory.of(_next_actions, now.mission, now.state):
        now = _begun(now, action)
    return now


def _next_actions(mission: Mission, state: ExecutionState) -> tuple[Action, ...]:
    return tuple(next_actions(mission.plan, state))


def _begun(now: Rehearsal, action: Action) -> Rehearsal:
    name = once(action)
    if name in now.begun:
        return now
    if name:
        now = now._replace(begun=now.begun | {name})
    if isinstance(action, StartTimer):
        return now._replace(timers=(*now.timers, action))
    step = step_of(action)
    if step and any(step_of(flight) == step for flight in now.flights):
        raise Broken(f"{step} is begun while it runs")
    flight: Flight
    if isinstance(action, Perform):
        now, flight = _promised(now, action), now.memory.of(_tried, now.mission, now.state, action)
    else:
        flight = action
    if not isinstance(action, Claim):
        now = told(now, _announced, action, now.world.clock)
    return now._replace(flights=(*now.flights, flight))


def _announced(action: Action, at: float) -> Event:
    event = announced(action, at)
    assert event is not None  # noqa: S101 -- a claim and a timer are not announced
    return event


def _tried(mission: Mission, state: ExecutionState, order: Perform) -> Try:
    """The attempt as the execution hands it out. A switchover accepts no loss; else what people have named counts, not
    what the engine makes of it (I3)."""
    named = [approval.max_loss for approval in state.approvals.values() if approval.max_loss is not None]
    accepted = 0.0 if mission.plan.mode == "planned" else max(named, default=mission.plan.objectives.rpo)
    goal = Goal(
        resource=order.want.resource,
        desired=order.want.desired,
        may_be_there=order.may_be_there,
        identity=order.identity,
        patience=0.0,
    )
    return Try(mission, order, accepted, Progress(goal=goal), Look())


def step_of(flight: Flight | Action) -> str | None:
    """The step that an action is about."""
    match flight:
        case Check(step=step) | LookFor(step=step):
            return step
        case Try(order=order):
            return order.attempt.step
        case Perform(attempt=attempt):
            return attempt.step
    return None


def _promised(now: Rehearsal, action: Perform) -> Rehearsal:
    """I8: nothing un-fences the source while a promotion may take effect. Nothing new is begun while it is paused, or
    after an abort."""
    if (now.state.paused or now.state.aborted) and not action.attempt.undo:
        raise Broken(f"{action.want} is issued while it is paused, or aborted")
    if action.want.activates and action.want.site == now.plan.source and now.promoting:
        raise Broken(f"I8: {action.want} is issued although {now.promoting} may take effect")
    if action.want.desired == PRIMARY and not action.attempt.undo:
        return now._replace(promoting=now.promoting | {action.attempt})
    return now
