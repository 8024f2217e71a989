"""From the engine's actions to activities, and from what they answer to events. No decision is made here."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as TemporalTimeout

with workflow.unsafe.imports_passed_through():
    from orchestrator.domain.ledger import Execution
    from orchestrator.domain.outcome import Unknown
    from orchestrator.domain.plan import Plan
    from orchestrator.domain.record import ExecutionRecord
    from orchestrator.domain.state import (
        Checked,
        Claimed,
        ClaimRefused,
        Ended,
        ExecutionState,
        Looked,
        LookFor,
        Perform,
        ReadError,
    )
    from workflows.conversion import refused
    from workflows.messages import (
        CheckReply,
        CheckRequest,
        ClaimReply,
        ClaimRequest,
        CloseReply,
        CloseRequest,
        EffectReply,
        EffectRequest,
        LookReply,
        LookRequest,
        Planned,
        PlanRequest,
    )

HEARTBEAT_TIMEOUT = timedelta(seconds=4)
"""A worker that is silent for this long is lost."""

QUEUE_TIME = timedelta(minutes=10)
"""How long an activity may wait for a worker."""

READS = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=2), maximum_attempts=5
)
ONCE = RetryPolicy(maximum_attempts=1)
"""A mutating activity is never repeated by Temporal: a hidden retry would hide an Unknown."""
DURABLE = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10))
"""The journal's own writes are idempotent and are repeated until they stand."""


async def planned(request: PlanRequest) -> Planned:
    """The plan that was asked for. Raises the refusal in one line where there is none."""
    try:
        planned: Planned = await workflow.execute_activity(
            "plan", request, result_type=Planned, start_to_close_timeout=timedelta(seconds=30),
            schedule_to_close_timeout=QUEUE_TIME, heartbeat_timeout=HEARTBEAT_TIMEOUT, retry_policy=READS,
            summary=f"plan {request.mode} to {request.to} from the runbook {request.runbook}",
        )  # fmt: skip
    except ActivityError as error:
        if isinstance(error.cause, ApplicationError) and error.cause.non_retryable:
            raise refused(error.cause.message) from None
        raise
    return planned


async def checked(plan: Plan, step_id: str) -> Checked:
    """What a check step has read."""
    step = plan.step(step_id)
    specs = {resource: plan.resources[resource] for resource in step.looks_at}
    try:
        reply = await workflow.execute_activity(
            "check", CheckRequest(resources=specs), result_type=CheckReply, summary=step.summary,
            start_to_close_timeout=timedelta(seconds=step.timeout + 30), schedule_to_close_timeout=QUEUE_TIME,
            heartbeat_timeout=HEARTBEAT_TIMEOUT, retry_policy=READS,
        )  # fmt: skip
    except ActivityError as error:
        unread = ReadError(error="Unreachable", why=_why(error), lasting=False)
        reply = CheckReply(readings={}, errors=dict.fromkeys(specs, unread))
    return Checked(step=step_id, readings=reply.readings, errors=reply.errors, at=workflow.time())


async def looked(plan: Plan, look: LookFor, execution: Execution) -> Looked:
    """What a looking step has seen."""
    step = plan.step(look.step)
    request = LookRequest(
        resource=plan.resources[look.resource], condition=look.condition, timeout=look.timeout, group=plan.group,
        plan=plan.digest, who=execution.who, execution=execution.id,
    )  # fmt: skip
    try:
        reply = await workflow.execute_activity(
            step.kind, request, result_type=LookReply, summary=step.summary,
            start_to_close_timeout=timedelta(seconds=look.timeout + 30),
            schedule_to_close_timeout=QUEUE_TIME + timedelta(seconds=look.timeout),
            heartbeat_timeout=HEARTBEAT_TIMEOUT, retry_policy=READS,
        )  # fmt: skip
    except ActivityError as error:
        reply = LookReply(reading=None, why=_why(error))
    return Looked(
        step=look.step, resource=look.resource, reading=reply.reading, why=reply.why, superseded=reply.superseded,
        at=workflow.time(),
    )  # fmt: skip


async def performed(plan: Plan, order: Perform, execution: Execution) -> Ended:
    """How an attempt ended; a worker that went silent, and an error that nobody foresaw, are Unknown."""
    kind = "undo" if order.attempt.undo else plan.step(order.attempt.step).kind
    request = EffectRequest(
        resource=plan.resources[order.want.resource], attempt=order.attempt, want=order.want,
        may_be_there=order.may_be_there, first=order.first, before=order.before, identity=order.identity,
        timeout=order.timeout, patience=order.patience, group=plan.group, plan=plan.digest,
        who=execution.who, execution=execution.id,
    )  # fmt: skip
    try:
        reply = await workflow.execute_activity(
            kind, request, result_type=EffectReply, summary=order.summary,
            start_to_close_timeout=timedelta(seconds=order.timeout + 30),
            schedule_to_close_timeout=QUEUE_TIME + timedelta(seconds=order.timeout),
            heartbeat_timeout=HEARTBEAT_TIMEOUT, retry_policy=ONCE,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )  # fmt: skip
    except ActivityError as error:
        lost = isinstance(error.cause, TemporalTimeout)
        why = f"the worker went silent: {_why(error)}" if lost else _why(error)
        reply = EffectReply(outcome=Unknown(why=why, lost=lost))
    return Ended(attempt=order.attempt, outcome=reply.outcome, at=workflow.time())


async def claimed(plan: Plan, state: ExecutionState, word: str) -> Claimed | ClaimRefused:
    """Whether the group is ours. `word`: who is certain that its holder runs no more, and why."""
    request = ClaimRequest(
        plan=plan, execution=state.execution, asked_at=state.asked_at, seen=state.record.epoch, word=word
    )
    try:
        reply = await workflow.execute_activity(
            "claim", request, result_type=ClaimReply, start_to_close_timeout=timedelta(seconds=30),
            schedule_to_close_timeout=QUEUE_TIME, heartbeat_timeout=HEARTBEAT_TIMEOUT, retry_policy=READS,
            summary=f"claim the group {plan.group} in the journal",
        )  # fmt: skip
    except ActivityError as error:
        reply = ClaimReply(record=None, refused=f"the group could not be claimed: {_why(error)}")
    now = workflow.time()
    return Claimed(record=reply.record, at=now) if reply.record else ClaimRefused(why=reply.refused, at=now)


async def closed(record: ExecutionRecord, epoch: int | None) -> CloseReply:
    """The group is released and the record kept, also when the workflow is cancelled meanwhile: an end is never left
    half written."""
    closing = workflow.start_activity(
        "close", CloseRequest(record=record, epoch=epoch), result_type=CloseReply, retry_policy=DURABLE,
        start_to_close_timeout=timedelta(seconds=30), heartbeat_timeout=HEARTBEAT_TIMEOUT,
        summary="release the group, keep the report",
    )  # fmt: skip
    while True:
        try:
            return await asyncio.shield(closing)
        except asyncio.CancelledError:
            if closing.cancelled():
                raise


def _why(error: ActivityError) -> str:
    cause = error.cause or error
    return (cause.message if isinstance(cause, ApplicationError | TemporalTimeout) else str(cause)).replace("\n", " ")
