"""What a promotion may lose: a bound from what is known, and never less than the truth."""

from __future__ import annotations

import pytest

from orchestrator.domain.loss import NOTHING_LOST, Loss, measure
from orchestrator.domain.world import Replication

UNTIL = 1000.0
SOURCE = Replication(timeline=1, written=500)


def standby(commit: float | None, contact: float | None, streaming: bool, received: int = 400) -> Replication:
    return Replication(
        timeline=1, received=received, last_commit_at=commit, last_contact_at=contact, streaming=streaming
    )


def test_a_standby_with_all_of_a_readable_sources_log_loses_nothing() -> None:
    assert measure(SOURCE, True, standby(None, None, False, received=500), UNTIL) == NOTHING_LOST
    assert measure(SOURCE, False, standby(None, None, False, received=500), UNTIL) != NOTHING_LOST


@pytest.mark.parametrize(
    ("seen", "earlier", "seconds"),
    [
        (standby(990.0, None, False), None, 10.0),
        (standby(990.0, 998.0, True), None, 2.0),
        (standby(990.0, 998.0, False), None, 10.0),  # a contact of a stream that is over proves nothing by itself
        (standby(990.0, None, False), standby(980.0, 995.0, True), 5.0),  # it did stream then, and has not lost that
        (standby(None, None, False), standby(None, 995.0, True), 5.0),
        (standby(None, None, False), standby(None, 995.0, False), None),
        (standby(1001.0, None, False), None, 0.0),
    ],
)
def test_every_commit_since_the_last_that_is_surely_there_may_be_lost(
    seen: Replication, earlier: Replication | None, seconds: float | None
) -> None:
    assert measure(SOURCE, False, seen, UNTIL, earlier) == Loss(seconds=seconds, wal_bytes=100, source_known=False)


def test_an_unknown_loss_is_within_nothing() -> None:
    assert not measure(None, False, standby(None, None, False), UNTIL).within(float("inf"))
