"""The verdict on I1 and I3, from what was acknowledged and what is there in the end; pure.

A *term* is a server's time as the one that accepts commits: all its acknowledged commits on one timeline. A term
surely lasts from the moment by which its first commit had taken effect to the moment before which its last had not.
Two terms of different servers that overlap are a split brain (I1). An old primary that comes back and accepts a commit
on its old timeline stretches its old term over its successor's, however long both were quiet in between; one that
returns by a proper failback begins a new timeline and so a new term.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from tests.e2e.lab.committing import Attempt


@dataclass(frozen=True)
class Term:
    """One server's time as the one that accepts commits; `begins` may lie after `ends` where it accepted only one."""

    site: str
    server: str
    system: str
    timeline: int
    begins: float
    ends: float
    commits: int


@dataclass(frozen=True)
class Overlap:
    """Both terms' servers accepted commits between `begins` and `ends`."""

    first: Term
    second: Term
    begins: float
    ends: float


@dataclass(frozen=True)
class View:
    """What one source of commits saw. `outage_seconds`: its longest time between two acknowledged commits."""

    source: str
    acked: int
    failed: int
    read_only: int
    lost: int
    outage_seconds: float
    blind_seconds: float


@dataclass(frozen=True)
class Report:
    """The observer's verdict.

    terms: in the order of their beginning. overlaps: empty, or I1 was violated.
    lost: commits (source, n) that some server acknowledged and that the primary at the end does not have (I3).
    outage_seconds: the longest time in which no server accepted a probe. views: every source's own account.
    """

    primary: str
    terms: tuple[Term, ...]
    overlaps: tuple[Overlap, ...]
    lost: tuple[tuple[str, int], ...]
    outage_seconds: float
    views: Mapping[str, View]

    def terms_of(self, site: str) -> tuple[Term, ...]:
        """The site's own terms."""
        return tuple(term for term in self.terms if term.site == site)


def judge(
    attempts: Mapping[str, Sequence[Attempt]],
    observers: Iterable[str],
    present: frozenset[tuple[str, int]],
    primary: str,
    sites: Mapping[str, str],
) -> Report:
    """The verdict on all `attempts` (by source), of which those by `observers` are the probes.

    `present` are the commits that the server `primary` has at the end; `sites` tells the site of each server.
    """
    acked = [attempt for tried in attempts.values() for attempt in tried if attempt.acked]
    terms = _terms(acked, sites)
    lost = sorted({(a.source, a.n) for a in acked} - present)
    probes = sorted(a.ended for source in observers for a in attempts[source] if a.acked)
    return Report(
        primary=primary,
        terms=terms,
        overlaps=tuple(found for pair in combinations(terms, 2) if (found := _overlap(*pair))),
        lost=tuple(lost),
        outage_seconds=_longest_gap(probes),
        views={source: _view(source, tried, lost) for source, tried in attempts.items()},
    )


def _terms(acked: Iterable[Attempt], sites: Mapping[str, str]) -> tuple[Term, ...]:
    grouped: dict[tuple[str, str, int], list[Attempt]] = defaultdict(list)
    for attempt in acked:
        grouped[attempt.server, attempt.system, attempt.timeline].append(attempt)
    found = [
        Term(
            site=sites[server],
            server=server,
            system=system,
            timeline=timeline,
            begins=min(attempt.ended for attempt in commits),
            ends=max(attempt.executed for attempt in commits),
            commits=len(commits),
        )
        for (server, system, timeline), commits in grouped.items()
    ]
    return tuple(sorted(found, key=lambda term: term.begins))


def _overlap(one: Term, other: Term) -> Overlap | None:
    if one.server == other.server or one.begins >= other.ends or other.begins >= one.ends:
        return None
    return Overlap(one, other, max(one.begins, other.begins), min(one.ends, other.ends))


def _view(source: str, tried: Sequence[Attempt], lost: Iterable[tuple[str, int]]) -> View:
    return View(
        source=source,
        acked=sum(attempt.acked for attempt in tried),
        failed=sum(not attempt.acked for attempt in tried),
        read_only=sum("ReadOnly" in (attempt.error or "") for attempt in tried),
        lost=sum(of == source for of, _ in lost),
        outage_seconds=_longest_gap([attempt.ended for attempt in tried if attempt.acked]),
        blind_seconds=_longest_gap([attempt.ended for attempt in tried]),
    )


def _longest_gap(times: Sequence[float]) -> float:
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)
