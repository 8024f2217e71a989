"""What people give on the command line, beside plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

from orchestrator.domain import commands, durations


def _seconds(_: type, tokens: Sequence[Token]) -> float:
    return durations.parse(tokens[0].value)


Duration = Annotated[float | None, Parameter(converter=_seconds, metavar="DURATION")]
"""A duration with its unit, such as 30s or 5m; in seconds."""


def _named(_: type, by: str | None) -> None:
    if by is not None:
        commands.named(by)


def _weighed(_: type, reason: str) -> None:
    commands.weighed(reason)


By = Annotated[str | None, Parameter(validator=_named)]
"""Who says it, where it is not the user."""

Reason = Annotated[str, Parameter(validator=_weighed)]
"""What makes a person certain of what nothing else confirms."""
