"""`init`: what a new place needs is made, and nothing that is there is touched."""

from __future__ import annotations

from pathlib import Path

from orchestrator.app import runbook_schema
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.terminal import data
from orchestrator.app.examples import TO_START_FROM, example
from orchestrator.app.journals import make_journal
from orchestrator.app.registry import catalog
from orchestrator.app.settings import HERE

SETTINGS = """\
# Where things are. Flags and TIDEOVER_* go before this file; it goes before the user's own.
# The connection to Temporal is not here: it is the `temporal` command's (TEMPORAL_ADDRESS, or a profile).
runbooks = ["{runbooks}"]
journal = "{journal}"            # the safety state: on a durable disk, or etcds://HOST,HOST,HOST/PREFIX; back it up
journal_credentials = "{profile}"    # the profile that etcd is shown, where it asks for one
credentials = "{credentials}"    # profiles of secrets; mode 0600
reports = "{reports}"
ui = "{ui}"
"""


def init(*, flags: Flags = NO_FLAGS) -> ExitCode:
    """Make the settings, journal and first runbooks that are missing. Nothing that is there is changed."""
    settings = flags.settings()
    folder = settings.runbooks[0]
    text = SETTINGS.format(
        runbooks=folder, journal=settings.journal, profile=settings.journal_credentials,
        credentials=settings.credentials, reports=settings.reports, ui=settings.ui,
    )  # fmt: skip
    _file(HERE, text)
    data(f"{'made' if make_journal(settings) else 'kept'}  {settings.journal}")
    _file(folder / "runbook.schema.json", runbook_schema.text(catalog()))
    if any(folder.glob("*.yaml")):
        data(f"kept  {folder}: it has runbooks already")
    else:
        for name in TO_START_FROM:
            _file(folder / name, example(name).read_text())
    return ExitCode.DONE


def _file(path: Path, text: str) -> None:
    """The file is there, with this text if it was missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        data(f"kept  {path}")
    else:
        data(f"made  {path}")
