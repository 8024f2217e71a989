"""The exit codes: a contract with scripts and monitors, and the only place where they are decided."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from orchestrator.domain.errors import InDoubt, NotFoundLocally, RunbookInvalid, TideoverError

if TYPE_CHECKING:  # `lint` has exit codes and no executions: their models cost it a tenth of a second
    from orchestrator.domain.plan import Plan
    from orchestrator.domain.state import ExecutionState


class ExitCode(IntEnum):
    """What the process ends with."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    FINDINGS = 3
    NOT_READY = 4
    NOT_APPROVED = 5
    ROLLED_BACK = 6
    HUMAN_NEEDED = 7
    OBJECTIVE_MISSED = 8
    ABORTED = 9
    DETACHED = 10
    IN_DOUBT = 11


MEANING = {
    ExitCode.DONE: "done",
    ExitCode.INTERNAL: "a fault of Tideover itself; the traceback was written to a file",
    ExitCode.USAGE: "the command line, or a name in it, is wrong",
    ExitCode.FINDINGS: "the runbook has findings",
    ExitCode.NOT_READY: "not ready: no Temporal, no journal, a check that blocks, a group that is in use",
    ExitCode.NOT_APPROVED: "the approval was refused, or nobody approved in time",
    ExitCode.ROLLED_BACK: "failed, and everything touched was put back",
    ExitCode.HUMAN_NEEDED: "a human is needed, before or after the promotion",
    ExitCode.OBJECTIVE_MISSED: "recovered, but an objective was missed",
    ExitCode.ABORTED: "aborted in a safe state",
    ExitCode.DETACHED: "detached: the execution goes on",
    ExitCode.IN_DOUBT: "a command was sent and not answered: it may yet be taken",
}

OF_END = {
    "SUCCEEDED": ExitCode.DONE,
    "REFUSED": ExitCode.NOT_READY,
    "ROLLED_BACK": ExitCode.ROLLED_BACK,
    "NEEDS_HUMAN": ExitCode.HUMAN_NEEDED,
    "ABORTED_SAFE": ExitCode.ABORTED,
}
"""The code for each `End` of an execution."""

OF_ERROR: dict[type[TideoverError], ExitCode] = {
    RunbookInvalid: ExitCode.FINDINGS,
    NotFoundLocally: ExitCode.USAGE,
    InDoubt: ExitCode.IN_DOUBT,
    TideoverError: ExitCode.NOT_READY,
}


class Stopped(TideoverError):
    """A command ends here, with this code and, where there is one, this message."""

    def __init__(self, code: ExitCode, message: str = "") -> None:
        super().__init__(message)
        self.code = code


def of_error(error: TideoverError) -> ExitCode:
    """The code for an error that ends a command."""
    if isinstance(error, Stopped):
        return error.code
    return next(OF_ERROR[kind] for kind in type(error).__mro__ if kind in OF_ERROR)


def of_execution(plan: Plan, state: ExecutionState, missed: bool) -> ExitCode:
    """The code for an execution that has ended; `missed`: an objective was."""
    if state.finish is None:
        return ExitCode.DETACHED
    if state.finish.end == "SUCCEEDED" and missed:
        return ExitCode.OBJECTIVE_MISSED
    if state.finish.end == "REFUSED" and _nobody_approved(plan, state):
        return ExitCode.NOT_APPROVED
    return OF_END[state.finish.end]


def _nobody_approved(plan: Plan, state: ExecutionState) -> bool:
    from orchestrator.domain.checks import judge

    blocked = any(finding.level == "blocks" for finding in judge(plan, state))
    return state.checked_at is not None and not (state.approvals or state.claim_refused or blocked)
