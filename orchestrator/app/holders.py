"""Whether the execution that holds a group still runs: Temporal is asked, or the kernel of a break-glass process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.app.break_glass.kept import is_break_glass, is_driven
from orchestrator.domain.holder import Alive
from orchestrator.domain.ledger import Execution
from orchestrator.ports import Journal


class Holders:
    """The executions of one Temporal namespace, and the break-glass processes of one journal."""

    def __init__(self, client: Callable[[], Client], journal: Journal) -> None:
        self._client, self._journal = client, journal

    async def home(self) -> str:
        """The ID of the namespace; empty where the server knows none. Raises RPCError.

        It is asked for each time: a database that was lost takes it along, and the client goes on with the next one.
        """
        client = self._client()
        try:
            asked = DescribeNamespaceRequest(namespace=client.namespace)
            return (await client.workflow_service.describe_namespace(asked)).namespace_info.id
        except RPCError as error:
            if error.status is RPCStatusCode.UNIMPLEMENTED:  # Temporal's time-skipping test server
                return ""
            raise

    async def alive(self, execution: Execution) -> Alive:
        """Whether it runs. A namespace forgets no execution of its own that has not ended: one that it does not know
        and that is its own has ended, and of any other nobody here can tell. Raises RPCError."""
        if is_break_glass(execution.id):
            return await asyncio.to_thread(is_driven, self._journal, execution.id)
        workflow_id, _, run_id = execution.id.partition("#")
        try:
            found = await self._client().get_workflow_handle(workflow_id, run_id=run_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            ours = execution.home and execution.home == await self.home()
            return Alive.NO if ours else Alive.CANNOT_TELL
        return Alive.YES if found.status is WorkflowExecutionStatus.RUNNING else Alive.NO
