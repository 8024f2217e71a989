"""What a journal holds, read back: a damaged value is told with its key, and the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from orchestrator.domain.errors import JournalUnavailable

T = TypeVar("T")


def decoded(decode: Callable[[str], T], key: str, text: str, way_out: str = "restore the journal") -> T:
    """`decode(text)`. Raises JournalUnavailable where what stands under the key is no such thing (any more)."""
    try:
        return decode(text)
    except ValueError as error:
        why = f"what the journal holds under {key!r} cannot be read: it was damaged, or a newer Tideover wrote it"
        raise JournalUnavailable(f"{why}; {way_out}") from error
