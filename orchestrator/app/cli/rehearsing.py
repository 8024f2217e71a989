"""`rehearse`: does this runbook split the service under any placement of up to k faults? No SDK, no Temporal."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter, validators

from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.review import valid_runbook, warned
from orchestrator.app.cli.terminal import Output, data, say


def rehearse(
    runbook: str,
    /,
    *,
    faults: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=4))] = 1,
    jobs: Annotated[int, Parameter(validator=validators.Number(gte=1))] | None = None,
    output: Output = "text",
    flags: Flags = NO_FLAGS,
) -> ExitCode:
    """Check a runbook in a model of the world, under every placement of up to so many faults.

    Runs the same engine that runs in an emergency, call by call. A fault is a look that sees nothing or what was
    before, a guard that cannot reach the journal, a request that is rejected, lost or takes effect later, a worker
    that is lost or freezes, a site that dies, is cut off or comes back, a human who interferes, a terminated execution.

    Parameters
    ----------
    runbook
        A file, or the name of a runbook in the library.
    faults
        How many: 1 takes seconds, 2 minutes and a gigabyte for each job; with many components far more.
    jobs
        How many searches at the same time; without it as many as there are cores.
    output
        How to print it.
    """
    from orchestrator.app.rehearsal_view import View
    from orchestrator.app.rehearsed import cores, rehearsed

    text = valid_runbook(runbook, flags, undone="rehearsed")
    found, told = text.valid(), warned(text, output)
    view = View(found.runbook, faults)
    for scenario in rehearsed(found, faults, jobs or cores(), say):
        view.add(scenario)
        say(str(scenario))
    data("\n".join(({"json": view.json, "markdown": view.markdown, "text": view.text}[output](), *told)))
    return ExitCode.FINDINGS if view.broken else ExitCode.DONE
