"""PostgreSQL on two real servers: what every resource keeps to, and a frozen worker before each of its changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from orchestrator.app.demo.cluster import ADMIN
from orchestrator.domain.world import ReplicatesFrom, Role, State
from providers.postgresql.server import Server
from tests.postgres import Pair, postgresql_pair
from tests.providers.contract import IdentityContract, Mistaken, ResourceContract
from tests.providers.frozen import FrozenContract
from tests.providers.postgresql_pair import (
    PRIMARY,
    STANDBY,
    STOPPED,
    change,
    crash,
    crashed_and_replaced,
    without_pg_rewind,
)

pytest_plugins = ["tests.providers.postgresql_pair"]


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
