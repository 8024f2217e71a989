"""Puts a Temporal server binary where `tideover demo` and the tests find it; prints its path."""

import sys

from orchestrator.app.temporal_binary import find_binary
from orchestrator.domain.errors import ServerUnavailable


def say(line: str) -> None:
    """One line of progress, on stderr: stdout is for the path."""
    print(f"[setup] {line}", file=sys.stderr, flush=True)


try:
    print(find_binary(say).path)
except ServerUnavailable as error:
    sys.exit(f"[setup] {error}")
