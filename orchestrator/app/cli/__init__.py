"""The command `tideover`. What it imports is kept small: `lint` and `plan` load no cloud SDK and no Temporal."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def main() -> NoReturn:
    """The command line has been obeyed; the process ends with an exit code of `exits.ExitCode`."""
    from orchestrator.app.cli.application import run

    code = run(sys.argv[1:])
    if "temporalio" in sys.modules:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """Everything is written and the process ends at once, without finalising the interpreter.

    A thread of Temporal's SDK may still answer into it then, and CPython aborts ("PyGILState_Release: thread state must
    be current"; measured once in about eight ends of a worker with temporalio 1.35): the exit code would be lost.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)
