"""A command and what became of it, wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """What to run: `limit` in whole seconds, as the OS user `run_as` or as whoever is logged in."""

    words: Sequence[str]
    limit: int
    run_as: str | None = None
    stdin: str = ""


@dataclass(frozen=True)
class Completed:
    """A command that ran to its own end."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The last line it wrote to stderr, else to stdout: the reason for a non-zero code, on one line."""
        lines = [line for text in (self.stdout, self.stderr) for line in text.splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit code {self.code}"
