"""What is read of PostgreSQL on two real servers: roles, positions and times, what is no state, what is warned of."""

from __future__ import annotations

import time

import psycopg
import pytest

from orchestrator.app.demo.cluster import ADMIN
from orchestrator.domain.errors import Unreachable, WrongIdentity
from orchestrator.domain.world import ReplicatesFrom
from providers.postgresql.data_directory import lsn, show_lsn
from tests.postgres import Pair, postgresql_pair
from tests.providers.contract import RecordedCall
from tests.providers.postgresql_pair import PRIMARY, STANDBY, STOPPED, crash, replication, streams

pytest_plugins = ["tests.providers.postgresql_pair"]


def test_a_primary_and_its_standby(untouched: Pair) -> None:
    untouched.sql("az-a", "checkpoint")  # afterwards nothing is written of itself for a while
    for _ in range(50):
        primary, standby = (untouched.resource(site).observe() for site in ("az-a", "az-b"))
        ahead, behind = replication(primary), replication(standby)
        if ahead.written == behind.received == behind.replayed:
            break
    assert primary.identity == standby.identity == untouched.control("az-a", "Database system identifier")
    assert primary.states == (PRIMARY,)
    assert standby.states == (STANDBY, ReplicatesFrom(site="az-a"))
    assert ahead.written == behind.received == behind.replayed
    assert ahead.timeline == behind.timeline == 1
    assert behind.streaming
    assert abs((behind.last_contact_at or 0) - time.time()) < 60
    assert primary.authoritative
    assert standby.authoritative
    assert primary.warnings == standby.warnings == ()


def test_the_last_commit_that_the_standby_has_is_told_with_its_time(pair: Pair) -> None:
    assert streams(pair, "az-a", "az-b")
    assert abs((replication(pair.resource("az-b").observe()).last_commit_at or 0) - time.time()) < 10


def test_a_standby_that_has_replayed_no_commit_yet_knows_the_last_checkpoint(pair: Pair) -> None:
    pair.at("az-b").stop()
    crash(pair, "az-a")
    pair.at("az-b").start()
    assert pair.sql("az-b", "select pg_last_xact_replay_timestamp() is null") == [(True,)]
    assert abs((replication(pair.resource("az-b").observe()).last_commit_at or 0) - time.time()) < 600


def test_a_standby_whose_upstream_does_not_confirm_it_streams_from_nobody_and_is_read_soon(pair: Pair) -> None:
    with pair.frozen("az-a"):
        began = time.monotonic()
        reading = pair.resource("az-b").observe()
        assert reading.states == (STANDBY,)
        assert time.monotonic() - began < 4
    crash(pair, "az-a")
    began = time.monotonic()
    reading = pair.resource("az-b").observe()
    assert reading.states == (STANDBY,)
    assert not replication(reading).streaming
    assert time.monotonic() - began < 1


def test_a_peer_that_is_another_database_is_told(pair: Pair) -> None:
    with postgresql_pair(pair.cluster.binaries) as other:
        other.sql("az-a", f"alter role {ADMIN} password '{pair.cluster.password}'")
        stranger = {"host": other.at("az-a").address, "port": other.at("az-a").port}
        resource, call = pair.resource("az-b", pair.places(az_a=stranger)), RecordedCall()
        observed = pair.resource("az-b").observe()
        with pytest.raises(WrongIdentity, match="not the same database"):
            resource.observe()
        with pytest.raises(WrongIdentity, match="not the same database"):
            resource.apply(ReplicatesFrom(site="az-a"), observed, call)
        assert call.guards == 0


def test_a_stopped_server_is_read_from_its_control_file(pair: Pair) -> None:
    pair.at("az-a").stop()
    reading = pair.resource("az-a").observe()
    assert reading.states == (STOPPED,)
    assert not reading.latched
    assert any("come back as a primary" in warning for warning in reading.warnings)
    assert replication(reading).written == lsn(pair.control("az-a", "Latest checkpoint location"))


def test_a_crashed_server_is_in_no_role(pair: Pair) -> None:
    crash(pair, "az-a")
    reading = pair.resource("az-a").observe()
    assert reading.states == ()
    assert any("not shut down cleanly" in warning for warning in reading.warnings)


def test_a_glance_tells_a_primary_that_accepts_commits_from_one_that_does_not_answer(pair: Pair) -> None:
    server = pair.resource("az-a")
    reading = server.glance()
    assert (reading.state("role"), reading.identity) == (PRIMARY, pair.resource("az-b").observe().identity)
    pair.at("az-a").stop()
    with pytest.raises(Unreachable, match="nothing answers"):
        server.glance()
    assert server.observe().state("role") == STOPPED, "its files are another way, which may take its time"


def test_without_its_files_a_server_that_is_down_is_unreachable(pair: Pair) -> None:
    crash(pair, "az-a")
    with pytest.raises(Unreachable, match="set data_directory"):
        pair.resource("az-a", pair.places(az_a={"data_directory": None})).observe()


def test_a_server_that_shuts_down_is_an_error_and_no_state(pair: Pair) -> None:
    with psycopg.connect(
        host=pair.at("az-a").address, port=pair.at("az-a").port, user=ADMIN, password=pair.cluster.password
    ):  # a smart shutdown waits for this session
        pair.at("az-a").run("pg_ctl", "stop", "-W", "-m", "smart", "-D", str(pair.data("az-a")))
        time.sleep(0.2)
        with pytest.raises(Unreachable, match="shutting down"):
            pair.resource("az-a").observe()


@pytest.mark.parametrize(
    ("statement", "site", "warning"),
    [
        ("alter system set wal_retrieve_retry_interval = '5s'", "az-b", "alter system set wal_retrieve_retry_interval"),
        ("alter system set synchronous_standby_names = 'x'", "az-b", "after a promotion each commit waits"),
        ("alter system set synchronous_standby_names = 'x'", "az-a", "no such standby streams"),
        ("select pg_wal_replay_pause()", "az-b", "replay is paused"),
        ("select pg_create_physical_replication_slot('lost', true)", "az-b", "nobody reads from lost"),
        ("alter system set full_page_writes = off", "az-a", "by a base backup only"),
    ],
)
def test_what_would_hurt_in_a_failover_is_warned_of(pair: Pair, statement: str, site: str, warning: str) -> None:
    pair.sql(site, statement)
    pair.sql(site, "select pg_reload_conf()")
    reading = pair.resource(site).observe()
    deadline = time.monotonic() + 5
    while not reading.warnings and time.monotonic() < deadline:
        reading = pair.resource(site).observe()
    assert [text for text in reading.warnings if warning in text]


@pytest.mark.parametrize("offset", [0, 1, 0x3002070, (7 << 32) + 0xFFFFFFFF])
def test_positions_are_written_as_postgresql_does(offset: int) -> None:
    assert lsn(show_lsn(offset)) == offset
