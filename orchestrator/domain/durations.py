"""Durations as people write them: `90s`, `5m`, `1h30m`; and as people read them."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_TEXT = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


LONGEST = 10 * 365 * 86400.0
"""Seconds; past that it is a slip of the hand."""


def parse(text: str) -> float:
    """The seconds in `1h30m`, `5m`, `90s` or `0.5s`. Raises ValueError for anything else."""
    found = _TEXT.fullmatch(text.strip())
    if not found or not any(found.groups()):
        msg = f"{text!r} is no duration: write 90s, 5m or 1h30m"
        raise ValueError(msg)
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total > LONGEST:
        msg = "longer than ten years: write what was meant"
        raise ValueError(msg)
    return total


def show(seconds: float) -> str:
    """`1h30m`, `5m`, `90s`, `0.25s`: the shortest text that `parse` reads back to the same value (to 1 ms)."""
    millis = round(seconds * 1000)
    if millis >= 120_000 and millis % 1000 == 0:
        hours, rest = divmod(millis // 1000, 3600)
        minutes, secs = divmod(rest, 60)
        return "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (secs, "s")) if n)
    return f"{millis / 1000:g}s" if millis < 1_000_000 else f"{millis / 1000:.3f}s"


def rounded_up(seconds: float) -> float:
    """A bound as it is told, never below what it is: to 10 ms under 1 s, to 0.1 s under 10 s, else to a second."""
    scale = 100 if seconds < 1 else 10 if seconds < 10 else 1
    return math.ceil(round(seconds * scale, 6)) / scale


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{value!r} is no duration: write 90s, 5m or 1h30m"  # pydantic would read `true` as a second
    else:
        msg = f"{value!r} has no unit: write {value}s or {value}m"
    raise ValueError(msg)


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(show, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": "^(\\d+h)?(\\d+m)?(\\d+(\\.\\d+)?s)?$", "examples": ["90s", "5m", "1h30m"]}
    ),
]
"""A duration in seconds, written as text with units."""


def _lasting(value: float) -> float:
    if show(value) == "0s":
        msg = "0s is over at once: write how long it may take, such as 15m, or leave the key out"
        raise ValueError(msg)
    return value


Wait = Annotated[Seconds, AfterValidator(_lasting)]
"""A time for which something is waited: never none at all."""
