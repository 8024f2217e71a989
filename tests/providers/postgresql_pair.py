"""A primary and its standby: one pair for each module of tests, as it was built for each test, and what befalls it.

A test module takes it in with `pytest_plugins` and uses the fixture `untouched`, or `pair` if it changes something.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from orchestrator.domain.world import Reading, Replication, Role, State
from providers.postgresql.server import Server
from tests.postgres import Pair, postgresql_pair
from tests.providers.contract import RecordedCall, settle

PRIMARY, STANDBY, STOPPED = (Role(role=role) for role in ("primary", "standby", "stopped"))


@pytest.fixture(scope="module")
def built() -> Iterator[Pair]:
    with postgresql_pair() as pair:
        yield pair


@pytest.fixture
def untouched(built: Pair) -> Pair:
    """For tests that change nothing."""
    if not built.pristine:
        built.reset()
    return built


@pytest.fixture
def pair(untouched: Pair) -> Pair:
    """For tests that change something."""
    untouched.pristine = False
    return untouched


def change(resource: Server, goal: State, remaining: float = 60.0) -> Reading:
    """Apply it and read it back."""
    resource.apply(goal, resource.observe(), RecordedCall(remaining=remaining))
    return settle(resource, goal)


def replication(reading: Reading) -> Replication:
    assert reading.replication
    return reading.replication


def crash(pair: Pair, site: str) -> None:
    pair.at(site).host.kill()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        pair.sql(site, "select 1")


def streams(pair: Pair, upstream: str, standby: str) -> bool:
    """What is committed at the one is read at the other."""
    pair.sql(
        upstream, "drop table if exists marks; create table marks (at timestamptz); insert into marks select now()"
    )
    wanted, deadline = pair.sql(upstream, "select * from marks"), time.monotonic() + 5
    while time.monotonic() < deadline:
        with suppress(psycopg.errors.UndefinedTable):
            if pair.sql(standby, "select * from marks") == wanted:
                return True
        time.sleep(0.02)
    return False


def crashed_and_replaced(pair: Pair) -> None:
    """az-a crashed with commits that nobody else has; az-b is the primary and has gone on, without a checkpoint."""
    cut_the_stream(pair)
    pair.sql("az-a", "create table only_here as select generate_series(1, 1000) n")
    crash(pair, "az-a")
    change(pair.resource("az-b"), PRIMARY)
    pair.sql("az-b", "create table afterwards as select generate_series(1, 1000) n")


def without_pg_rewind(pair: Pair) -> None:
    """az-a has none of what pg_rewind needs."""
    with (pair.data("az-a") / "postgresql.conf").open("a") as conf:
        conf.write("wal_log_hints = off\n")
    pair.at("az-a").stop()
    pair.at("az-a").start()


def cut_the_stream(pair: Pair) -> None:
    """az-b receives nothing any more."""
    pair.sql("az-b", "alter system set primary_conninfo = 'host=127.0.1.1 port=1'")
    pair.sql("az-b", "select pg_reload_conf()")
    deadline = time.monotonic() + 5
    while pair.sql("az-a", "select 1 from pg_stat_replication"):
        assert time.monotonic() < deadline, "the stream could not be cut"
        time.sleep(0.02)
