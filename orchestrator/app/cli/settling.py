"""`settle`: a person says that what is in doubt can no longer happen, where nothing else could ever tell."""

from __future__ import annotations

from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.given import By, Reason
from orchestrator.app.cli.session import me
from orchestrator.app.cli.terminal import data
from orchestrator.app.journals import open_journal
from orchestrator.app.library import RunbookLibrary
from orchestrator.app.registry import catalog
from orchestrator.domain.derivation import derive
from orchestrator.runtime.group import Group


def settle(runbook: str, resource: str, /, *, reason: Reason, by: By = None, flags: Flags = NO_FLAGS) -> ExitCode:
    """Say that a request in doubt can no longer happen.

    For what only a person can know: that a command of your own, or one on a host that was cut off, has ended for good.
    Where a lateness is known the doubt ends by itself, and what lets a site accept writes is never taken on a word.

    Parameters
    ----------
    runbook
        The name of a runbook in the library.
    resource
        What was asked for something, as `tideover status` names it.
    reason
        What makes you certain; it stands in the audit trail.
    by
        Who you are; your user name where it is not given.
    """
    settings = flags.settings()
    found = RunbookLibrary(settings.runbooks, catalog()).runbook(runbook)
    journal = open_journal(settings)
    plan = derive(found, catalog(), found.direction[1], "planned", journal.id)
    settled = Group(journal, found.runbook).settle_by_hand(plan, resource, by or me(), reason)
    if isinstance(settled, str):
        raise Stopped(ExitCode.NOT_READY, settled)
    left = len(settled.doubts)
    data(f"{resource}: nothing is in doubt any more" + (f"; in doubt is still {left} more" if left else ""))
    return ExitCode.DONE
