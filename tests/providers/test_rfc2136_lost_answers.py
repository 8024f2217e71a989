"""Updates whose answer is lost, late or not signed are doubtful; those that were surely not sent are not."""

from __future__ import annotations

import time

import pytest

from orchestrator.domain.errors import Doubtful, GuardRefused, Unreachable
from tests.providers.contract import RecordedCall, settle
from tests.providers.knot_servers import BreakingWay
from tests.providers.knot_worlds import AT_B, PRIMARY, WAY, World, a

pytest_plugins = ["tests.providers.knot_worlds"]


class TestALostAnswer:
    def test_an_update_whose_answer_is_lost_is_doubtful_and_was_sent_once(self, knot: World) -> None:
        with BreakingWay(knot.primary, WAY) as way:
            resource = knot.record(primary=WAY, authorities=[PRIMARY])
            seen = resource.observe()
            way.lose_answers_to_updates = True
            with pytest.raises(Doubtful, match=r"127.0.0.3 closed the connection") as caught:
                resource.apply(a(AT_B), seen, RecordedCall())
            assert not caught.value.surely_not_done
            assert way.updates == 1
            settle(resource, a(AT_B))

    def test_a_frozen_server_is_doubtful_in_time_and_may_act_later(self, knot: World) -> None:
        resource = knot.record(timeout="2s")
        seen = resource.observe()
        began = time.monotonic()
        with knot.primary.silent(), pytest.raises(Doubtful, match="did not answer in time"):
            resource.apply(a(AT_B), seen, RecordedCall())
        assert time.monotonic() - began < 20
        settle(resource, a(AT_B))  # it was in the server's queue: what "lost" means

    def test_an_answer_without_signature_is_not_believed(self, knot: World) -> None:
        with BreakingWay(knot.primary, WAY) as way:
            resource = knot.record(primary=WAY, authorities=[PRIMARY])
            seen = resource.observe()
            way.strip_signature = True
            with pytest.raises(Doubtful, match="not signed"):
                resource.apply(a(AT_B), seen, RecordedCall())

    def test_no_connection_is_surely_not_sent(self, knot: World) -> None:
        resource = knot.record()
        seen = resource.observe()
        knot.primary.kill()
        call = RecordedCall()
        with pytest.raises(Unreachable, match=r"127.0.0.1 port .* refused"):
            resource.apply(a(AT_B), seen, call)
        assert call.guards == 0

    def test_a_refusing_guard_sends_no_update(self, knot: World) -> None:
        with BreakingWay(knot.primary, WAY) as way:
            resource = knot.record(primary=WAY, authorities=[])
            with pytest.raises(GuardRefused):
                resource.apply(a(AT_B), resource.observe(), RecordedCall(allowed=0))
            assert way.updates == 0
