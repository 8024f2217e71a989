"""How the report writes times, durations, sizes and log positions; and what it makes of text from elsewhere."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

from orchestrator.domain.durations import rounded_up
from orchestrator.domain.loss import Loss

_SPACES = re.compile(r"\s+")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def clean(text: str) -> str:
    """The text on one line: control characters and those that turn the direction of writing are replaced."""
    shown = "".join(" " if char in "\r\n\t" else "\ufffd" if _hidden(char) else char for char in text)
    return _SPACES.sub(" ", shown)


def _hidden(char: str) -> bool:
    return char in _BIDI or unicodedata.category(char) in ("Cc", "Cs") or char in "\ufffe\uffff"


def seconds(value: float) -> str:
    """`0.18 s`, `7.1 s`, `5 s`, `42 s`, `2 min 10 s`, `1 h 5 min`."""
    if value < 0.995:
        return f"{value:.2f} s"
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0") + " s"
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    shown = {"h": hours, "min": minutes, "s": 0 if hours else rest}
    return " ".join(f"{count} {unit}" for unit, count in shown.items() if count)


def exact(value: float) -> str:
    """Seconds to the hundredth: what adds up in a table."""
    return f"{value:.2f} s"


def moment(at: float) -> str:
    """`2026-11-21 01:36:27 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(at: float) -> str:
    """`01:36:27 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"


def precise(at: float) -> str:
    """`01:36:27.541`, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f}"[:-3]


def position(offset: int | None) -> str | None:
    """A byte offset of the log as PostgreSQL writes it: the upper and the lower 32 bits, in hex."""
    return None if offset is None else f"{offset >> 32:X}/{offset & 0xFFFFFFFF:X}"


def size(count: int) -> str:
    """`0 bytes`, `1 byte`, `1,234 bytes`."""
    return f"{count:,} byte{'' if count == 1 else 's'}"


def loss_bound(loss: Loss | None) -> str:
    """`nothing`, `at most 6.7 s`, or `unknown`."""
    if loss is None or loss.seconds is None:
        return "unknown"
    return "nothing" if loss.seconds == 0 else f"at most {seconds(rounded_up(loss.seconds))}"


def loss_text(loss: Loss | None) -> str:
    """The bound, with the bytes of the log where the source's end is known."""
    if loss is None:
        return "not measured"
    behind = "WAL bytes unknown" if loss.wal_bytes is None else f"{size(loss.wal_bytes)} of WAL"
    blind = "" if loss.source_known else "; the source's own log could not be read"
    return f"{loss_bound(loss)} ({behind}{blind})"
