"""Who is let in by a PostgreSQL server, and with which rights; each refusal says what to change."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.app.demo.cluster import ADMIN, REPLICATION
from orchestrator.domain.errors import AuthenticationFailed, Misconfigured, NotFound, Unreachable
from orchestrator.domain.world import ReplicatesFrom
from orchestrator.runtime.lookup import Lookup
from providers.postgresql.session import Endpoint
from providers.postgresql.spec import PostgresqlSettings
from tests.postgres import Pair
from tests.providers.contract import RecordedCall
from tests.providers.postgresql_pair import PRIMARY, STANDBY, STOPPED, change, crash

pytest_plugins = ["tests.providers.postgresql_pair"]

LIMITED_ROLE = """
create role dr login replication password 'dr' in role pg_monitor, pg_checkpoint;
grant execute on function pg_promote to dr;
grant execute on function pg_catalog.pg_ls_dir(text, boolean, boolean), pg_catalog.pg_stat_file(text, boolean),
  pg_catalog.pg_read_binary_file(text), pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) to dr
"""


def test_a_wrong_password(untouched: Pair) -> None:
    with pytest.raises(AuthenticationFailed, match=r"127\.0\.1\.1:\d+: user postgres: password authentication failed"):
        untouched.resource("az-a", password="wrong").observe()


def test_a_name_is_looked_up_within_the_time_and_remembered(untouched: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    server, real, lost = untouched.at("az-a"), socket.getaddrinfo, False

    def asked(host: Any, *more: Any, **others: Any) -> Any:
        if host not in ("pg-a.test", b"pg-a.test") or others.get("flags"):
            return real(host, *more, **others)
        time.sleep(10 if lost else 0)  # as the system's resolver does when no name server answers
        return real(server.address, *more, **others)

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    named = Endpoint("pg-a.test", server.port, ADMIN, "postgres", untouched.cluster.password)
    known = replace(named, addresses=Lookup().addresses)
    for endpoint in (named, known):
        with endpoint.session(5) as session:
            assert session.row("select 1 as one") == {"one": 1}
        assert endpoint.answers(1.0)
        assert not endpoint.refuses()
    lost = True
    began = time.monotonic()
    assert known.answers(1.0)
    with known.session(5) as session:
        assert session.row("select 1 as one") == {"one": 1}
    assert not named.answers(1.0)
    with pytest.raises(Unreachable, match=r"pg-a\.test could not be looked up in time"), named.session(5):
        pass
    assert time.monotonic() - began < 8, "each look-up gave up by itself"


def test_an_unknown_user(untouched: Pair) -> None:
    with pytest.raises(AuthenticationFailed, match="user nobody-here"):
        untouched.resource("az-a", settings=PostgresqlSettings(user="nobody-here")).observe()


def test_an_unknown_database(untouched: Pair) -> None:
    with pytest.raises(NotFound, match='database "nowhere" does not exist'):
        untouched.resource("az-a", settings=PostgresqlSettings(user=ADMIN, database="nowhere")).observe()


def test_no_tls_where_it_is_asked_for(untouched: Pair) -> None:
    settings = PostgresqlSettings(user=ADMIN, connect={"sslmode": "require"})
    with pytest.raises(Misconfigured, match="does not support SSL"):
        untouched.resource("az-a", settings=settings).observe()


def test_an_unknown_connection_option(untouched: Pair) -> None:
    settings = PostgresqlSettings(user=ADMIN, connect={"sslmod": "require"})
    with pytest.raises(Misconfigured, match="key connect"):
        untouched.resource("az-a", settings=settings).observe()


def test_a_role_that_may_not_promote_is_told(pair: Pair) -> None:
    pair.sql("az-a", "create role reader login password 'reads'; grant pg_monitor to reader")
    time.sleep(0.3)
    reader = pair.resource("az-b", settings=PostgresqlSettings(user="reader"), password="reads")
    observed = reader.observe()
    assert observed.state("role") == STANDBY
    with pytest.raises(Misconfigured, match=r"user reader: permission denied for function pg_promote"):
        reader.apply(PRIMARY, observed, RecordedCall())


def test_no_superuser_is_needed(pair: Pair) -> None:
    pair.sql("az-a", LIMITED_ROLE)
    settings = PostgresqlSettings(user="dr", replication_user=REPLICATION)
    a, b = (pair.resource(site, settings=settings, password="dr") for site in ("az-a", "az-b"))
    change(a, STOPPED)
    change(b, PRIMARY)
    change(a, ReplicatesFrom(site="az-b"))
    crash(pair, "az-b")
    change(a, PRIMARY)
    change(b, ReplicatesFrom(site="az-a"))
