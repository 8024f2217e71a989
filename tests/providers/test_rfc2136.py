"""DNS updates against real Knot servers: a primary and a secondary on loopback, with TSIG."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import dns.rcode
import dns.tsig
import pytest
import time_machine
from pydantic import ValidationError

from orchestrator.domain.catalog import DnsPlace, Site
from orchestrator.domain.errors import (
    AuthenticationFailed,
    Conflict,
    Doubtful,
    GuardRefused,
    Misconfigured,
    NotFound,
    ProviderError,
    Unreachable,
)
from orchestrator.domain.world import Power, Reading, Records, State
from orchestrator.ports import Binding
from providers.rfc2136 import errors
from providers.rfc2136.record import Record
from providers.rfc2136.spec import FUDGE, RESOURCES, RecordSettings
from tests.providers.contract import RecordedCall, ResourceContract, impatient, settle
from tests.providers.frozen import ComparedAndSet, OverEtcd
from tests.providers.knot_servers import (
    KEY,
    KEY_NAME,
    NAME,
    READER,
    READER_KEY,
    ZONE,
    BreakingWay,
    Knot,
    free_port,
)

PRIMARY, SECONDARY, WAY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
AT_A, AT_B = "10.0.1.10", "10.0.2.10"
SECRET = {"key_name": KEY_NAME, "algorithm": "hmac-sha256", "key": KEY}
PLACES = {"az-a": DnsPlace(a=AT_A), "az-b": DnsPlace(a=AT_B)}


def a(*values: str, ttl: int = 30) -> Records:
    return Records(records={"A": values} if values else {}, ttl=ttl)


def record(port: int, secret: dict[str, str] = SECRET, places: dict[str, DnsPlace] = PLACES, **settings: Any) -> Record:
    given = {
        "zone": ZONE,
        "record": NAME,
        "ttl": "30s",
        "primary": PRIMARY,
        "authorities": [PRIMARY, SECONDARY],
        "port": port,
        "timeout": "30s",
        **settings,
    }
    return Record(
        Binding(
            resource="name",
            component="name",
            site=None,
            settings=RecordSettings.model_validate(given),
            places=places,
            sites={"az-a": Site(provider="on-prem"), "az-b": Site(provider="on-prem")},
            secret=secret,
        )
    )


class World:
    """A primary with one record."""

    servers: tuple[str, ...] = (PRIMARY,)

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.port = free_port()
        self.primary = stack.enter_context(
            Knot(directory / "primary", PRIMARY, self.port, SECONDARY, primary=True, a=AT_A)
        )

    def record(self, **settings: Any) -> Record:
        return record(self.port, **{"authorities": self.servers, **settings})


class Pair(World):
    """A primary and its secondary, both answering with the same record."""

    servers = (PRIMARY, SECONDARY)

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        super().__init__(directory, stack)
        self.secondary = stack.enter_context(
            Knot(directory / "secondary", SECONDARY, self.port, PRIMARY, primary=False, a=AT_A)
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, stack)


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
    def harness(self, pair: Pair) -> RecordHarness:
        return RecordHarness(pair, a(AT_A), a(AT_B))


class TestAddressesToAlias(ComparedAndSet, ResourceContract):
    covers = "rfc2136.record records"

    @pytest.fixture
    def harness(self, world: World) -> RecordHarness:
        world.primary.change("TXT")  # no CNAME may stand beside other records
        world.primary.change("AAAA", "2001:db8::1")
        start = Records(records={"A": (AT_A,), "AAAA": ("2001:db8::1",)}, ttl=30)
        return RecordHarness(world, start, Records(records={"CNAME": ("db.cloud.example.",)}, ttl=60))


class TestFirstRecord(ComparedAndSet, ResourceContract):
    covers = "rfc2136.record records"

    @pytest.fixture
    def harness(self, world: World) -> RecordHarness:
        world.primary.change("A")
        return RecordHarness(world, a(), Records(records={"A": (AT_A, AT_B), "AAAA": ("2001:db8::1",)}, ttl=5))


class TestLastRecord(ComparedAndSet, ResourceContract):
    covers = "rfc2136.record records"

    @pytest.fixture
    def harness(self, world: World) -> RecordHarness:
        return RecordHarness(world, a(AT_A), a())


class TestCompareAndSet:
    @pytest.mark.parametrize(
        ("kind", "values"),
        [("A", ["10.9.9.9"]), ("A", [AT_A, "10.9.9.9"]), ("A", []), ("AAAA", ["2001:db8::9"])],
        ids=["replaced", "one added", "removed", "another type added"],
    )
    def test_a_change_between_reading_and_writing_is_a_conflict_and_stays(
        self, world: World, kind: str, values: list[str]
    ) -> None:
        resource = world.record()
        seen = resource.observe()
        world.primary.change(kind, *values)
        with pytest.raises(Conflict, match="read again") as caught:
            resource.apply(a(AT_B), seen, RecordedCall())
        assert caught.value.surely_not_done
        assert world.primary.holds(kind)[0] == tuple(sorted(values))
        assert AT_B not in world.primary.holds("A")[0]

    def test_the_ttl_alone_can_be_changed_and_is_part_of_the_reading(self, world: World) -> None:
        resource = world.record()
        resource.apply(a(AT_A, ttl=5), resource.observe(), RecordedCall())
        settle(resource, a(AT_A, ttl=5))
        assert world.primary.holds("A") == ((AT_A,), 5)

    def test_other_types_at_the_name_are_left_alone(self, world: World) -> None:
        resource = world.record()
        for goal in (a(AT_B), a(), a(AT_A)):
            resource.apply(goal, resource.observe(), RecordedCall())
            settle(resource, goal)
        assert world.primary.holds("TXT")[0] == ('"left alone"',)

    @pytest.mark.parametrize(
        "desired",
        [
            Power(power="off"),
            Records(records={"TXT": ("x",)}, ttl=30),
            Records(records={"A": (AT_A,), "CNAME": ("x.example.",)}, ttl=30),
        ],
    )
    def test_what_is_not_ours_to_set_is_refused_unsent(self, world: World, desired: State) -> None:
        resource, call = world.record(), RecordedCall()
        with pytest.raises(Misconfigured):
            resource.apply(desired, resource.observe(), call)
        assert call.guards == 0


class TestALostAnswer:
    def test_an_update_whose_answer_is_lost_is_doubtful_and_was_sent_once(self, world: World) -> None:
        with BreakingWay(world.primary, WAY) as way:
            resource = world.record(primary=WAY, authorities=[PRIMARY])
            seen = resource.observe()
            way.lose_answers_to_updates = True
            with pytest.raises(Doubtful, match=r"127.0.0.3 closed the connection") as caught:
                resource.apply(a(AT_B), seen, RecordedCall())
            assert not caught.value.surely_not_done
            assert way.updates == 1
            settle(resource, a(AT_B))

    def test_a_frozen_server_is_doubtful_in_time_and_may_act_later(self, world: World) -> None:
        resource = world.record(timeout="2s")
        seen = resource.observe()
        began = time.monotonic()
        with world.primary.silent(), pytest.raises(Doubtful, match="did not answer in time"):
            resource.apply(a(AT_B), seen, RecordedCall())
        assert time.monotonic() - began < 20
        settle(resource, a(AT_B))  # it was in the server's queue: what "lost" means

    def test_an_answer_without_signature_is_not_believed(self, world: World) -> None:
        with BreakingWay(world.primary, WAY) as way:
            resource = world.record(primary=WAY, authorities=[PRIMARY])
            seen = resource.observe()
            way.strip_signature = True
            with pytest.raises(Doubtful, match="not signed"):
                resource.apply(a(AT_B), seen, RecordedCall())

    def test_no_connection_is_surely_not_sent(self, world: World) -> None:
        resource = world.record()
        seen = resource.observe()
        world.primary.kill()
        call = RecordedCall()
        with pytest.raises(Unreachable, match=r"127.0.0.1 port .* refused"):
            resource.apply(a(AT_B), seen, call)
        assert call.guards == 0

    def test_a_refusing_guard_sends_no_update(self, world: World) -> None:
        with BreakingWay(world.primary, WAY) as way:
            resource = world.record(primary=WAY, authorities=[])
            with pytest.raises(GuardRefused):
                resource.apply(a(AT_B), resource.observe(), RecordedCall(allowed=0))
            assert way.updates == 0


class TestTheAuthorities:
    def test_each_is_named_with_what_it_says(self, pair: Pair) -> None:
        reading = pair.record().observe()
        assert reading.authority == f"127.0.0.1 and 127.0.0.2 for the zone {ZONE}"
        assert reading.facts == {
            "serial": "1",
            "at 127.0.0.1": "records A 10.0.1.10 ttl 30s (serial 1)",
            "at 127.0.0.2": "records A 10.0.1.10 ttl 30s (serial 1)",
        }
        assert (reading.authoritative, reading.warnings) == (True, ())

    def test_a_dead_secondary_is_a_warning_and_does_not_block(self, pair: Pair) -> None:
        pair.secondary.kill()
        reading = pair.record().observe()
        assert reading.satisfies(a(AT_A))
        assert reading.authority == f"127.0.0.1 for the zone {ZONE}"
        assert len(reading.warnings) == 1
        assert "127.0.0.2" in reading.warnings[0]

    def test_a_frozen_secondary_costs_one_timeout_only(self, pair: Pair) -> None:
        with pair.secondary.silent():
            began = time.monotonic()
            reading = pair.record(timeout="5s").observe()
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

    def test_a_server_that_repeats_what_it_heard_is_no_authority(self, pair: Pair) -> None:
        with BreakingWay(pair.secondary, WAY) as way:
            way.strip_authority = True
            reading = pair.record(authorities=[WAY]).observe()
        assert "127.0.0.3 does not speak with authority" in reading.warnings[0]

    def test_a_ttl_above_the_runbooks_is_a_warning(self, world: World) -> None:
        world.primary.change("A", AT_A, ttl=3600)
        reading = world.record().observe()
        assert "has a TTL of 1h and the runbook one of 30s" in reading.warnings[0]

    def test_a_zone_that_is_not_there(self, pair: Pair) -> None:
        elsewhere = pair.record(zone="other.example.", record="db.other.example.")
        with pytest.raises(AuthenticationFailed, match=r"check the zone's name.*REFUSED"):
            elsewhere.observe()
        with pytest.raises(ProviderError):
            elsewhere.apply(a(AT_B), pair.record().observe(), RecordedCall())
        with pytest.raises(NotFound, match=r"does not serve the zone db.shop.example.com"):
            pair.record(zone=NAME).observe()


class TestKeys:
    def refused(self, world: World, secret: dict[str, str], said: str) -> None:
        """Found by the check as well as by the change."""
        seen, resource = world.record().observe(), world.record(secret=secret)
        with pytest.raises(AuthenticationFailed, match=said):
            resource.observe()
        with pytest.raises(AuthenticationFailed, match=said):
            resource.apply(a(AT_B), seen, RecordedCall())
        assert world.primary.holds("A")[0] == (AT_A,)

    def test_an_unknown_key(self, world: World) -> None:
        self.refused(world, {**SECRET, "key_name": "nobody"}, "BADKEY")

    def test_another_secret(self, world: World) -> None:
        self.refused(world, {**SECRET, "key": READER_KEY}, "BADSIG")

    def test_a_key_that_may_not_change_the_zone(self, world: World) -> None:
        resource = world.record(secret={"key_name": READER, "key": READER_KEY})
        with pytest.raises(ProviderError) as caught:
            resource.apply(a(AT_B), resource.observe(), RecordedCall())
        assert type(caught.value) in {AuthenticationFailed, NotFound}
        assert caught.value.surely_not_done
        assert world.primary.holds("A")[0] == (AT_A,)

    @pytest.mark.parametrize(("shift", "where"), [(3600, "behind"), (-3600, "ahead of"), (-2 * FUDGE, "ahead of")])
    def test_a_clock_that_is_off_is_named_with_its_distance(self, world: World, shift: int, where: str) -> None:
        seen, resource = world.record().observe(), world.record()
        with time_machine.travel(time.time() + shift, tick=True):
            with pytest.raises(AuthenticationFailed, match=rf"its clock is \d+ s {where} ours.*BADTIME"):
                resource.observe()
            # A request that is held up longer than this is refused as well: what `late_effect` rests on.
            with pytest.raises(AuthenticationFailed, match="BADTIME"):
                resource.apply(a(AT_B), seen, RecordedCall())
        assert world.primary.holds("A")[0] == (AT_A,)

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


class TestSpelling:
    def test_a_value_is_read_as_the_runbook_writes_it(self, world: World) -> None:
        world.primary.change("TXT")
        places = {"az-a": DnsPlace(a=AT_A, aaaa="2001:DB8:0::1"), "az-b": DnsPlace(cname="DB.cloud.example")}
        resource = world.record(places=places)
        for site in ("az-b", "az-a"):
            goal = places[site].records(30)
            resource.apply(goal, resource.observe(), RecordedCall())
            settle(resource, goal)
        assert world.primary.holds("AAAA")[0] == ("2001:db8::1",)

    def test_a_value_that_is_none(self) -> None:
        with pytest.raises(Misconfigured, match=r"'db\.\.test' is no value of a record of type CNAME"):
            record(53, places={"az-a": DnsPlace(cname="db..test")})


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


class TestTheErrorMap:
    def test_every_tsig_error_is_mapped(self) -> None:
        defined = {
            kind for kind in vars(dns.tsig).values() if isinstance(kind, type) and issubclass(kind, dns.tsig.PeerError)
        }
        assert len(defined) >= 5
        for kind in defined:
            assert type(errors.from_exception("ns", kind())) is AuthenticationFailed

    @pytest.mark.parametrize(("kind", "meaning"), [(kind, meaning) for kind, meaning, _ in errors.EXCEPTIONS])
    def test_an_exception_becomes_its_error(self, kind: type[Exception], meaning: type[ProviderError]) -> None:
        assert type(errors.from_exception("ns", kind())) is meaning

    def test_what_is_not_mapped_is_doubtful(self) -> None:
        assert type(errors.from_exception("ns", RuntimeError("new"))) is Doubtful
        for code in dns.rcode.Rcode:
            expected = errors.CODES[code][0] if code in errors.CODES else Doubtful
            assert type(errors.from_code("ns", code)) is expected

    def test_no_error_claims_that_a_failing_server_did_nothing(self) -> None:
        assert not errors.from_code("ns", dns.rcode.SERVFAIL).surely_not_done
        assert not errors.from_exception("ns", TimeoutError()).surely_not_done


def test_a_reading_without_records_cannot_be_compared(world: World) -> None:
    with pytest.raises(Misconfigured):
        world.record().apply(a(AT_B), Reading(states=(), authority="nobody"), RecordedCall())
