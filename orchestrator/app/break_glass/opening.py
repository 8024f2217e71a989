"""Which break-glass execution a process may drive: a new one, or the one that a lost process has begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.app.break_glass.kept import Kept, driver_of, is_break_glass, new_id
from orchestrator.app.break_glass.process import alive
from orchestrator.app.holders import NOT_ASKED, Known
from orchestrator.domain import ledger
from orchestrator.domain.errors import JournalUnavailable, TideoverError
from orchestrator.domain.holder import Alive, gone
from orchestrator.domain.ledger import Execution, Gone, GroupRecord
from orchestrator.domain.plan import Plan, PlanMode, start_command
from orchestrator.runtime import audit
from orchestrator.runtime.actor import Actor


class Held(TideoverError):
    """Another execution holds the group; the text says which, and the way out."""


@dataclass(frozen=True)
class Order:
    """What was asked for on the command line. `holder_is_gone`: why a human is certain that the holder runs no more."""

    runbook: str
    to: str
    mode: PlanMode
    by: str
    reason: str = ""
    holder_is_gone: str = ""


@dataclass(frozen=True)
class Opened:
    """The execution to drive. `gone`: the holder that a human has declared gone; `resumed`: it was begun before."""

    kept: Kept
    gone: Gone | None
    resumed: bool


def opened(
    actor: Actor, order: Order, known: Callable[[Execution], Known], before_a_new_one: Callable[[Plan], None]
) -> Opened:
    """The execution that this process may drive. Raises Held, TakenOver, or what the plan raises.

    `known`: tells whether the holder runs. `before_a_new_one`: raises where the plan must not be begun here.
    """
    plan, record = actor.planned(order.runbook, order.to, order.mode)
    lives = known(record.execution) if record.execution else NOT_ASKED
    declared = _declared_gone(actor, order, plan, record.execution, lives)
    begun = _begun_before(actor, order, record, declared)
    if begun:
        return Opened(begun, None, resumed=True)
    execution = Execution(
        id=new_id(plan.group), who=order.by, plan=plan.digest, mode=order.mode, target=order.to, since=time.time()
    )
    refused = ledger.open_execution(record, execution, declared)
    if isinstance(refused, str):
        why = f"{refused}; {_way_out(actor, record, lives)}"
        try:
            actor.refused(plan, order.by, why)
        except JournalUnavailable as error:  # as where a frozen process holds both the group and the journal
            why += f"; this refusal does not stand in the audit trail: {error}"
        raise Held(why)
    before_a_new_one(plan)
    return Opened(Kept.begin(actor.journal, plan, execution, order.reason, record), declared, resumed=False)


def again(group: str, execution: Execution) -> str:
    """The words that started a break-glass execution, and go on with it."""
    return f"{start_command(group, execution.mode, execution.target)} --break-glass"


def _declared_gone(actor: Actor, order: Order, plan: Plan, holder: Execution | None, lives: Known) -> Gone | None:
    """The holder, where a human says why it runs no more, in the audit trail before it counts; a live one is not."""
    if holder is None or not order.holder_is_gone:
        return None
    declared = gone(holder, lives.alive, f"{order.by}: {order.holder_is_gone}")
    if declared is None:
        return None
    detail = {"command": "holder-is-gone", "holder": holder.id, "reason": order.holder_is_gone}
    entry = audit.NewEntry(
        at=time.time(), what="command", group=plan.group, who=order.by, plan=plan.digest, detail=detail
    )
    audit.append(actor.journal, entry)
    return declared


def _begun_before(actor: Actor, order: Order, record: GroupRecord, declared: Gone | None) -> Kept | None:
    """What a process that is lost has begun, ours from now on, where the same was asked for again."""
    holder = record.execution
    if holder is None or (holder.target, holder.mode) != (order.to, order.mode) or not is_break_glass(holder.id):
        return None
    process, kept = driver_of(actor.journal, holder.id), Kept.find(actor.journal, holder.id)
    if process is None or kept is None:
        return None
    lives = alive(process)
    if lives is Alive.YES or (lives is Alive.CANNOT_TELL and declared is None):
        return None
    kept.take_over(process)
    return kept


def _way_out(actor: Actor, record: GroupRecord, lives: Known) -> str:
    holder = record.execution
    if holder is None or not is_break_glass(holder.id):
        return _way_out_of_temporal(record.group, lives)
    process, go_on = driver_of(actor.journal, holder.id), again(record.group, holder)
    if lives.alive is Alive.YES:
        return f"{process} drives it: speak to it there, or end that process and go on with `{go_on}`"
    if lives.alive is Alive.CANNOT_TELL:
        return f"{process} drove it, {lives.alive.value}: if you are certain that it is gone, --holder-is-gone 'why'"
    return f"{process} drove it and is gone: go on with `{go_on}`, or take the group over with --holder-is-gone 'why'"


def _way_out_of_temporal(group: str, lives: Known) -> str:
    if lives.alive is Alive.YES:
        way_out = f"end it there, with `tideover abort {group}` or Terminate, or stop that server first"
        return f"Temporal answers and says that it runs, and nobody's word counts against that: {way_out}"
    if lives.alive is Alive.NO:
        way_out = "start without --break-glass, or take the group over with --holder-is-gone 'why'"
        return f"it has ended without its end: {way_out}"
    told = "whether that still runs cannot be asked" if lives is NOT_ASKED else "this Temporal does not know it"
    return f"{told}: if you are certain that it does not run, --holder-is-gone 'why'"
