"""Durations: shown as people write them, read back to the millisecond, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import durations


@given(st.integers(0, 10**9))
def test_a_duration_that_is_shown_is_read_back_to_the_millisecond(millis: int) -> None:
    assert durations.parse(durations.show(millis / 1000)) == pytest.approx(millis / 1000, abs=0.0005)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_hours_minutes_and_seconds_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert durations.parse(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (90, "90s"),
        (119, "119s"),
        (120, "2m"),
        (300, "5m"),
        (5400, "1h30m"),
        (3601, "1h1s"),
        (1000.5, "1000.500s"),
    ],
)
def test_durations_are_shown_as_people_write_them(seconds: float, text: str) -> None:
    assert durations.show(seconds) == text
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "5", "s", "5 m", "5min", "-5m", "1m1h", "5m5m", "1.5h", "1e3s", "inf", "5s\n5s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: write 90s, 5m or 1h30m"):
        durations.parse(text)


@given(st.floats(0, 10**6))
def test_a_bound_is_told_no_smaller_than_it_is_and_little_greater(seconds: float) -> None:
    told = durations.rounded_up(seconds)
    assert seconds - 1e-6 <= told <= seconds + max(0.01, min(1, seconds / 10))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.001, "0.01s"), (0.29, "0.29s"), (2.1, "2.1s"), (6.11, "6.2s"), (60.1, "61s"), (600.02, "10m1s")],
)
def test_a_bound_has_no_more_digits_than_people_read(seconds: float, text: str) -> None:
    assert durations.show(durations.rounded_up(seconds)) == text
