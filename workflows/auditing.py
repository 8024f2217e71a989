"""What humans say to an execution, taken or refused, stands in the audit trail (I12).

A refused update leaves no event in Temporal's history, so without this nobody would know that it was tried. What
cannot even be read as a command is answered before it comes here: it says nothing and names nobody.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError
from temporalio.worker import (
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from orchestrator.domain.errors import JournalUnavailable
from orchestrator.ports import Journal
from orchestrator.runtime import audit
from workflows.execution import ExecutionWorkflow

_NOTE = "tideover_note"
_logger = logging.getLogger(__name__)


class CommandAudit(Interceptor):
    """Writes beside the workflow's thread: a journal that is slow or gone holds up no workflow and no answer."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:  # noqa: A002 -- the SDK's name
        """Every workflow gets the door to `note`."""
        input.unsafe_extern_functions[_NOTE] = self.note
        return _Inbound

    def note(self, entry: audit.NewEntry) -> None:
        """The entry will be written, in the order of the calls."""
        self._writer.submit(self._append, entry)

    def _append(self, entry: audit.NewEntry) -> None:
        try:
            audit.append(self._journal, entry)
        except JournalUnavailable as error:
            _logger.warning("%s of %s by %s is not in the audit trail: %s", entry.what, entry.group, entry.who, error)


class _Inbound(WorkflowInboundInterceptor):
    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002 -- the SDK's name
        try:
            super().handle_update_validator(input)
        except FailureError as error:
            _note(input, error.message)
            raise

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002 -- the SDK's name
        _note(input, None)
        return await super().handle_update_handler(input)


def _note(update: HandleUpdateInput, refused: str | None) -> None:
    running = workflow.instance()
    if workflow.unsafe.is_replaying() or not isinstance(running, ExecutionWorkflow):
        return
    said = update.args[0] if update.args else None
    workflow_id = workflow.info().workflow_id
    entry = audit.spoken(workflow_id, running.group, running.plan_digest, update.update, said, refused)
    workflow.extern_functions()[_NOTE](entry)
