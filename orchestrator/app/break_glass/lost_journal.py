"""A new journal where the old one is lost: it knows of no doubt, fence or holder, so two people vouch first (FH)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain.commands import person
from orchestrator.domain.errors import TideoverError
from orchestrator.runtime import audit
from orchestrator.runtime.journal import SqliteJournal

MIN_REASON = 8
"""Letters, as for every attestation."""


class NotVouchedFor(TideoverError):
    """The new journal was not made; the text says what is missing."""


def stands(path: Path, group: str, said: Sequence[str]) -> None:
    """A journal stands at `path`: the old one, or a new one whose trail begins with what two people have vouched for.

    `said`: each `NAME: why nothing of the group runs and nothing that was asked for can still happen`.
    """
    if not said:
        if not path.exists():
            way_out = "restore it; if it is lost for good, two people vouch with --journal-is-lost 'NAME: why'"
            raise NotVouchedFor(f"there is no journal at {path}: {way_out}")
        return
    if path.exists():
        raise NotVouchedFor(f"the journal is not lost, it stands at {path}: leave out --journal-is-lost")
    vouched = [_read(text) for text in said]
    if len({person(by) for by, _ in vouched}) < 2:
        raise NotVouchedFor("one person's word is not enough: a second, different one vouches with --journal-is-lost")
    journal = SqliteJournal.create(path)
    for by, reason in vouched:
        detail = {"command": "journal-is-lost", "reason": reason}
        entry = audit.NewEntry(at=time.time(), what="command", group=group, who=by, plan="", detail=detail)
        audit.append(journal, entry)


def _read(text: str) -> tuple[str, str]:
    by, _, reason = (part.strip() for part in text.partition(":"))
    if not by or len(reason) < MIN_REASON:
        raise NotVouchedFor(f"{text!r}: write --journal-is-lost 'NAME: what makes you certain that nothing runs'")
    return by, reason
