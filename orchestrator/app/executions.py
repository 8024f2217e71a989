"""The client's side of executions: started, found, watched and spoken to. The command line and the demo share it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.app.connection import unavailable
from orchestrator.domain.commands import OperatorInput
from orchestrator.domain.errors import InDoubt, NotFoundLocally, ServerUnavailable, TideoverError
from workflows.messages import FailoverRequest, Result, SiteRequest, Snapshot
from workflows.plugin import TASK_QUEUE

POLL = 0.2
"""Seconds between two looks at a running execution."""

ANSWER = timedelta(seconds=5)
"""How long one look may take."""

POLL_LASTS = 75.0
"""Seconds within which a worker that runs polls anew: Temporal answers a poll after 60 s, with a task or without."""

TAKEN = 20.0
"""Seconds within which a command is answered where a worker runs."""

MAY_HAVE_ARRIVED = frozenset({
    RPCStatusCode.ABORTED, RPCStatusCode.CANCELLED, RPCStatusCode.DATA_LOSS, RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.INTERNAL, RPCStatusCode.UNAVAILABLE, RPCStatusCode.UNKNOWN,
})  # fmt: skip
"""What Temporal answers, or is said in its place, where the request may have been taken all the same."""

NOBODY_ANSWERED = frozenset(
    {RPCStatusCode.CANCELLED, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION}
)
"""What becomes of a query that no worker takes: its time is over, or the server has seen nobody poll for long."""

TASK_TIMEOUT = timedelta(seconds=2)
"""How long one decision of a workflow may take before another worker makes it; with Temporal's default, 10 s."""

Handle = WorkflowHandle[Any, Any]


class AlreadyRunning(TideoverError):
    """The group has a running execution; the text names who holds it."""


class CommandRefused(TideoverError):
    """The execution did not take the command; the text says why."""


class EndedWithoutResult(TideoverError):
    """The execution was refused at its start, or terminated: there is no result."""


@dataclass(frozen=True)
class Seen:
    """One look at an execution. `trouble`: why it cannot be seen now. `result`: set in the last look."""

    snapshot: Snapshot | None
    trouble: str = ""
    result: Result | None = None


@dataclass(frozen=True)
class Executions:
    """The executions on one server. `ui`: the address of the Temporal UI, for links. `queue`: where workers poll."""

    client: Client
    ui: str
    queue: str = TASK_QUEUE

    async def start(self, workflow: str, request: FailoverRequest | SiteRequest) -> Handle:
        """The execution runs. Raises AlreadyRunning with the holder's name where the group has one."""
        workflow_id = id_of(request.runbook)
        try:
            handle = await self.client.start_workflow(
                workflow, request, id=workflow_id, task_queue=self.queue, result_type=Result,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL, static_summary=_summary(workflow, request),
                task_timeout=TASK_TIMEOUT,
            )  # fmt: skip
        except WorkflowAlreadyStartedError:
            raise AlreadyRunning(await self._holder(request.runbook)) from None
        return self._handle(workflow_id, handle.first_execution_run_id)

    async def find(self, name: str) -> Handle:
        """A group's newest execution, or the one that `failover/<group>#<run>` names. Raises NotFoundLocally."""
        workflow_id, _, run_id = name.partition("#")
        if "/" not in workflow_id:
            workflow_id = id_of(workflow_id)
        try:
            found = await self.client.get_workflow_handle(workflow_id, run_id=run_id or None).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise unavailable(error) from error
            way_out = f"start one with `tideover run {name} --to SITE --mode planned`"
            raise NotFoundLocally(f"Temporal knows no execution {workflow_id}: {way_out}") from None
        return self._handle(workflow_id, found.run_id)

    async def is_running(self, handle: Handle) -> bool:
        """True while it has not ended."""
        return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING

    async def say(self, handle: Handle, command: OperatorInput) -> str:
        """The execution has taken the command; what it answered. Raises CommandRefused, and InDoubt where nothing
        answers in time or, by Ctrl-C, the answer is not waited for."""
        name = type(command).__name__.lower()
        try:
            async with asyncio.timeout(TAKEN):
                answer: str = await handle.execute_update(name, command, result_type=str)
        except WorkflowUpdateFailedError as error:
            raise CommandRefused(_reason(error.cause)) from None
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise _in_doubt(name, handle, "no worker has answered") from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise CommandRefused("this execution has ended: there is nothing to say to it") from None
            if error.status in MAY_HAVE_ARRIVED:
                raise _in_doubt(name, handle, f"Temporal has not answered ({error.message})") from error
            raise unavailable(error) from error
        return answer

    async def watch(self, handle: Handle) -> AsyncGenerator[Seen, None]:
        """The execution, look by look, to its end. Raises EndedWithoutResult where it ends without a result."""
        ending = asyncio.ensure_future(handle.result())
        try:
            while True:
                done = ending.done()
                seen = await self.look(handle)
                if not done:
                    yield seen
                elif (result := _result(ending)) is not None:
                    yield Seen(seen.snapshot, seen.trouble, result)
                    return
                else:  # the server went away; it will be back
                    ending = asyncio.ensure_future(handle.result())
                await asyncio.wait({ending}, timeout=POLL)
        finally:
            ending.cancel()

    async def look(self, handle: Handle, within: timedelta = ANSWER) -> Seen:
        """The execution as it is now, or why it cannot be seen."""
        try:
            return Seen(await handle.query("snapshot", result_type=Snapshot, rpc_timeout=within))
        except WorkflowQueryFailedError as error:
            return Seen(None, f"the execution does not answer: {error}")
        except RPCError as error:
            if error.status in NOBODY_ANSWERED:
                return Seen(None, await self._missing())
            return Seen(None, f"Temporal does not answer: {error.message}")

    async def _missing(self) -> str:
        """Who is missing where a query had no answer: the server, which is asked something else, or a worker."""
        try:
            workers = await self.workers()
        except ServerUnavailable as error:
            return str(error)
        way_out = "start one with `tideover worker`; `tideover doctor` says who has polled it"
        return f"no worker answers on the queue {self.queue!r}: {way_out}" if workers else self.no_worker

    @property
    def no_worker(self) -> str:
        """What is wrong, and the way out, where nobody polls the queue."""
        return f"no worker polls the queue {self.queue!r}: start one with `tideover worker`"

    async def workers(self) -> list[str]:
        """Who polls the queue, as far as that can be told, and when each has last done so. Raises ServerUnavailable."""
        request = DescribeTaskQueueRequest(
            namespace=self.client.namespace,
            task_queue=TaskQueue(name=self.queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        try:
            found = await self.client.workflow_service.describe_task_queue(request, timeout=ANSWER)
        except RPCError as error:
            raise unavailable(error) from error
        return polling(found.pollers, self.queue, time.time())

    def link(self, handle: Handle) -> str:
        """The page of this very run in the Temporal UI."""
        return self.link_to(f"{handle.id}#{handle.run_id}")

    def link_to(self, execution: str) -> str:
        """The page of the execution `workflow#run`."""
        workflow_id, _, run_id = execution.partition("#")
        namespace, name = (quote(part, safe="") for part in (self.client.namespace, workflow_id))
        return f"{self.ui}/namespaces/{namespace}/workflows/{name}/{run_id}/history"

    def _handle(self, workflow_id: str, run_id: str | None) -> Handle:
        return self.client.get_workflow_handle(workflow_id, run_id=run_id, result_type=Result)

    async def _holder(self, group: str) -> str:
        handle = await self.find(group)
        seen = await self.look(handle)
        state = seen.snapshot.state if seen.snapshot else None
        who = f"{state.execution}" if state else f"{handle.id}#{handle.run_id}"
        return f"{group} is held by {who}: {self.link(handle)}; see it with `tideover follow {group}`"


def polling(pollers: Iterable[PollerInfo], queue: str, now: float) -> list[str]:
    """Those who may poll the queue now, each with when it last did. The server names one that is gone for minutes."""
    last: dict[str, float] = {}
    for poller in pollers:
        ago = max(0.0, now - poller.last_access_time.ToNanoseconds() / 1e9)
        last[poller.identity] = min(ago, last.get(poller.identity, ago))
    return [f"{who}, last polled {queue!r} {ago:.0f}s ago" for who, ago in sorted(last.items()) if ago <= POLL_LASTS]


def id_of(group: str) -> str:
    """The workflow ID of every execution of the group, so that two cannot run at once (I6)."""
    return f"failover/{group}"


def _in_doubt(command: str, handle: Handle, why: str) -> InDoubt:
    group = handle.id.partition("/")[2]
    sent = f"{command} was sent to {handle.id}, and {why}: it MAY YET BE TAKEN"
    look = f"look with `tideover status {group}` or `tideover follow {group}`"
    return InDoubt(f"{sent}; {look}, and start a worker with `tideover worker`")


def _result(ending: asyncio.Future[Result]) -> Result | None:
    """The result; None where the server could not tell. Raises EndedWithoutResult."""
    try:
        return ending.result()
    except WorkflowFailureError as error:
        raise EndedWithoutResult(_reason(error.cause)) from None
    except RPCError:
        return None


def _reason(cause: BaseException | None) -> str:
    match cause:
        case ApplicationError():
            return cause.message
        case TerminatedError():
            return "it was terminated in Temporal: nothing was undone; `tideover status` says what is left to do"
        case CancelledError():
            return "it was cancelled in Temporal"
        case _:
            return str(cause).partition("\n")[0]


def _summary(workflow: str, request: FailoverRequest | SiteRequest) -> str:
    what = f"{request.mode} to {request.to}" if isinstance(request, FailoverRequest) else f"at {request.at}"
    why = f": {request.reason}" if request.reason else ""
    return f"{workflow} of {request.runbook}, {what}, started by {request.by}{why}"
