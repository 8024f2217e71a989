"""Updates of a record on real Knot servers: the contract, compared and set, and nothing but what is ours changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.domain.catalog import DnsPlace
from orchestrator.domain.errors import Conflict, Misconfigured
from orchestrator.domain.world import Power, Reading, Records, State
from tests.providers.contract import RecordedCall, ResourceContract, impatient, settle
from tests.providers.frozen import ComparedAndSet, OverEtcd
from tests.providers.knot_servers import KEY
from tests.providers.knot_worlds import AT_A, AT_B, PLACES, Pair, World, a

pytest_plugins = ["tests.providers.knot_worlds"]


class RecordHarness:
    secrets = (KEY,)
    start: State
    goal: State

    def __init__(self, world: World, start: Records, goal: Records, places: dict[str, DnsPlace] = PLACES) -> None:
        self._world, self.start, self.goal = world, start, goal
        self.resource = world.record(places=places)

    def look(self) -> State:
        held = {kind: self._world.primary.holds(kind) for kind in ("A", "AAAA", "CNAME")}
        ttls = {ttl for values, ttl in held.values() if values} or {30}
        assert len(ttls) == 1
        return Records(records={kind: values for kind, (values, _) in held.items() if values}, ttl=ttls.pop())

    def picture(self) -> object:
        return self.look(), self._world.primary.serial()

    def overtake(self) -> None:
        self._world.primary.change("CNAME")
        self._world.primary.change("A", "10.9.9.9")

    @contextmanager
    def cut(self) -> Iterator[None]:
        with self._world.primary.silent(), impatient(self, self._world.record(timeout="1s")):
            yield


class TestAddress(OverEtcd, ComparedAndSet, ResourceContract):
    covers = "rfc2136.record records"

    @pytest.fixture
    def harness(self, knots: Pair) -> RecordHarness:
        return RecordHarness(knots, a(AT_A), a(AT_B))


class TestAddressesToAlias(ComparedAndSet, ResourceContract):
    covers = "rfc2136.record records"

    @pytest.fixture
    def harness(self, knot: World) -> RecordHarness:
        knot.primary.change("TXT")  # no CNAME may stand beside other records
        knot.primary.change("AAAA", "2001:db8::1")
        start = Records(records={"A": (AT_A,), "AAAA": ("2001:db8::1",)}, ttl=30)
        return RecordHarness(knot, start, Records(records={"CNAME": ("db.cloud.example.",)}, ttl=60))


class TestFirstRecord(ComparedAndSet, ResourceContract):
    covers = "rfc2136.record records"

    @pytest.fixture
    def harness(self, knot: World) -> RecordHarness:
        knot.primary.change("A")
        return RecordHarness(knot, a(), Records(records={"A": (AT_A, AT_B), "AAAA": ("2001:db8::1",)}, ttl=5))


class TestLastRecord(ComparedAndSet, ResourceContract):
    covers = "rfc2136.record records"

    @pytest.fixture
    def harness(self, knot: World) -> RecordHarness:
        return RecordHarness(knot, a(AT_A), a())


class TestCompareAndSet:
    @pytest.mark.parametrize(
        ("kind", "values"),
        [("A", ["10.9.9.9"]), ("A", [AT_A, "10.9.9.9"]), ("A", []), ("AAAA", ["2001:db8::9"])],
        ids=["replaced", "one added", "removed", "another type added"],
    )
    def test_a_change_between_reading_and_writing_is_a_conflict_and_stays(
        self, knot: World, kind: str, values: list[str]
    ) -> None:
        resource = knot.record()
        seen = resource.observe()
        knot.primary.change(kind, *values)
        with pytest.raises(Conflict, match="read again") as caught:
            resource.apply(a(AT_B), seen, RecordedCall())
        assert caught.value.surely_not_done
        assert knot.primary.holds(kind)[0] == tuple(sorted(values))
        assert AT_B not in knot.primary.holds("A")[0]

    def test_the_ttl_alone_can_be_changed_and_is_part_of_the_reading(self, knot: World) -> None:
        resource = knot.record()
        resource.apply(a(AT_A, ttl=5), resource.observe(), RecordedCall())
        settle(resource, a(AT_A, ttl=5))
        assert knot.primary.holds("A") == ((AT_A,), 5)

    def test_other_types_at_the_name_are_left_alone(self, knot: World) -> None:
        resource = knot.record()
        for goal in (a(AT_B), a(), a(AT_A)):
            resource.apply(goal, resource.observe(), RecordedCall())
            settle(resource, goal)
        assert knot.primary.holds("TXT")[0] == ('"left alone"',)

    @pytest.mark.parametrize(
        "desired",
        [
            Power(power="off"),
            Records(records={"TXT": ("x",)}, ttl=30),
            Records(records={"A": (AT_A,), "CNAME": ("x.example.",)}, ttl=30),
        ],
    )
    def test_what_is_not_ours_to_set_is_refused_unsent(self, knot: World, desired: State) -> None:
        resource, call = knot.record(), RecordedCall()
        with pytest.raises(Misconfigured):
            resource.apply(desired, resource.observe(), call)
        assert call.guards == 0


def test_a_reading_without_records_cannot_be_compared(knot: World) -> None:
    with pytest.raises(Misconfigured):
        knot.record().apply(a(AT_B), Reading(states=(), authority="nobody"), RecordedCall())


def test_what_a_slow_guard_costs_is_not_taken_from_the_servers_time(knot: World) -> None:
    """As of a journal that elects its leader: nothing was sent yet."""
    resource, call = knot.record(timeout="1s"), RecordedCall()
    call.guard = lambda: time.sleep(1.2)  # type: ignore[method-assign]
    resource.apply(a(AT_B), resource.observe(), call)
    settle(resource, a(AT_B))
