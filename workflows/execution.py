"""The driver inside Temporal: performs the engine's actions as activities and folds what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from orchestrator.domain.admission import refusal
    from orchestrator.domain.commands import Abort
    from orchestrator.domain.engine import fold, next_actions, start
    from orchestrator.domain.engine.driving import announced, once
    from orchestrator.domain.ledger import Execution, GroupRecord
    from orchestrator.domain.plan import Plan, PlanMode
    from orchestrator.domain.record import ExecutionRecord
    from orchestrator.domain.state import (
        Action,
        Check,
        Claim,
        Event,
        ExecutionState,
        Human,
        LookFor,
        Perform,
        StartTimer,
        TimerFired,
    )
    from workflows import details, performing
    from workflows import search_attributes as attributes
    from workflows.listening import ListeningWorkflow
    from workflows.messages import PlanRequest, Result, StartRequest


class ExecutionWorkflow(ListeningWorkflow):
    """What every execution has in common. A subclass names its request and calls `_run`."""

    def __init__(self) -> None:
        super().__init__()
        self._execution: Execution | None = None
        self._events: list[Event] = []
        self._begun: set[str] = set()
        self._phase = ""
        self._tasks: dict[asyncio.Task[None], Action] = {}  # in the order in which they began, as a replay needs them
        self._runbook = ""
        self._word = ""

    @property
    def group(self) -> str:
        """The protection group; before the plan is made, the runbook that was asked for."""
        return self._plan.group if self._plan else self._runbook

    @property
    def plan_digest(self) -> str:
        """The plan's hash in full; empty before it is made."""
        return self._execution.plan if self._execution else ""

    async def _run(self, request: StartRequest, to: str, mode: PlanMode) -> Result:
        """The execution from its plan to its end."""
        self._runbook, self._word = request.runbook, request.word
        workflow.upsert_search_attributes(
            [
                attributes.GROUP.value_set(request.runbook),
                attributes.MODE.value_set(mode),
                attributes.TARGET_SITE.value_set(to),
                attributes.PHASE.value_set("PLANNING"),
            ]
        )
        planned = await performing.planned(
            PlanRequest(runbook=request.runbook, to=to, mode=mode, who=request.by, word=request.word)
        )
        info = workflow.info()
        execution = Execution(
            id=f"{info.workflow_id}#{info.run_id}",
            who=request.by,
            plan=planned.plan.digest,
            mode=mode,
            target=to,
            since=info.start_time.timestamp(),
        )
        self._plan, self._execution = planned.plan, execution
        self._state = start(planned.plan, execution, planned.record)
        await self._drive(planned.plan)
        return await self._close(planned.plan, execution, planned.record, request.reason)

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
        claiming = [task for task, action in self._tasks.items() if isinstance(action, Claim)]
        for task in self._tasks:
            if task not in claiming:
                task.cancel()
        while any(task in self._tasks for task in claiming):  # it may yet stand in the journal, and is released then
            with suppress(asyncio.CancelledError):
                await workflow.wait(claiming)

    async def _close(self, plan: Plan, execution: Execution, found: GroupRecord, reason: str) -> Result:
        state, finish = self._now, self._now.finish
        assert finish is not None  # noqa: S101 -- `_drive` returns at the end only
        record = ExecutionRecord(
            plan=plan, execution=execution, reason=reason, record=found, events=tuple(self._events), finish=finish
        )
        reply = await performing.closed(record, state.record.epoch if state.claimed else None)
        return Result(
            end=finish.end,
            why=finish.why + (f" ({reply.warning})" if reply.warning else ""),
            protected=finish.protected,
            report=reply.report,
            next_commands=(*finish.next_commands, f"tideover report {reply.report}"),
            checkpoint=reply.checkpoint,
        )

    def _begin(self, plan: Plan, action: Action) -> None:
        name = once(action)
        if name in self._begun:
            return
        self._begun |= {name} if name else set()
        if announcement := announced(action, workflow.time()):
            self._fold(plan, announcement)
        task = asyncio.create_task(self._told(self._done(plan, action)))
        self._tasks[task] = action
        task.add_done_callback(self._tasks.pop)

    def _done(self, plan: Plan, action: Action) -> Coroutine[None, None, Event]:
        execution = self._now.execution
        match action:
            case Check(step=step):
                return performing.checked(plan, step)
            case LookFor():
                return performing.looked(plan, action, execution)
            case Perform():
                return performing.performed(plan, action, execution)
            case Claim():
                return performing.claimed(plan, self._now, self._word)
            case StartTimer():
                return _fired(action)

    async def _told(self, run: Coroutine[None, None, Event]) -> None:
        self._inbox.append(await run)

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


async def _fired(timer: StartTimer) -> TimerFired:
    left = timer.at - workflow.time()
    if left > 0:
        await workflow.sleep(left, summary=timer.summary)
    return TimerFired(id=timer.id, at=workflow.time())
