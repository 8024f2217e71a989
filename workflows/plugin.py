"""One bundle of converter, workflows, activities and sandbox settings, for client, worker, replayer and tests alike."""

from __future__ import annotations

from dataclasses import replace

from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from workflows import failover
from workflows.activities import Activities
from workflows.auditing import CommandAudit
from workflows.conversion import data_converter

TASK_QUEUE = "tideover"
"""The one queue of all workflows: what a person types into the UI's start form."""

PASSED_THROUGH = ("orchestrator.domain", "pydantic", "pydantic_core", "annotated_types", "workflows")
"""Pure modules, loaded once outside of the sandbox: a workflow starts in milliseconds instead of a second."""


class TideoverPlugin(SimplePlugin):
    """For a client or replayer without activities; for a worker with them, and with the audit of what humans say."""

    def __init__(self, activities: Activities | None = None) -> None:
        super().__init__(
            "tideover",
            data_converter=data_converter,
            workflows=failover.ALL,
            activities=activities.all() if activities else [],
            interceptors=[CommandAudit(activities.journal)] if activities else None,
            workflow_runner=_runner,
        )


def _runner(existing: WorkflowRunner | None) -> WorkflowRunner:
    runner = existing if isinstance(existing, SandboxedWorkflowRunner) else SandboxedWorkflowRunner()
    return replace(runner, restrictions=runner.restrictions.with_passthrough_modules(*PASSED_THROUGH))
