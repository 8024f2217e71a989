"""How much committed data a promotion would lose, from what both sides of the replication last said."""

from __future__ import annotations

from orchestrator.domain import durations
from orchestrator.domain.base import Frozen
from orchestrator.domain.world import Reading, Replication


class Loss(Frozen):
    """At most `seconds` of commits and, where the source's end is known, at least `wal_bytes` of its log.

    `source_known`: the source's log was read to its end; else `wal_bytes` counts from what was last seen of it.
    """

    seconds: float | None
    wal_bytes: int | None
    source_known: bool

    def __str__(self) -> str:
        seconds = "an unknown time" if self.seconds is None else durations.show(durations.rounded_up(self.seconds))
        size = "" if self.wal_bytes is None else f", {self.wal_bytes} bytes of WAL"
        return f"at most {seconds}{size}" + ("" if self.source_known else " (the source cannot be read)")

    def within(self, accepted: float) -> bool:
        """True where no more than `accepted` seconds can be lost; an unknown loss never is."""
        return self.seconds is not None and self.seconds <= accepted


NOTHING_LOST = Loss(seconds=0.0, wal_bytes=0, source_known=True)
"""What a standby loses that has replayed all of a stopped source's log."""


_TELL_THEIR_END = frozenset({"primary", "stopped"})
"""Roles of a source from which the end of its log is known."""


def would_lose(
    source: Reading | None, target: Reading | None, until: float, cut_off: bool = False, earlier: Reading | None = None
) -> Loss:
    """What would be lost if the source accepted commits up to `until` (seconds since the epoch), and the target is
    promoted. `cut_off`: since the source was read, so that it tells its end no more. `earlier`: see `measure`.
    """
    if target is None or target.replication is None:
        return Loss(seconds=None, wal_bytes=None, source_known=False)
    if target.role == "primary":
        return NOTHING_LOST  # promoting it again loses no more
    told = source is not None and source.role in _TELL_THEIR_END and not cut_off
    end = source.replication if source else None
    return measure(end, told, target.replication, until, earlier.replication if earlier else None)


def measure(
    source: Replication | None,
    source_alive: bool,
    standby: Replication,
    until: float,
    earlier: Replication | None = None,
) -> Loss:
    """The loss if the source accepted commits up to `until` (seconds since the epoch) and the standby is promoted.

    A standby that has received all of a readable source's log loses nothing. Otherwise every commit newer than the
    last that the standby has, or than its last contact, may be lost: a bound, not an estimate. `earlier`: another
    reading of the standby, when it still streamed and so knew of a contact that it has forgotten since.
    """
    behind = None
    if source and source.written is not None and standby.received is not None:
        behind = max(0, source.written - standby.received)
    if source_alive and behind == 0:
        return NOTHING_LOST
    contacts = [seen.last_contact_at for seen in (standby, earlier) if seen and seen.streaming]
    known = [at for at in (standby.last_commit_at, *contacts) if at]
    seconds = max(0.0, until - max(known)) if known else None
    return Loss(seconds=seconds, wal_bytes=behind, source_known=source_alive)
