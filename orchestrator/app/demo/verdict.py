"""What the writer saw: how long it was without service, and which of its acknowledged commits are gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True)
class Ack:
    """A commit that the database acknowledged. `at`: seconds since the epoch; `address`: who acknowledged it."""

    seq: int
    at: float
    address: str


@dataclass(frozen=True)
class Verdict:
    """Judged over one span of time; times in seconds.

    outage: the longest time without an acknowledged commit; it began at `outage_began` (seconds since the epoch).
    over: commits are acknowledged again after it.
    lost: acknowledged, but not in the database that serves now. lost_seconds: how far back the losses reach.
    unacknowledged: in the database although the writer never learnt so; allowed, and worth knowing.
    served_by: the address that acknowledged the newest commit.
    """

    acknowledged: int
    lost: int
    lost_seconds: float
    unacknowledged: int
    outage: float
    outage_began: float
    over: bool
    served_by: str


def read_acks(record: Path) -> list[Ack]:
    """The writer's record so far, without a line that is still being written."""
    lines = record.read_text().split("\n")[:-1] if record.exists() else []
    return [Ack(int(seq), float(at), address) for seq, at, address in (line.split() for line in lines)]


def judge(acks: Sequence[Ack], rows: Collection[int], since: float, until: float) -> Verdict:
    """The verdict on the acks between `since` and `until`, where `rows` are the numbers in the database now.

    `acks` must have been read before `rows`, or a commit between the two passes for a lost one. Raises ValueError
    where nothing was acknowledged in that span, since nothing can be judged then.
    """
    seen = [ack for ack in acks if since <= ack.at <= until]
    if not seen:
        msg = "the writer got no commit acknowledged in this span of time"
        raise ValueError(msg)
    times = [ack.at for ack in seen] + [until]
    outage, began = max((after - before, before) for before, after in pairwise(times))
    present = set(rows)
    lost = [ack for ack in seen if ack.seq not in present]
    return Verdict(
        acknowledged=len(seen),
        lost=len(lost),
        lost_seconds=_reach(seen, lost),
        unacknowledged=len(present.intersection(range(seen[0].seq, seen[-1].seq + 1)) - {ack.seq for ack in seen}),
        outage=outage,
        outage_began=began,
        over=began != seen[-1].at,
        served_by=seen[-1].address,
    )


def _reach(seen: Sequence[Ack], lost: Sequence[Ack]) -> float:
    """From the last ack that was kept before the losses to the last one lost: what the data lags behind the world."""
    if not lost:
        return 0.0
    kept = [ack.at for ack in seen if ack.seq < lost[0].seq]
    return lost[-1].at - (kept[-1] if kept else lost[0].at)
