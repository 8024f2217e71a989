"""What a person says to a running execution. Each command prints what the execution answered."""

from __future__ import annotations

from orchestrator.app.cli.approving import Asking
from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.given import By, Duration, Reason
from orchestrator.app.cli.session import connected, me
from orchestrator.app.cli.terminal import can_ask, data
from orchestrator.app.executions import CommandRefused, Executions
from orchestrator.domain.commands import (
    Abort,
    Approve,
    Attest,
    Escalate,
    OperatorInput,
    Pause,
    Resume,
    Retry,
    Skip,
)
from orchestrator.domain.durations import show


def approve(
    runbook: str,
    /,
    *,
    to: str | None = None,
    plan: str | None = None,
    max_loss: Duration = None,
    by: By = None,
    flags: Flags = NO_FLAGS,
) -> ExitCode:
    """Let an execution change the world. Without --to and --plan a terminal is asked.

    Parameters
    ----------
    runbook
        The group.
    to
        The target site.
    plan
        The plan's hash.
    max_loss
        The largest loss accepted, such as 30s.
    by
        Who you are; your user name where it is not given.
    """
    if to is None or plan is None:
        return _ask(runbook, by or me(), max_loss, flags)
    said = {"by": by or me(), "to": to, "plan": plan, "max_loss": None if max_loss is None else show(max_loss)}
    return _say(runbook, Approve.model_validate(said), flags, ExitCode.NOT_APPROVED)


def attest(runbook: str, step: str, /, *, reason: Reason, by: By = None, flags: Flags = NO_FLAGS) -> ExitCode:
    """Vouch for a fence that no authority confirms. It counts once two different people have.

    Parameters
    ----------
    runbook
        The group.
    step
        The fence or stop.
    reason
        What makes you certain.
    by
        Who you are; your user name where it is not given.
    """
    return _say(runbook, Attest(by=by or me(), step=step, reason=reason), flags)


def abort(runbook: str, /, *, reason: str = "", by: By = None, flags: Flags = NO_FLAGS) -> ExitCode:
    """Undo what was done and end, while that is safe.

    Parameters
    ----------
    runbook
        The group.
    reason
        Why; it stands in the report.
    by
        Who you are; your user name where it is not given.
    """
    return _say(runbook, Abort(by=by or me(), reason=reason), flags)


def pause(runbook: str, /, *, by: By = None, flags: Flags = NO_FLAGS) -> ExitCode:
    """Start no further step; what runs goes on.

    Parameters
    ----------
    runbook
        The group.
    by
        Who you are; your user name where it is not given.
    """
    return _say(runbook, Pause(by=by or me()), flags)


def resume(runbook: str, /, *, by: By = None, flags: Flags = NO_FLAGS) -> ExitCode:
    """Go on after a pause.

    Parameters
    ----------
    runbook
        The group.
    by
        Who you are; your user name where it is not given.
    """
    return _say(runbook, Resume(by=by or me()), flags)


def retry(runbook: str, step: str, /, *, by: By = None, flags: Flags = NO_FLAGS) -> ExitCode:
    """Try a failed step again, from its first method.

    Parameters
    ----------
    runbook
        The group.
    step
        The step.
    by
        Who you are; your user name where it is not given.
    """
    return _say(runbook, Retry(by=by or me(), step=step), flags)


def skip(runbook: str, step: str, /, *, reason: str, by: By = None, flags: Flags = NO_FLAGS) -> ExitCode:
    """Go on without a step of a move. Its checks, fences, stops and promotions cannot be skipped.

    Parameters
    ----------
    runbook
        The group.
    step
        The step.
    reason
        Why; it stands in the report.
    by
        Who you are; your user name where it is not given.
    """
    return _say(runbook, Skip(by=by or me(), step=step, reason=reason), flags)


def escalate(runbook: str, /, *, reason: str = "", by: By = None, flags: Flags = NO_FLAGS) -> ExitCode:
    """End now and hand over to humans; nothing is undone.

    Parameters
    ----------
    runbook
        The group.
    reason
        Why; it stands in the report.
    by
        Who you are; your user name where it is not given.
    """
    return _say(runbook, Escalate(by=by or me(), reason=reason), flags)


def _say(runbook: str, command: OperatorInput, flags: Flags, refused: ExitCode = ExitCode.NOT_READY) -> ExitCode:
    async def work(executions: Executions) -> ExitCode:
        try:
            data(await executions.say(await executions.find(runbook), command))
        except CommandRefused as error:
            raise Stopped(refused, f"refused: {error}") from None
        return ExitCode.DONE

    return connected(flags.settings(), work)


def _ask(runbook: str, by: str, max_loss: float | None, flags: Flags) -> ExitCode:
    async def work(executions: Executions) -> ExitCode:
        handle = await executions.find(runbook)
        seen = await executions.look(handle)
        if seen.snapshot is None:
            raise Stopped(ExitCode.NOT_READY, f"whether anything waits for an approval is not known: {seen.trouble}")
        if "approve" not in seen.snapshot.may:
            raise Stopped(ExitCode.NOT_APPROVED, "nothing waits for an approval")
        await Asking(by=by, max_loss=max_loss).answer(executions, handle, seen.snapshot)
        return ExitCode.DONE

    if not can_ask():
        raise Stopped(ExitCode.USAGE, "give --to SITE and --plan HASH: there is no terminal to ask at")
    return connected(flags.settings(), work)
