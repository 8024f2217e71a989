"""A new journal where the old one is lost: it knows of no doubt, fence or holder, so two people vouch first (FH)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from orchestrator.app.journals import make_journal, open_journal
from orchestrator.app.settings import Settings
from orchestrator.domain.commands import enough, named, weighed
from orchestrator.domain.errors import JournalUnavailable, TideoverError
from orchestrator.runtime import audit
from orchestrator.runtime.journal import WAY_OUT


class NotVouchedFor(TideoverError):
    """The new journal was not made; the text says what is missing."""


def stands(settings: Settings, group: str, said: Sequence[str], before_a_new_one: Callable[[], object]) -> None:
    """A journal stands: the old one, or a new one whose trail begins with what two people have vouched for.

    `said`: each `NAME: why nothing of the group runs and nothing that was asked for can still happen`.
    `before_a_new_one`: raises where nothing could be begun on it; once a journal stands, nobody is asked to vouch.
    """
    try:
        open_journal(settings)
    except JournalUnavailable as error:
        if not said:
            raise NotVouchedFor(_lost(error)) from None
    else:
        if said:
            told = f"the journal is not lost, it stands at {settings.journal}: leave out --journal-is-lost"
            raise NotVouchedFor(told)
        return
    vouched = [_read(text) for text in said]
    if not enough(by for by, _ in vouched):
        raise NotVouchedFor("one person's word is not enough: a second, different one vouches with --journal-is-lost")
    before_a_new_one()
    if not make_journal(settings):
        raise NotVouchedFor(f"what stands at {settings.journal} is no journal: look at it, and move it away")
    journal = open_journal(settings)
    for by, reason in vouched:
        detail = {"command": "journal-is-lost", "reason": reason}
        entry = audit.NewEntry(at=time.time(), what="command", group=group, who=by, plan="", detail=detail)
        audit.append(journal, entry)


def _lost(error: JournalUnavailable) -> str:
    way_out = "if it is lost for good, two people vouch with --journal-is-lost 'NAME: why'"
    return str(error) if WAY_OUT in str(error) else f"{error}; {way_out}"


def _read(text: str) -> tuple[str, str]:
    by, _, reason = (part.strip() for part in text.partition(":"))
    try:
        return named(by), weighed(reason)
    except ValueError as error:
        wanted = "write --journal-is-lost 'NAME: what makes you certain that nothing runs'"
        raise NotVouchedFor(f"{text!r}: {error}; {wanted}") from None
