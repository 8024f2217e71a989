"""What people give on the command line, beside plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

from orchestrator.domain import durations


def _seconds(_: type, tokens: Sequence[Token]) -> float:
    return durations.parse(tokens[0].value)


Duration = Annotated[float | None, Parameter(converter=_seconds)]
"""A duration with its unit, such as 30s or 5m; in seconds."""
