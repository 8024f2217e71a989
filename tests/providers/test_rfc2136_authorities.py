"""What a record is, by the word of all who serve its zone: a secondary that is dead, frozen, behind or no authority."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.domain.errors import AuthenticationFailed, Doubtful, NotFound, ProviderError
from tests.providers.contract import RecordedCall
from tests.providers.knot_servers import NAME, ZONE, BreakingWay, Knot, free_port
from tests.providers.knot_worlds import AT_A, AT_B, PRIMARY, SECONDARY, WAY, Pair, World, a, record

pytest_plugins = ["tests.providers.knot_worlds"]


class TestTheAuthorities:
    def test_each_is_named_with_what_it_says(self, knots: Pair) -> None:
        reading = knots.record().observe()
        assert reading.authority == f"127.0.0.1 and 127.0.0.2 for the zone {ZONE}"
        assert reading.facts == {
            "serial": "1",
            "at 127.0.0.1": "records A 10.0.1.10 ttl 30s (serial 1)",
            "at 127.0.0.2": "records A 10.0.1.10 ttl 30s (serial 1)",
        }
        assert (reading.authoritative, reading.warnings) == (True, ())

    def test_a_dead_secondary_is_a_warning_and_does_not_block(self, knots: Pair) -> None:
        knots.secondary.kill()
        reading = knots.record().observe()
        assert reading.satisfies(a(AT_A))
        assert reading.authority == f"127.0.0.1 for the zone {ZONE}"
        assert len(reading.warnings) == 1
        assert "127.0.0.2" in reading.warnings[0]

    def test_a_frozen_secondary_costs_one_timeout_only(self, knots: Pair) -> None:
        with knots.secondary.silent():
            began = time.monotonic()
            reading = knots.record(timeout="5s").observe()
        assert time.monotonic() - began < 9
        assert reading.satisfies(a(AT_A))
        assert "127.0.0.2 did not answer in time" in reading.warnings[0]

    def test_a_secondary_that_answers_otherwise_is_not_yet(self, tmp_path: Path) -> None:
        port = free_port()
        with (
            Knot(tmp_path / "one", PRIMARY, port, SECONDARY, primary=True, a=AT_B),
            Knot(tmp_path / "two", SECONDARY, port, PRIMARY, primary=True, a=AT_A),
            pytest.raises(Doubtful) as caught,
        ):
            record(port).observe()
        assert caught.value.retryable
        assert f"127.0.0.1 says records A {AT_B} ttl 30s (serial 1)" in str(caught.value)
        assert f"127.0.0.2 says records A {AT_A} ttl 30s (serial 1)" in str(caught.value)

    def test_a_server_that_repeats_what_it_heard_is_no_authority(self, knots: Pair) -> None:
        with BreakingWay(knots.secondary, WAY) as way:
            way.strip_authority = True
            reading = knots.record(authorities=[WAY]).observe()
        assert "127.0.0.3 does not speak with authority" in reading.warnings[0]

    def test_a_ttl_above_the_runbooks_is_a_warning(self, knot: World) -> None:
        knot.primary.change("A", AT_A, ttl=3600)
        reading = knot.record().observe()
        assert "has a TTL of 1h and the runbook one of 30s" in reading.warnings[0]

    def test_a_zone_that_is_not_there(self, knots: Pair) -> None:
        elsewhere = knots.record(zone="other.example.", record="db.other.example.")
        with pytest.raises(AuthenticationFailed, match=r"check the zone's name.*REFUSED"):
            elsewhere.observe()
        with pytest.raises(ProviderError):
            elsewhere.apply(a(AT_B), knots.record().observe(), RecordedCall())
        with pytest.raises(NotFound, match=r"does not serve the zone db.shop.example.com"):
            knots.record(zone=NAME).observe()
