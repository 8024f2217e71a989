"""The command `tideover`. What it imports is kept small: `lint` and `plan` load no cloud SDK and no Temporal."""

from __future__ import annotations

import sys


def main() -> None:
    """The command line has been obeyed; the process ends with an exit code of `exits.ExitCode`."""
    from orchestrator.app.cli.application import run

    sys.exit(run(sys.argv[1:]))
