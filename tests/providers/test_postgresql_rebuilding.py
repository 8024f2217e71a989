"""An old PostgreSQL primary is rebuilt behind the one that has replaced it: by pg_rewind or by a base backup."""

from __future__ import annotations

import fcntl
import subprocess

import psycopg
import pytest

from orchestrator.domain.errors import Conflict, GuardRefused, ProviderError
from orchestrator.domain.world import ReplicatesFrom
from tests.postgres import Pair
from tests.providers.contract import RecordedCall, settle
from tests.providers.postgresql_pair import (
    PRIMARY,
    STANDBY,
    STOPPED,
    change,
    crashed_and_replaced,
    cut_the_stream,
    streams,
    without_pg_rewind,
)

pytest_plugins = ["tests.providers.postgresql_pair"]


def test_a_crashed_primary_follows_by_pg_rewind_and_its_own_commits_are_gone(pair: Pair) -> None:
    crashed_and_replaced(pair)
    before = (pair.data("az-a") / "PG_VERSION").stat().st_ino
    reading = change(pair.resource("az-a"), ReplicatesFrom(site="az-b"))
    assert reading.state("role") == STANDBY
    assert (pair.data("az-a") / "PG_VERSION").stat().st_ino == before, "it was rebuilt by a base backup"
    assert streams(pair, "az-b", "az-a")
    assert pair.sql("az-a", "select count(*) from afterwards") == [(1000,)]
    with pytest.raises(psycopg.errors.UndefinedTable):
        pair.sql("az-a", "select * from only_here")
    kept_aside = [path.name for path in pair.at("az-a").host.directory.glob("data.*")]
    assert kept_aside == ["data.tideover-lock"]


def test_there_and_back_by_clean_stops_loses_nothing(pair: Pair) -> None:
    a, b = pair.resource("az-a"), pair.resource("az-b")
    pair.sql("az-a", "create table counted (at timestamptz)")
    for old, new, site, to in ((a, b, "az-a", "az-b"), (b, a, "az-b", "az-a")):
        pair.sql(site, "insert into counted values (now())")
        change(old, STOPPED)
        change(new, PRIMARY)
        change(old, ReplicatesFrom(site=to))
        assert streams(pair, to, site)
    assert pair.sql("az-a", "select count(*) from counted") == [(2,)]
    assert b.observe().warnings == ()


def test_a_standby_that_follows_nobody_is_led_back(pair: Pair) -> None:
    cut_the_stream(pair)
    assert pair.resource("az-b").observe().states == (STANDBY,)
    change(pair.resource("az-b"), ReplicatesFrom(site="az-a"))
    assert streams(pair, "az-a", "az-b")


def test_its_own_settings_survive_and_the_upstreams_do_not_come_along(pair: Pair) -> None:
    pair.sql("az-a", "alter system set work_mem = '7MB'")
    pair.sql("az-b", "alter system set work_mem = '9MB'")
    pair.sql("az-b", "alter system set maintenance_work_mem = '99MB'")
    crashed_and_replaced(pair)
    change(pair.resource("az-a"), ReplicatesFrom(site="az-b"))
    assert pair.sql("az-a", "show work_mem") == [("7MB",)]
    assert pair.sql("az-a", "show maintenance_work_mem") == [("64MB",)]
    assert str(pair.at("az-b").address) in pair.sql("az-a", "show primary_conninfo")[0][0]


def test_slots_stand_on_the_upstream_and_not_on_who_was_it_before(pair: Pair) -> None:
    a, b = pair.resource("az-a"), pair.resource("az-b")
    slots = "select slot_name, active from pg_replication_slots where slot_name like 'tideover%'"
    change(a, STOPPED)
    change(b, PRIMARY)
    change(a, ReplicatesFrom(site="az-b"))
    assert pair.sql("az-b", slots) == [("tideover_az_a", True)]
    change(b, STOPPED)
    change(a, PRIMARY)
    change(b, ReplicatesFrom(site="az-a"))
    assert pair.sql("az-a", slots) == [("tideover_az_b", True)]
    assert pair.sql("az-b", slots) == []


def test_where_pg_rewind_cannot_a_base_backup_replaces_the_directory(pair: Pair) -> None:
    without_pg_rewind(pair)
    assert any("base backup only" in warning for warning in pair.resource("az-a").observe().warnings)
    crashed_and_replaced(pair)
    before = (pair.data("az-a") / "PG_VERSION").stat().st_ino
    change(pair.resource("az-a"), ReplicatesFrom(site="az-b"))
    assert (pair.data("az-a") / "PG_VERSION").stat().st_ino != before
    assert streams(pair, "az-b", "az-a")
    assert [path.name for path in pair.at("az-a").host.directory.glob("data.*")] == ["data.tideover-lock"]


def test_a_half_rewound_directory_is_never_started_and_is_replaced(pair: Pair) -> None:
    crashed_and_replaced(pair)
    change(pair.resource("az-a"), STOPPED)
    beside = pair.at("az-a").host.directory
    (beside / "data.tideover-broken").touch()
    kept = beside / "data.tideover-settings"
    kept.mkdir()
    for name in ("postgresql.conf", "pg_hba.conf", "postgresql.auto.conf"):
        subprocess.run(["cp", "-a", pair.data("az-a") / name, kept], check=True)
    subprocess.run(["chown", pair.at("az-a").account.name, kept], check=True)
    resource = pair.resource("az-a")
    assert resource.observe().states == ()
    with pytest.raises(Conflict, match="was broken off"):
        resource.apply(STANDBY, resource.observe(), RecordedCall())
    change(resource, ReplicatesFrom(site="az-b"))
    assert streams(pair, "az-b", "az-a")


def test_a_failed_base_backup_leaves_the_old_directory(pair: Pair) -> None:
    crashed_and_replaced(pair)
    change(pair.resource("az-a"), STOPPED)
    (pair.at("az-a").host.directory / "data.tideover-broken").touch()
    before = (pair.data("az-a") / "PG_VERSION").stat().st_ino
    wrong = pair.resource("az-a", replication_password="wrong")
    with pytest.raises(ProviderError, match="authentication failed"):
        wrong.apply(ReplicatesFrom(site="az-b"), wrong.observe(), RecordedCall())
    assert (pair.data("az-a") / "PG_VERSION").stat().st_ino == before


def test_an_upstream_that_is_a_standby_itself_is_refused(pair: Pair) -> None:
    change(pair.resource("az-a"), STOPPED)
    resource, call = pair.resource("az-a"), RecordedCall()
    with pytest.raises(Conflict, match="is a standby itself"):
        resource.apply(ReplicatesFrom(site="az-b"), resource.observe(), call)
    assert call.guards == 0


def test_two_rebuilds_do_not_run_at_once(pair: Pair) -> None:
    crashed_and_replaced(pair)
    lock = pair.at("az-a").host.directory / "data.tideover-lock"
    lock.touch(mode=0o666)
    lock.chmod(0o666)
    resource = pair.resource("az-a")
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="has not ended"):
            resource.apply(ReplicatesFrom(site="az-b"), resource.observe(), RecordedCall())
    change(resource, ReplicatesFrom(site="az-b"))


def test_each_request_of_a_rebuild_stands_behind_the_guard(pair: Pair) -> None:
    """A guard that refuses at the n-th request leaves a server that is no primary; with one more it goes on."""
    crashed_and_replaced(pair)
    resource = pair.resource("az-a")
    for allowed in range(20):
        call = RecordedCall(allowed=allowed)
        try:
            resource.apply(ReplicatesFrom(site="az-b"), resource.observe(), call)
        except GuardRefused:
            assert resource.observe().state("role") != PRIMARY
            assert not call.went_through or allowed > 1, "what is prepared at the upstream changes nothing here"
        else:
            break
    assert allowed >= 3  # what an earlier try has done is not asked for again
    assert call.went_through
    settle(resource, ReplicatesFrom(site="az-b"))
