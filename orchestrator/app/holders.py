"""Whether the execution that holds a group still runs: Temporal is asked, or the kernel of a break-glass process."""

from __future__ import annotations

import asyncio

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.app.break_glass.kept import is_break_glass, is_driven
from orchestrator.app.break_glass.process import Alive
from orchestrator.ports import Journal


async def is_gone(client: Client, journal: Journal, execution: str) -> bool:
    """True where the execution surely runs no more: closed, unknown to the server, or its process is dead.

    A break-glass process of which this host cannot tell counts as running: Temporal has never heard of it.
    """
    if is_break_glass(execution):
        return await asyncio.to_thread(is_driven, journal, execution) is Alive.NO
    workflow_id, _, run_id = execution.partition("#")
    try:
        found = await client.get_workflow_handle(workflow_id, run_id=run_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return True
        raise
    return found.status is not WorkflowExecutionStatus.RUNNING
