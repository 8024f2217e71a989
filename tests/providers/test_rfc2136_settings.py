"""What a runbook may say of a record: its settings, and values in any spelling."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from orchestrator.domain.catalog import DnsPlace
from orchestrator.domain.errors import Misconfigured
from providers.rfc2136.spec import RESOURCES, RecordSettings
from tests.providers.contract import RecordedCall, settle
from tests.providers.knot_worlds import AT_A, World, record

pytest_plugins = ["tests.providers.knot_worlds"]


class TestSettings:
    GOOD: ClassVar[dict[str, Any]] = {"zone": "shop.example.com", "record": "db.shop.example.com", "ttl": "30s"}

    def test_the_primary_is_always_read_and_first(self) -> None:
        settings = RecordSettings(**self.GOOD, primary="10.0.0.53", authorities=("10.0.1.53", "10.0.0.53"))
        assert settings.servers == ("10.0.0.53", "10.0.1.53")

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"primary": "ns1.shop.example.com"}, "no IP address"),
            ({"primary": "10.0.0.53", "record": "db.example.com"}, "is not in the zone"),
            ({"primary": "10.0.0.53", "record": "xshop.example.com"}, "is not in the zone"),
            ({"primary": "10.0.0.53", "port": 0}, "port"),
        ],
    )
    def test_mistakes_are_found_at_review(self, settings: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            RecordSettings.model_validate({**self.GOOD, **settings})

    def test_the_type_says_that_it_compares_and_sets(self) -> None:
        (declared,) = RESOURCES
        assert (declared.shared, declared.compare_and_set, declared.late_effect) == (True, True, 90.0)


class TestSpelling:
    def test_a_value_is_read_as_the_runbook_writes_it(self, knot: World) -> None:
        knot.primary.change("TXT")
        places = {"az-a": DnsPlace(a=AT_A, aaaa="2001:DB8:0::1"), "az-b": DnsPlace(cname="DB.cloud.example")}
        resource = knot.record(places=places)
        for site in ("az-b", "az-a"):
            goal = places[site].records(30)
            resource.apply(goal, resource.observe(), RecordedCall())
            settle(resource, goal)
        assert knot.primary.holds("AAAA")[0] == ("2001:db8::1",)

    def test_a_value_that_is_none(self) -> None:
        with pytest.raises(Misconfigured, match=r"'db\.\.test' is no value of a record of type CNAME"):
            record(53, places={"az-a": DnsPlace(cname="db..test")})
