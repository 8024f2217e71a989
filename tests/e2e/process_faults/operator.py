"""The person who operates it: starts, approves, answers when asked, and starts anew what Temporal has forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from orchestrator.app.executions import CommandRefused
from orchestrator.domain.commands import Abort, Escalate, OperatorInput, Pause, Retry
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.plan import PlanMode
from orchestrator.domain.state import End, Status
from tests.e2e.operating import Handle, Operation, approval, told
from tests.e2e.process_faults.schedule import UNDO
from tests.e2e.process_faults.stops import Stop
from workflows.messages import Result, Snapshot

PATIENCE = 200.0
"""Seconds for one execution with all its faults: generous, since a machine may be busy."""
RETRIES = 5
POLL = 0.1


class Operator:
    """Sees one execution after the other through, whatever happens to workers and server meanwhile."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._handle: Handle | None = None
        self._mode: PlanMode = "forced"
        self._site = ""
        self.seen: Snapshot | None = None
        """What the newest execution showed last; None while it has shown nothing."""
        self.not_lost_before: list[float] = []
        """For each measured failover: whatever was committed before that time, it has not lost (I3)."""
        self.begun: list[PlanMode] = []
        """The mode of each execution that was started."""
        self.ends: list[str] = []
        """How each has ended that was not forgotten."""
        self.ended = True
        self._word = ""

    async def sees_through(self, mode: PlanMode, site: str) -> Result:
        """How it ended at last. What is refused or rolled back is tried once more, then by force: an earlier execution
        may have been lost half-way."""
        self._site, self.ended = site, False
        try:
            async with asyncio.timeout(PATIENCE):
                for self._mode in (mode, mode, "forced" if mode == "planned" else mode):
                    await self.begin()
                    result = await self._to_the_end()
                    self.ends.append(result.end)
                    if result.end not in (End.REFUSED, End.ROLLED_BACK):
                        break
        except TimeoutError:
            shown = told(self.seen) if self.seen else "nothing was shown"
            raise AssertionError(f"no end within {PATIENCE:g} s: {shown}") from None
        finally:
            self.ended = True
        return result

    async def begin(self) -> None:
        """The execution is started, by hand; what was shown of an earlier one is past."""
        if self._mode == "reprotect":
            started = await self._operation.reprotect(self._site, holder_is_gone=self._word)
        else:
            started = await self._operation.failover(self._mode, self._site, holder_is_gone=self._word)
        self._handle, self.seen = started, None
        self.begun.append(self._mode)

    async def begin_anew(self) -> None:
        """The same, when Temporal has forgotten that it ever ran. Raises AssertionError where it has not."""
        assert self._handle is not None
        try:
            await self._handle.describe()
        except RPCError:
            self._operation.started.clear()
        else:
            raise AssertionError("the fault did not take: Temporal still knows the execution")
        self._word = "Temporal's database was lost"
        await self.begin()

    def has_passed(self, step: str) -> bool:
        """The execution has gone on beyond the step, or is over."""
        if self.ended:
            return True
        if self.seen is None or (state := self.seen.state) is None:
            return False
        match step:
            case "plan":
                return True
            case "approve":
                return state.claimed
            case "close":
                return False
            case _ if step.endswith(UNDO):
                undone = [state.undone.get(u.want.resource) for u in state.undos if u.step == step.removesuffix(UNDO)]
                return bool(undone) and all(record and record.status is Status.DONE for record in undone)
            case _:
                return state.steps[step].status in (Status.DONE, Status.SKIPPED)

    async def aborts(self, step: str, stop: Stop) -> None:
        """It was paused while a worker stood at the beginning of the step, and aborted when the step was done."""
        await _until(lambda: self.ended or stop.reached_by() is not None)
        await self._insists(Pause(by="ann"))
        stop.go()
        await _until(lambda: self.has_passed(step))
        await self._insists(Abort(by="ann", reason="it was a drill"))

    async def _insists(self, command: OperatorInput) -> None:
        while self._handle is None or not await self._said(self._handle, command):
            assert not self.ended, f"it ended before this was taken: {command}"
            await asyncio.sleep(POLL)

    @property
    def has_claimed(self) -> bool:
        """The newest execution holds the group, or all is over."""
        return self.ended or bool(self.seen and self.seen.state and self.seen.state.claimed)

    async def _to_the_end(self) -> Result:
        answered = 0
        while True:
            await asyncio.sleep(POLL)
            handle = self._handle
            assert handle is not None
            try:
                if (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
                    result: Result = await handle.result()
                    return result
            except RPCError:  # the server is away, or has forgotten it: who took it away brings it back
                continue
            now = (await self._operation.executions.look(handle)).snapshot
            if now is None or handle is not self._handle:
                continue
            self._note(now)
            if command := self._answer(now, answered):
                answered += isinstance(command, Retry)
                await self._said(handle, command)

    def _answer(self, now: Snapshot, answered: int) -> OperatorInput | None:
        if now.finish or now.state is None:
            return None
        if "approve" in now.may and not now.state.waiting:
            return approval(now)
        if not now.state.waiting:
            return None
        if answered < RETRIES:
            return Retry(by="ann", step=now.state.waiting.steps[0])
        return Abort(by="ann", reason="enough") if "abort" in now.may else Escalate(by="ann", reason="I go there")

    async def _said(self, handle: Handle, command: OperatorInput) -> bool:
        """False where it was not taken: it is looked at again, and answered again if it still asks."""
        try:
            async with asyncio.timeout(10):
                await self._operation.say(handle, command)
        except (CommandRefused, TideoverError, RPCError, TimeoutError):
            return False
        return True

    def _note(self, now: Snapshot) -> None:
        self.seen = now
        state = now.state
        if state is None or state.loss_measured is None or state.loss_measured.seconds is None:
            return
        fence = state.steps["db.fence"].evidence if "db.fence" in state.steps else None
        if fence is not None:
            self.not_lost_before.append(fence.read_at - state.loss_measured.seconds)


async def _until(holds: Callable[[], bool]) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(POLL)
