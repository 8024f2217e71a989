"""`postgresql.query` on two real servers: it asks as a client would, sees what a client would, and only looks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from orchestrator.app.demo.cluster import ADMIN
from orchestrator.domain.errors import AuthenticationFailed, Doubtful, Misconfigured, ProviderError, Unreachable
from orchestrator.domain.world import Reading, Running
from orchestrator.ports import Binding
from providers.postgresql.query import Query
from providers.postgresql.spec import QuerySettings
from tests.postgres import Pair, postgresql_pair
from tests.providers.contract import RecordedCall
from tests.ssh import free_port

RUNNING, NOT_RUNNING = Running(running=True), Running(running=False)
CANARY = "canary-password-4711"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Nothing here changes the servers."""
    with postgresql_pair() as built:
        yield built


def query(pair: Pair, sql: str, site: str = "az-a", password: str | None = None, **more: object) -> Query:
    port = more.pop("port", None)
    changed = {site.replace("-", "_"): {"port": port}} if port else {}
    return Query(
        Binding(
            resource="verify-1",
            component="db",
            site=site,
            settings=QuerySettings.model_validate({"user": ADMIN, "sql": sql, **more}),
            places=pair.places(**changed),
            sites={},
            secret={"password": password or pair.cluster.password},
        )
    )


def test_a_row_is_running_and_the_reading_says_who_was_asked(pair: Pair) -> None:
    reading = query(pair, "select 1").observe()
    assert reading.states == (RUNNING,)
    assert reading.authority == f"a query at PostgreSQL at {pair.at('az-a').address}:{pair.at('az-a').port}"


def test_no_row_is_not_running(pair: Pair) -> None:
    assert query(pair, "select 1 where false").observe().states == (NOT_RUNNING,)


def test_it_is_asked_at_the_site_that_it_is_bound_to(pair: Pair) -> None:
    standby = "select 1 where pg_is_in_recovery()"
    assert query(pair, standby, "az-b").observe().states == (RUNNING,)
    assert query(pair, standby, "az-a").observe().states == (NOT_RUNNING,)


def test_via_is_where_clients_connect(pair: Pair) -> None:
    """The other server's address in place of the place's own host, as a moved name would be."""
    standby = "select 1 where pg_is_in_recovery()"
    port = pair.at("az-b").port
    there = query(pair, standby, "az-a", via=pair.at("az-b").address, port=port)
    assert there.observe().states == (RUNNING,)


@pytest.mark.parametrize("sql", ["select 100 % 7 where 'a' like '%a'", "select '%s'"])
def test_a_percent_sign_in_the_query_is_no_placeholder(pair: Pair, sql: str) -> None:
    assert query(pair, sql).observe().states == (RUNNING,)


def test_a_standby_refuses_a_query_that_writes_and_that_is_no_success(pair: Pair) -> None:
    with pytest.raises(ProviderError, match="read-only"):
        query(pair, "create table written (n int)", "az-b").observe()


@pytest.mark.parametrize("sql", ["selec 1", "select * from nowhere", "select 1/0"])
def test_a_query_that_is_wrong_is_an_error_of_ours(pair: Pair, sql: str) -> None:
    with pytest.raises(ProviderError) as told:
        query(pair, sql).observe()
    assert "\n" not in str(told.value)


def test_a_statement_that_returns_nothing_at_all_is_an_error_of_ours(pair: Pair) -> None:
    with pytest.raises(ProviderError):
        query(pair, "set application_name = 'probe'").observe()


def test_where_nobody_listens_it_is_unreachable(pair: Pair) -> None:
    with pytest.raises(Unreachable):
        query(pair, "select 1", port=free_port()).observe()


def test_a_wrong_password_is_said_without_showing_it(pair: Pair) -> None:
    probe = query(pair, "select 1", password=CANARY)
    with pytest.raises(AuthenticationFailed) as told:
        probe.observe()
    assert CANARY not in f"{told.value!r} {probe!r}"


def test_a_server_that_stands_still_is_an_error_within_its_time(pair: Pair) -> None:
    with pair.frozen("az-a"):
        begun = time.monotonic()
        with pytest.raises(ProviderError):
            query(pair, "select 1").observe()
        assert time.monotonic() - begun < 8


def test_a_query_that_takes_too_long_is_ended(pair: Pair) -> None:
    begun = time.monotonic()
    with pytest.raises((Doubtful, ProviderError)):
        query(pair, "select pg_sleep(60)").observe()
    assert time.monotonic() - begun < 8


def test_apply_is_refused_before_the_guard(pair: Pair) -> None:
    call = RecordedCall()
    with pytest.raises(Misconfigured, match="a query changes nothing"):
        query(pair, "select 1").apply(RUNNING, Reading(states=(), authority="nobody"), call)
    assert call.guards == 0


def test_what_a_query_sees_is_never_proof_that_anything_is_cut_off(pair: Pair) -> None:
    for sql in ("select 1", "select 1 where false"):
        reading = query(pair, sql).observe()
        assert not reading.authoritative
        assert not reading.latched
        assert [state.kind for state in reading.states] == ["running"]


def test_a_query_must_be_given() -> None:
    with pytest.raises(ValidationError):
        QuerySettings(sql="")
