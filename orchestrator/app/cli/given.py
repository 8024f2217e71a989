"""What people give on the command line, beside plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.domain import commands, durations

LONGEST = 4096
"""Letters; no path and no name has more."""

SPOKEN = frozenset({"--reason", "--holder-is-gone", "--journal-is-lost"})
"""What is given in sentences, of any length."""


def sound(arguments: Sequence[str]) -> None:
    """Raises Stopped naming the argument of which nothing can be made. An empty one is a variable of a script that was
    not set, and taking it for one that was not given would do something else than was meant; a reason may be empty."""
    before = ""
    for place, word in enumerate(arguments, start=1):
        option, assigned, value = word.partition("=") if word.startswith("--") else ("", "", word)
        name = option if assigned else before
        wrong = _wrong(name, value) if assigned or not option else ""
        if wrong:
            raise Stopped(ExitCode.USAGE, f"{name or f'argument {place}'} {wrong}")
        before = "" if assigned else option


def _wrong(name: str, value: str) -> str:
    if not value and name != "--reason":
        return "is empty: give it a value, or leave it out"
    if len(value) > LONGEST and name not in SPOKEN:
        return f"has {len(value)} letters, and no name has more than {LONGEST}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"is no text (UTF-8): {value[:LONGEST]!a}"
    return ""


def _seconds(_: type, tokens: Sequence[Token]) -> float:
    return durations.parse(tokens[0].value)


Duration = Annotated[float | None, Parameter(converter=_seconds, metavar="DURATION", allow_leading_hyphen=True)]
"""A duration with its unit, such as 30s or 5m; in seconds."""


def _named(_: type, by: str | None) -> None:
    if by is not None:
        commands.named(by)


def _weighed(_: type, reason: str) -> None:
    commands.weighed(reason)


def _weighed_or_none(_: type, reason: str) -> None:
    commands.weighed_or_none(reason)


By = Annotated[str | None, Parameter(validator=_named)]
"""Who says it, where it is not the user."""

Reason = Annotated[str, Parameter(validator=_weighed)]
"""What makes a person certain of what nothing else confirms."""

ReasonOrNone = Annotated[str, Parameter(validator=_weighed_or_none)]
"""The same, or empty where nothing is taken for certain."""
