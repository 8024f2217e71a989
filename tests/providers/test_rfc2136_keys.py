"""TSIG keys that are unknown, wrong, not allowed or none, and clocks that are off."""

from __future__ import annotations

import time

import pytest
import time_machine

from orchestrator.domain.errors import AuthenticationFailed, Misconfigured, NotFound, ProviderError
from providers.rfc2136.spec import FUDGE
from tests.providers.contract import RecordedCall
from tests.providers.knot_servers import KEY_NAME, READER, READER_KEY
from tests.providers.knot_worlds import AT_A, AT_B, SECRET, World, a, record

pytest_plugins = ["tests.providers.knot_worlds"]


class TestKeys:
    def refused(self, knot: World, secret: dict[str, str], said: str) -> None:
        """Found by the check as well as by the change."""
        seen, resource = knot.record().observe(), knot.record(secret=secret)
        with pytest.raises(AuthenticationFailed, match=said):
            resource.observe()
        with pytest.raises(AuthenticationFailed, match=said):
            resource.apply(a(AT_B), seen, RecordedCall())
        assert knot.primary.holds("A")[0] == (AT_A,)

    def test_an_unknown_key(self, knot: World) -> None:
        self.refused(knot, {**SECRET, "key_name": "nobody"}, "BADKEY")

    def test_another_secret(self, knot: World) -> None:
        self.refused(knot, {**SECRET, "key": READER_KEY}, "BADSIG")

    def test_a_key_that_may_not_change_the_zone(self, knot: World) -> None:
        resource = knot.record(secret={"key_name": READER, "key": READER_KEY})
        with pytest.raises(ProviderError) as caught:
            resource.apply(a(AT_B), resource.observe(), RecordedCall())
        assert type(caught.value) in {AuthenticationFailed, NotFound}
        assert caught.value.surely_not_done
        assert knot.primary.holds("A")[0] == (AT_A,)

    @pytest.mark.parametrize(("shift", "where"), [(3600, "behind"), (-3600, "ahead of"), (-2 * FUDGE, "ahead of")])
    def test_a_clock_that_is_off_is_named_with_its_distance(self, knot: World, shift: int, where: str) -> None:
        seen, resource = knot.record().observe(), knot.record()
        with time_machine.travel(time.time() + shift, tick=True):
            with pytest.raises(AuthenticationFailed, match=rf"its clock is \d+ s {where} ours.*BADTIME"):
                resource.observe()
            # A request that is held up longer than this is refused as well: what `late_effect` rests on.
            with pytest.raises(AuthenticationFailed, match="BADTIME"):
                resource.apply(a(AT_B), seen, RecordedCall())
        assert knot.primary.holds("A")[0] == (AT_A,)

    @pytest.mark.parametrize(
        ("secret", "said"),
        [
            ({}, "no key_name and no key"),
            ({"key_name": KEY_NAME}, "no key:"),
            ({**SECRET, "key": "hush, not base 64"}, "not Base64"),
            ({**SECRET, "algorithm": "rot13"}, "use one of .*hmac-sha256"),
        ],
    )
    def test_a_profile_that_cannot_sign(self, secret: dict[str, str], said: str) -> None:
        with pytest.raises(Misconfigured, match=said) as caught:
            record(53, secret=secret)
        assert "hush" not in str(caught.value)
