"""Whether the execution that holds a group still runs: Temporal is asked, or the kernel of a break-glass process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.app.break_glass.kept import driver_of, is_break_glass, is_driven
from orchestrator.app.connection import connect
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.holder import Alive
from orchestrator.domain.ledger import Execution
from orchestrator.ports import Journal

PATIENCE = 3.0
"""Seconds for Temporal to answer: without it all else goes on the same."""


@dataclass(frozen=True)
class Known:
    """What is known of the execution that holds a group. `told`: the same in words, to stand behind its name."""

    alive: Alive
    told: str


RUNS = Known(Alive.YES, ", which runs")
HAS_ENDED = Known(Alive.NO, ", which has ended without its end")
NOT_KNOWN = Known(Alive.CANNOT_TELL, ", which this Temporal does not know")
NOT_ASKED = Known(Alive.CANNOT_TELL, "; whether that runs cannot be asked")


def without_temporal(journal: Journal, execution: Execution) -> Known:
    """What is known where no Temporal can be asked: the kernel still is, of a break-glass process."""
    if not is_break_glass(execution.id):
        return NOT_ASKED
    lives = is_driven(journal, execution.id)
    return Known(lives, f", {driver_of(journal, execution.id)}: {lives.value}")


def asked(journal: Journal, execution: Execution) -> Known:
    """What is known of it now, where nobody holds a connection: Temporal has PATIENCE seconds to answer."""

    async def ask() -> Known:
        try:
            async with asyncio.timeout(PATIENCE):
                client = await connect()
                return await Holders(lambda: client, journal).known(execution)
        except (TimeoutError, TideoverError):
            return NOT_ASKED

    return without_temporal(journal, execution) if is_break_glass(execution.id) else asyncio.run(ask())


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

    async def known(self, execution: Execution) -> Known:
        """The same in words as well; where Temporal does not tell, that it cannot be asked."""
        if is_break_glass(execution.id):
            return await asyncio.to_thread(without_temporal, self._journal, execution)
        try:
            alive = await self.alive(execution)
        except RPCError:
            return NOT_ASKED
        return next(known for known in (RUNS, HAS_ENDED, NOT_KNOWN) if known.alive is alive)
