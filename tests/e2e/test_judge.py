"""The judge's own trial: it must find what is wrong, and nothing where nothing is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.e2e.lab.committing import Attempt
from tests.e2e.lab.judge import Report, judge

SITES = {"pg-a": "dc", "pg-b": "cloud"}


def commits(server: str, timeline: int, times: Sequence[float], first: int = 1) -> list[Attempt]:
    """Acknowledged probes: executed at each time, told 10 ms later."""
    source = f"probe-{SITES[server]}"
    return [
        Attempt(source, first + i, at - 0.01, at + 0.01, executed=at, server=server, system="77", timeline=timeline)
        for i, at in enumerate(times)
    ]


def failed(server: str, n: int, at: float, error: str) -> Attempt:
    return Attempt(f"probe-{SITES[server]}", n, at, at + 0.001, error=error)


def verdict(a: list[Attempt], b: list[Attempt], missing: frozenset[tuple[str, int]] = frozenset()) -> Report:
    present = frozenset((attempt.source, attempt.n) for attempt in (*a, *b) if attempt.acked) - missing
    return judge({"probe-dc": a, "probe-cloud": b}, ["probe-dc", "probe-cloud"], present, "pg-b", SITES)


def test_one_after_the_other_is_no_overlap() -> None:
    report = verdict(commits("pg-a", 1, [1, 2, 3]), commits("pg-b", 2, [4, 5]))
    assert report.overlaps == ()
    assert [(term.site, term.timeline, term.commits) for term in report.terms] == [("dc", 1, 3), ("cloud", 2, 2)]
    assert report.outage_seconds == pytest.approx(1.0)


def test_two_at_once_overlap() -> None:
    report = verdict(commits("pg-a", 1, [1, 2, 3, 4]), commits("pg-b", 2, [2.5, 5]))
    (overlap,) = report.overlaps
    assert overlap.begins == pytest.approx(2.51)
    assert overlap.ends == pytest.approx(4)


def test_a_single_late_commit_of_the_old_primary_is_an_overlap() -> None:
    assert verdict(commits("pg-a", 1, [1, 2, 6]), commits("pg-b", 2, [4, 5, 7])).overlaps


def test_an_old_primary_that_returns_long_after_is_an_overlap() -> None:
    assert verdict(commits("pg-a", 1, [1, 2, 60]), commits("pg-b", 2, [4, 5])).overlaps


def test_the_same_timeline_twice_is_found_too() -> None:
    assert verdict(commits("pg-a", 1, [1, 2, 3]), commits("pg-b", 1, [2.5, 3.5])).overlaps


def test_a_commit_that_was_told_late_is_no_overlap() -> None:
    late = Attempt("probe-dc", 9, 2.9, 4.5, executed=3.0, server="pg-a", system="77", timeline=1)
    assert verdict([*commits("pg-a", 1, [1, 2]), late], commits("pg-b", 2, [4, 5])).overlaps == ()


def test_a_failback_is_no_overlap() -> None:
    there_and_back = commits("pg-a", 1, [1, 2]) + commits("pg-a", 3, [7, 8], first=3)
    report = verdict(there_and_back, commits("pg-b", 2, [4, 5]))
    assert report.overlaps == ()
    assert [term.timeline for term in report.terms_of("dc")] == [1, 3]


def test_lost_is_what_was_acknowledged_and_is_not_there() -> None:
    report = verdict(commits("pg-a", 1, [1, 2, 3]), commits("pg-b", 2, [4]), frozenset({("probe-dc", 3)}))
    assert report.lost == (("probe-dc", 3),)
    assert report.views["probe-dc"].lost == 1
    assert report.views["probe-cloud"].lost == 0


def test_a_commit_that_failed_is_never_lost() -> None:
    a = [*commits("pg-a", 1, [1, 2]), failed("pg-a", 3, 3.0, "OperationalError: gone")]
    b = [failed("pg-b", 1, 1.0, "ReadOnlySqlTransaction: no"), *commits("pg-b", 2, [4], first=2)]
    report = verdict(a, b)
    assert report.lost == ()
    assert (report.views["probe-dc"].failed, report.views["probe-cloud"].read_only) == (1, 1)


def test_a_blind_observer_shows() -> None:
    assert verdict(commits("pg-a", 1, [1, 2, 9]), commits("pg-b", 2, [])).views["probe-dc"].blind_seconds == 7
