"""The driver inside Temporal: performs the engine's actions as activities and folds what comes back."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as TemporalTimeout

with workflow.unsafe.imports_passed_through():
    from orchestrator.domain.admission import admitted, refusal
    from orchestrator.domain.commands import (
        Abort,
        Approve,
        Attest,
        Command,
        Escalate,
        OperatorInput,
        Pause,
        Resume,
        Retry,
        Skip,
    )
    from orchestrator.domain.engine import fold, next_actions, start
    from orchestrator.domain.ledger import Execution, GroupRecord
    from orchestrator.domain.outcome import Unknown
    from orchestrator.domain.plan import Plan, PlanMode
    from orchestrator.domain.record import ExecutionRecord
    from orchestrator.domain.state import (
        Action,
        Check,
        Checked,
        Claim,
        Claimed,
        ClaimRefused,
        Ended,
        Event,
        ExecutionState,
        Human,
        Issued,
        Looked,
        LookFor,
        LookStarted,
        Perform,
        ReadError,
        StartTimer,
        TimerFired,
    )
    from workflows import details
    from workflows import search_attributes as attributes
    from workflows.conversion import invalid_input, refused
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
        Result,
        Snapshot,
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


def _example(model: type[OperatorInput]) -> str:
    return f"{(model.__doc__ or '').partition(chr(10))[0]} Example: {model.EXAMPLE}"


class ExecutionWorkflow:
    """What every execution has in common. A subclass names its request and calls `_run`."""

    def __init__(self) -> None:
        self._plan: Plan | None = None
        self._state: ExecutionState | None = None
        self._record: GroupRecord | None = None
        self._execution: Execution | None = None
        self._events: list[Event] = []
        self._inbox: deque[Event] = deque()
        self._begun: set[str] = set()
        self._phase = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._runbook = ""

    @property
    def group(self) -> str:
        """The protection group; before the plan is made, the runbook that was asked for."""
        return self._plan.group if self._plan else self._runbook

    @property
    def plan_digest(self) -> str:
        """The plan's hash in full; empty before it is made."""
        return self._execution.plan if self._execution else ""

    async def _run(self, runbook: str, to: str, mode: PlanMode, reason: str, by: str) -> Result:
        """The execution from its plan to its end."""
        self._runbook = runbook
        workflow.upsert_search_attributes(
            [
                attributes.GROUP.value_set(runbook),
                attributes.MODE.value_set(mode),
                attributes.TARGET_SITE.value_set(to),
                attributes.PHASE.value_set("PLANNING"),
            ]
        )
        planned = await self._planned(PlanRequest(runbook=runbook, to=to, mode=mode))
        info = workflow.info()
        execution = Execution(
            id=f"{info.workflow_id}#{info.run_id}",
            who=by,
            plan=planned.plan.digest,
            mode=mode,
            target=to,
            since=info.start_time.timestamp(),
        )
        self._plan, self._record, self._execution = planned.plan, planned.record, execution
        self._state = start(planned.plan, execution, planned.record)
        await self._drive(planned.plan)
        return await self._close(planned.plan, execution, planned.record, reason)

    async def _planned(self, request: PlanRequest) -> Planned:
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

    async def _drive(self, plan: Plan) -> None:
        while not self._now.finish:
            for action in next_actions(plan, self._now):
                self._begin(plan, action)
            self._show(plan)
            try:
                await workflow.wait_condition(lambda: bool(self._inbox))
            except asyncio.CancelledError:
                self._cancelled(plan)
            while self._inbox:
                self._fold(plan, self._inbox.popleft())
        self._show(plan)
        for task in self._tasks:
            task.cancel()  # only timers are left

    async def _close(self, plan: Plan, execution: Execution, found: GroupRecord, reason: str) -> Result:
        state, finish = self._now, self._now.finish
        assert finish is not None  # noqa: S101 -- `_drive` returns at the end only
        record = ExecutionRecord(
            plan=plan, execution=execution, reason=reason, record=found, events=tuple(self._events), finish=finish
        )
        request = CloseRequest(record=record, epoch=state.record.epoch if state.claimed else None)
        closing = workflow.start_activity(
            "close", request, result_type=CloseReply, start_to_close_timeout=timedelta(seconds=30),
            heartbeat_timeout=HEARTBEAT_TIMEOUT, retry_policy=DURABLE, summary="release the group, keep the report",
        )  # fmt: skip
        reply = await _uncancelled(closing)
        return Result(
            end=finish.end,
            why=finish.why + (f" ({reply.warning})" if reply.warning else ""),
            protected=finish.protected,
            report=reply.report,
            next_commands=(*finish.next_commands, f"tideover report {reply.report}"),
        )

    # Actions -> activities and timers

    def _begin(self, plan: Plan, action: Action) -> None:
        match action:
            case Check(step=step) | LookFor(step=step):
                self._fold(plan, LookStarted(step=step, at=workflow.time()))
                run = self._check(plan, step) if isinstance(action, Check) else self._look(plan, action)
            case Perform():
                self._fold(plan, Issued(attempt=action.attempt, want=action.want, at=workflow.time()))
                run = self._perform(plan, action)
            case Claim() if "claim" not in self._begun:
                self._begun.add("claim")
                run = self._claim(plan)
            case StartTimer() if action.id not in self._begun:
                self._begun.add(action.id)
                run = self._timer(action)
            case _:
                return
        task = asyncio.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check(self, plan: Plan, step_id: str) -> None:
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
        now = workflow.time()
        self._inbox.append(Checked(step=step_id, readings=reply.readings, errors=reply.errors, at=now))

    async def _look(self, plan: Plan, look: LookFor) -> None:
        step = plan.step(look.step)
        request = LookRequest(
            resource=plan.resources[look.resource], condition=look.condition, timeout=look.timeout, group=plan.group,
            plan=plan.digest, who=self._now.execution.who,
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
        event = Looked(step=look.step, resource=look.resource, reading=reply.reading, why=reply.why, at=workflow.time())
        self._inbox.append(event)

    async def _perform(self, plan: Plan, order: Perform) -> None:
        kind = "undo" if order.attempt.undo else plan.step(order.attempt.step).kind
        request = EffectRequest(
            resource=plan.resources[order.want.resource], attempt=order.attempt, want=order.want,
            may_be_there=order.may_be_there, first=order.first, before=order.before, identity=order.identity,
            timeout=order.timeout, patience=order.patience, group=plan.group, plan=plan.digest,
            who=self._now.execution.who,
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
        self._inbox.append(Ended(attempt=order.attempt, outcome=reply.outcome, at=workflow.time()))

    async def _claim(self, plan: Plan) -> None:
        settled = {r: at for r, at in self._now.read_at.items() if self._now.readings[r].states}
        request = ClaimRequest(plan=plan, execution=self._now.execution, read_at=settled)
        try:
            reply = await workflow.execute_activity(
                "claim", request, result_type=ClaimReply, start_to_close_timeout=timedelta(seconds=30),
                schedule_to_close_timeout=QUEUE_TIME, heartbeat_timeout=HEARTBEAT_TIMEOUT, retry_policy=READS,
                summary=f"claim the group {plan.group} in the journal",
            )  # fmt: skip
        except ActivityError as error:
            reply = ClaimReply(record=None, refused=f"the group could not be claimed: {_why(error)}")
        now = workflow.time()
        claimed = reply.record
        self._inbox.append(Claimed(record=claimed, at=now) if claimed else ClaimRefused(why=reply.refused, at=now))

    async def _timer(self, timer: StartTimer) -> None:
        left = timer.at - workflow.time()
        if left > 0:
            await workflow.sleep(left, summary=timer.summary)
        self._inbox.append(TimerFired(id=timer.id, at=workflow.time()))

    # State

    @property
    def _now(self) -> ExecutionState:
        assert self._state is not None  # noqa: S101 -- set before anything can happen
        return self._state

    def _fold(self, plan: Plan, event: Event) -> None:
        self._events.append(event)
        self._state = fold(plan, self._now, event)

    def _show(self, plan: Plan) -> None:
        workflow.set_current_details(details.markdown(plan, self._now))
        phase = details.phase(plan, self._now)
        if phase == self._phase:
            return
        self._phase = phase
        finish = self._now.finish
        outcome = [attributes.OUTCOME.value_set(str(finish.end))] if finish else []
        workflow.upsert_search_attributes([attributes.PHASE.value_set(phase), *outcome])

    def _cancelled(self, plan: Plan) -> None:
        """Cancel in the UI is an abort; where that is not safe, it is ignored and said so."""
        abort = Abort(by="Temporal", reason="the workflow was cancelled")
        why = refusal(plan, self._now, abort)
        if why is None:
            self._inbox.append(Human(command=abort, at=workflow.time()))
        else:
            workflow.logger.warning("cancel is ignored: %s", why)

    # What a human can say: refused before it is accepted, so that it leaves no trace in the execution.

    def _admit(self, said: Command | None, model: type[OperatorInput]) -> None:
        if said is None:
            raise invalid_input(model, "the input is empty")
        if self._plan is None or self._state is None:
            raise refused("the plan is not made yet: say it again in a moment")
        why = refusal(self._plan, self._state, said)
        if why:
            raise refused(why)

    def _take(self, said: Command | None) -> str:
        assert said is not None  # noqa: S101 -- the validator has refused None
        self._inbox.append(Human(command=said, at=workflow.time()))
        return f"{said.command} taken from {said.by}"

    @workflow.query(description="The plan, the state, and what may be done now.")
    def snapshot(self) -> Snapshot:
        """Everything that `tideover follow` shows."""
        may = admitted(self._plan, self._state) if self._plan and self._state else {}
        return Snapshot(plan=self._plan, state=self._state, may=may, finish=self._state.finish if self._state else None)

    @workflow.update(description=_example(Approve))
    async def approve(self, said: Approve | None = None) -> str:
        """Let the execution change the world."""
        return self._take(said)

    @approve.validator
    def _validate_approve(self, said: Approve | None = None) -> None:
        self._admit(said, Approve)

    @workflow.update(description=_example(Abort))
    async def abort(self, said: Abort | None = None) -> str:
        """Undo what was done and end."""
        return self._take(said)

    @abort.validator
    def _validate_abort(self, said: Abort | None = None) -> None:
        self._admit(said, Abort)

    @workflow.update(description=_example(Pause))
    async def pause(self, said: Pause | None = None) -> str:
        """Start no further step."""
        return self._take(said)

    @pause.validator
    def _validate_pause(self, said: Pause | None = None) -> None:
        self._admit(said, Pause)

    @workflow.update(description=_example(Resume))
    async def resume(self, said: Resume | None = None) -> str:
        """Go on after a pause."""
        return self._take(said)

    @resume.validator
    def _validate_resume(self, said: Resume | None = None) -> None:
        self._admit(said, Resume)

    @workflow.update(description=_example(Retry))
    async def retry(self, said: Retry | None = None) -> str:
        """Try a failed step again."""
        return self._take(said)

    @retry.validator
    def _validate_retry(self, said: Retry | None = None) -> None:
        self._admit(said, Retry)

    @workflow.update(description=_example(Skip))
    async def skip(self, said: Skip | None = None) -> str:
        """Go on without a step."""
        return self._take(said)

    @skip.validator
    def _validate_skip(self, said: Skip | None = None) -> None:
        self._admit(said, Skip)

    @workflow.update(description=_example(Attest))
    async def attest(self, said: Attest | None = None) -> str:
        """Vouch for a fence."""
        return self._take(said)

    @attest.validator
    def _validate_attest(self, said: Attest | None = None) -> None:
        self._admit(said, Attest)

    @workflow.update(description=_example(Escalate))
    async def escalate(self, said: Escalate | None = None) -> str:
        """End and hand over to humans."""
        return self._take(said)

    @escalate.validator
    def _validate_escalate(self, said: Escalate | None = None) -> None:
        self._admit(said, Escalate)


async def _uncancelled(closing: workflow.ActivityHandle[CloseReply]) -> CloseReply:
    """The reply, also when the workflow is cancelled meanwhile: an end is never left half written."""
    while True:
        try:
            return await asyncio.shield(closing)
        except asyncio.CancelledError:
            if closing.cancelled():
                raise


def _why(error: ActivityError) -> str:
    cause = error.cause or error
    return (cause.message if isinstance(cause, ApplicationError | TemporalTimeout) else str(cause)).replace("\n", " ")
