"""A primary and a streaming standby for tests: built once, put back to how they were in well under a second."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from orchestrator.app.demo import binaries, cluster
from orchestrator.app.demo.cluster import ADMIN, REPLICATION, Cluster
from orchestrator.app.demo.cluster import Server as DemoServer
from orchestrator.domain.catalog import Site
from orchestrator.ports import Binding
from providers.postgresql.server import Server
from providers.postgresql.spec import PostgresqlPlace, PostgresqlSettings

SITES = ("az-a", "az-b")


@dataclass
class Pair:
    """Two servers; after `reset` the one at az-a is the primary and az-b streams from it."""

    cluster: Cluster
    pristine: bool = True

    @classmethod
    def build(cls, directory: Path, found: binaries.Binaries | None = None) -> Pair:
        pair = cls(cluster.build(directory, found=found))
        for server in pair.cluster.servers:
            server.stop()
            with (server.host.data_directory / "postgresql.conf").open("a") as settings:
                settings.write("fsync = off\n")
            subprocess.run(["cp", "-a", server.host.data_directory, pair._saved(server)], check=True)
        pair._start()
        return pair

    def reset(self) -> None:
        self.cluster.kill()
        for server in self.cluster.servers:
            for leftover in server.host.directory.glob("data*"):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            subprocess.run(["cp", "-a", self._saved(server), server.host.data_directory], check=True)
        self._start()

    def at(self, site: str) -> DemoServer:
        return self.cluster.servers[SITES.index(site)]

    def data(self, site: str) -> Path:
        return self.at(site).host.data_directory

    def sql(self, site: str, statement: str, seconds: int = 2) -> list[tuple[Any, ...]]:
        server = self.at(site)
        with psycopg.connect(
            host=server.address, port=server.port, user=ADMIN, password=self.cluster.password, dbname="postgres",
            connect_timeout=seconds, autocommit=True,
        ) as connection:  # fmt: skip
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def listens(self, site: str) -> bool:
        """Whether anybody takes connections at its port."""
        with socket.socket() as probe:
            return probe.connect_ex((self.at(site).address, self.at(site).port)) == 0

    def control(self, site: str, field: str) -> str:
        """One line of pg_controldata."""
        output = self.at(site).run("pg_controldata", "-D", str(self.data(site)))
        return next(line.partition(":")[2].strip() for line in output.splitlines() if line.startswith(field))

    @contextmanager
    def frozen(self, site: str) -> Iterator[None]:
        """While inside, the server's processes stand still; proven by a connection that is not answered."""
        postmaster = (self.data(site) / "postmaster.pid").read_text().split()[0]
        children = subprocess.run(
            ["pgrep", "-P", postmaster], capture_output=True, text=True, check=True
        ).stdout.split()
        _signal(signal.SIGSTOP, postmaster, *children)
        try:
            try:
                self.sql(site, "select 1")
            except psycopg.OperationalError:
                yield
            else:
                raise AssertionError("the server still answers: it is not frozen")
        finally:
            _signal(signal.SIGCONT, *children, postmaster)

    def places(self, **changed: Mapping[str, object]) -> dict[str, PostgresqlPlace]:
        """The keys under `at:`; `changed` by site with `_` for `-`."""
        return {
            site: PostgresqlPlace.model_validate(
                {
                    "host": self.at(site).address,
                    "port": self.at(site).port,
                    "data_directory": str(self.data(site)),
                    "bin_directory": str(self.at(site).host.bin_directory),
                    "run_as": self.at(site).account.name,
                    **changed.get(site.replace("-", "_"), {}),
                }
            )
            for site in SITES
        }

    def resource(
        self,
        site: str,
        places: dict[str, PostgresqlPlace] | None = None,
        settings: PostgresqlSettings | None = None,
        **secret: str,
    ) -> Server:
        secrets = {"password": self.cluster.password, "replication_password": self.cluster.replication_password}
        return Server(
            Binding(
                resource=f"db@{site}",
                component="db",
                site=site,
                settings=settings or PostgresqlSettings(user=ADMIN, replication_user=REPLICATION),
                places=places or self.places(),
                sites={site: Site(provider="on-prem") for site in SITES},
                secret={**secrets, **secret},
            )
        )

    def _saved(self, server: DemoServer) -> Path:
        return server.host.directory / "saved"

    def _start(self) -> None:
        for server in self.cluster.servers:
            server.start()
        deadline = time.monotonic() + 10
        while not self.sql("az-a", "select 1 from pg_stat_replication where state = 'streaming'"):
            assert time.monotonic() < deadline, "the standby does not stream"
            time.sleep(0.02)
        self.pristine = True


@contextmanager
def postgresql_pair(found: binaries.Binaries | None = None) -> Iterator[Pair]:
    """A pair in a directory of its own that the database's account may enter; gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="tideover-test-"))
    directory.chmod(0o755)
    try:
        pair = Pair.build(directory / "pair", found)
        try:
            yield pair
        finally:
            pair.cluster.kill()
    finally:
        shutil.rmtree(directory)


def _signal(what: signal.Signals, *pids: str) -> None:
    subprocess.run(["kill", f"-{what.value}", *pids], check=False, capture_output=True)
