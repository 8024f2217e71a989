"""One bundle of converter, workflows, activities and workflow runner, for client, worker, replayer and tests alike."""

from __future__ import annotations

from temporalio.plugin import SimplePlugin
from temporalio.worker import UnsandboxedWorkflowRunner

from workflows import failover
from workflows.activities import Activities
from workflows.auditing import CommandAudit
from workflows.conversion import data_converter

TASK_QUEUE = "tideover"
"""The one queue of all workflows: what a person types into the UI's start form."""


class TideoverPlugin(SimplePlugin):
    """For a client or replayer without activities; for a worker with them, and with the audit of what humans say.

    No sandbox: it would take a second to start each workflow, or have our modules passed through, and then it watches
    none of them, at 1.6 ms a step. What would make a workflow differ when it is replayed (clocks, chance, files,
    processes) the linter forbids in `workflows/` and `orchestrator/domain/`, and stored histories are replayed.
    """

    def __init__(self, activities: Activities | None = None) -> None:
        super().__init__(
            "tideover",
            data_converter=data_converter,
            workflows=failover.ALL,
            activities=activities.all() if activities else [],
            interceptors=[CommandAudit(activities.actor.journal)] if activities else None,
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
