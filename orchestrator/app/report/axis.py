"""A time axis on which a step of 40 ms and a wait of half an hour can both be seen."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

_EXPONENT = 0.35
"""Of the time between two events; 1 would be true to scale, 0 would space all events evenly."""


@dataclass(frozen=True)
class Axis:
    """Maps a time to a place. `times` are those of the events, rising; `places` where each of them is drawn."""

    times: tuple[float, ...]
    places: tuple[float, ...]

    @classmethod
    def over(cls, times: Iterable[float], left: float, right: float) -> Axis:
        """The axis from `left` to `right` over all these times: later is never drawn before earlier."""
        known = sorted(set(times))
        gaps = [(after - before) ** _EXPONENT for before, after in pairwise(known)]
        whole = sum(gaps) or 1.0
        places = [left]
        for gap in gaps:
            places.append(places[-1] + (right - left) * gap / whole)
        return cls(tuple(known), tuple(places))

    def __call__(self, at: float) -> float:
        """Where a time is drawn; times outside of the axis are drawn at its ends."""
        after = bisect_right(self.times, at)
        if after == 0:
            return self.places[0]
        if after == len(self.times):
            return self.places[-1]
        t0, t1 = self.times[after - 1], self.times[after]
        x0, x1 = self.places[after - 1], self.places[after]
        return x0 + (x1 - x0) * (at - t0) / (t1 - t0)
