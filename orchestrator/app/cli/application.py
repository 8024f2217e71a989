"""The commands, each loaded when it is called, and what becomes of their errors: never a traceback on the screen."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

import cyclopts

from orchestrator.app.cli.exits import ExitCode, of_error
from orchestrator.app.cli.given import sound
from orchestrator.app.cli.terminal import err, say
from orchestrator.domain.errors import TideoverError

REVIEW, RECOVER, STEER, OPERATE = "Review", "Recover", "Steer a running execution", "Operate"

COMMANDS: dict[str, tuple[str, str, str]] = {
    "lint": (REVIEW, "review:lint", "Find what is wrong in runbooks."),
    "plan": (REVIEW, "review:plan", "Show what a failover would do, step by step."),
    "rehearse": (REVIEW, "rehearsing:rehearse", "Try every placement of faults on a runbook's plans, in a model."),
    "checklist": (REVIEW, "review:checklist", "Print a plan for a person with no tool at all."),
    "schema": (REVIEW, "review:schema", "Print the JSON Schema of the runbook language."),
    "status": (RECOVER, "status:status", "Tell who is primary, by which evidence, and what may be done now."),
    "run": (RECOVER, "running:run", "Fail over or switch over, after an approval."),
    "failback": (RECOVER, "failing_back:failback", "Rebuild the old primary and move the service back to it."),
    "unfence": (RECOVER, "running:unfence", "Power on what was fenced and never replaced."),
    "settle": (RECOVER, "settling:settle", "Say that a request in doubt can no longer happen."),
    "report": (RECOVER, "reporting:report", "Write the report of an execution, or list them."),
    "audit show": (RECOVER, "auditing:show", "List what was done and said, by whom."),
    "audit verify": (RECOVER, "auditing:verify", "Find what was changed in the audit trail by another hand."),
    "audit checkpoint": (RECOVER, "auditing:checkpoint", "Tell where the audit trail ends, to be kept elsewhere."),
    "follow": (STEER, "running:follow", "Watch an execution."),
    "approve": (STEER, "steering:approve", "Let an execution change the world."),
    "attest": (STEER, "steering:attest", "Vouch for a fence that no authority confirms."),
    "abort": (STEER, "steering:abort", "Undo what was done and end, while that is safe."),
    "pause": (STEER, "steering:pause", "Start no further step."),
    "resume": (STEER, "steering:resume", "Go on after a pause."),
    "retry": (STEER, "steering:retry", "Try a failed step again."),
    "skip": (STEER, "steering:skip", "Go on without a step."),
    "escalate": (STEER, "steering:escalate", "End and hand over to humans."),
    "demo": (OPERATE, "showing:demo", "A real failover on this machine."),
    "init": (OPERATE, "setting_up:init", "Make the settings, journal and first runbooks that are missing."),
    "worker": (OPERATE, "serving:worker", "Run executions on this host."),
    "doctor": (OPERATE, "doctor:doctor", "Check everything that a failover needs."),
}
"""Name to (group, module:function in this package, what it does)."""

FAMILIES = {"audit": (RECOVER, "Show the audit trail, verify it, and take checkpoints of it.")}
"""The commands of two words, by their first: (group, what they are for)."""


def application() -> cyclopts.App:
    """The command line."""
    app = cyclopts.App(
        name="tideover",
        help="Moves a service from a lost site to a standby site, and brings it back.",
        version=lambda: importlib.metadata.version("tideover"),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    groups = {title: cyclopts.Group.create_ordered(title) for title, _, _ in COMMANDS.values()}
    families = {
        name: app.command(cyclopts.App(name=name, help=text, group=groups[title]))
        for name, (title, text) in FAMILIES.items()
    }
    for name, (title, target, text) in COMMANDS.items():
        first, _, second = name.partition(" ")
        parent = families[first] if second else app
        parent.command(
            f"{__package__}.{target}", name=second or first, help=text, group=None if second else groups[title]
        )
    app["--help"].group = app["--version"].group = cyclopts.Group.create_ordered("Also")
    return app


def run(arguments: Sequence[str]) -> ExitCode:
    """The exit code after obeying the arguments; each error has become one message on stderr."""
    app = application()
    try:
        sound(arguments)
        result = app(arguments, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        err().print(cyclopts.CycloptsPanel(error))
        return ExitCode.USAGE
    except TideoverError as error:
        if str(error):
            say(f"tideover: {error}")
        return of_error(error)
    except KeyboardInterrupt:
        say("tideover: interrupted")
        return ExitCode.ABORTED
    except BrokenPipeError:
        _write_no_more()
        return ExitCode.DONE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            report_fault(error)
            return ExitCode.INTERNAL
        say(f"tideover: {error.filename or 'what it prints'} cannot be written: {error.strerror}")
        _write_no_more()
        return ExitCode.NOT_READY
    except Exception as error:  # noqa: BLE001 -- the last line: a fault of ours ends in one line as well
        report_fault(error)
        return ExitCode.INTERNAL
    return result if isinstance(result, ExitCode) else ExitCode.DONE


def _write_no_more() -> None:
    """Else flushing at the process's end complains once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report_fault(error: Exception) -> None:
    """A fault of ours is told in one line; its traceback stands in a file."""
    with tempfile.NamedTemporaryFile("w", prefix="tideover-", suffix=".traceback", delete=False) as file:
        file.writelines(traceback.format_exception(error))
    first = str(error).partition("\n")[0]
    say(f"tideover: a fault of Tideover itself: {type(error).__name__}: {first}; the traceback is in {file.name}")
