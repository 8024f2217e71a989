"""Where a command writes: data on stdout, progress and errors on stderr, and both plain where nobody looks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

Output = Literal["text", "json", "markdown"]

PIPE_WIDTH = 160
"""Columns of a table that no terminal shows: wide enough that `grep` finds whole words."""


def out() -> Console:
    """The console for data."""
    return _console(stderr=False)


def err() -> Console:
    """The console for progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else PIPE_WIDTH)


def say(line: str) -> None:
    """One plain line of progress on stderr."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 -- the one place for progress


def data(text: str) -> None:
    """Text on stdout, as it is."""
    print(text, flush=True)  # noqa: T201 -- the one place for data


def is_live() -> bool:
    """True where a person looks at a terminal that can be redrawn."""
    return sys.stderr.isatty() and sys.stdout.isatty()


def can_ask() -> bool:
    """True where a person can be asked."""
    return is_live() and sys.stdin.isatty()
