"""The world that `tideover demo` acts on: two hosts with PostgreSQL, Route 53 with DNS, and a client that commits.

All of it lies under one directory and ends with the `with` block: the programs because they end with us, the hosts
because their processes are found, and killed, by the file that each of them holds open. A demo that was itself killed
leaves at most two PostgreSQL servers behind; the next one in the same directory ends them.
"""

from __future__ import annotations

import json
import secrets
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.exception
import dns.resolver
import psycopg
from psycopg.rows import TupleRow

from orchestrator.app.demo import binaries, runbook, writer
from orchestrator.app.demo.account import database_account
from orchestrator.app.demo.cluster import ADDRESSES, ADMIN, PORT, Cluster, Server, build, reserved_port
from orchestrator.app.demo.errors import DemoFailed
from orchestrator.app.demo.premises import claimed
from orchestrator.app.demo.processes import Program
from orchestrator.app.demo.verdict import Ack, Verdict, judge, read_acks
from providers.postgresql.upstream import slot_name

DIRECTORY = Path(".tideover/demo")
SITES = ("left", "right")
ZONE, RECORD, TTL = "demo.test", "db.demo.test", 1
LOOPBACK = "127.0.0.1"

_START_SECONDS = 30.0
_LAUNCHER = '#!/bin/sh\nexec {python} -P -m orchestrator.app.demo.fence_demo "$@"\n'


class DemoWorld:
    """Enter it to start all; `progress` gets one line for each part that stands.

    Inside of the block `cluster` has both servers, `runbook` and `credentials` are files that describe them, and
    `environment` is what the cloud SDKs need to find Route 53 here.
    """

    cluster: Cluster
    environment: dict[str, str]

    def __init__(
        self,
        directory: Path = DIRECTORY,
        progress: Callable[[str], None] = lambda _: None,
        preferred_port: int = PORT,
    ) -> None:
        self.directory = directory.resolve()
        self.runbook = self.directory / runbook.NAME
        self.credentials = self.directory / "credentials.toml"
        self.record = self.directory / "acks.log"
        self.dns_port = 0
        self._progress, self._preferred_port = progress, preferred_port
        self._password = secrets.token_urlsafe(18)
        self._started = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            account = database_account()
            hosts = starting.enter_context(claimed(self.directory, account, self._progress))
            found = binaries.find()
            self._progress(f"PostgreSQL {found.version} from {found.directory}")
            names = self._start_dns(starting)
            port = starting.enter_context(reserved_port(ADDRESSES, self._preferred_port))
            self.cluster = build(hosts, port=port, slot=slot_name(SITES[1]), found=found)
            starting.callback(self.cluster.kill)
            left, right = self.cluster.servers
            self._progress(f"{left.name} is primary at {left.address}:{left.port}, {right.name} streams from it")
            self._write_files()
            self._create_table(left)
            self._wait_for_dns(names)
            self._progress(f"Route 53 at {self.environment['AWS_ENDPOINT_URL']}; DNS at {LOOPBACK}:{self.dns_port}")
            self._start_writer(starting)
            self._progress(f"a client commits to {RECORD} every {writer.SECONDS_PER_COMMIT * 1000:g} ms")
            self._started = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _interrupts_held():
            self._started.__exit__(kind, error, trace)

    @property
    def servers(self) -> dict[str, Server]:
        """The server at each site."""
        return dict(zip(SITES, self.cluster.servers, strict=True))

    def primary(self) -> tuple[str, Server]:
        """The one site whose server takes writes, as the servers themselves tell, and that server."""
        found = [(site, server) for site, server in self.servers.items() if self._takes_writes(server)]
        if len(found) != 1:
            msg = f"{len(found)} servers take writes; expected one: {', '.join(site for site, _ in found) or 'none'}"
            raise DemoFailed(msg)
        return found[0]

    def kill_primary(self) -> str:
        """Every process of the primary's host was killed with SIGKILL, and its port is closed: the site is returned."""
        site, server = self.primary()
        server.host.kill()
        try:
            socket.create_connection((server.address, server.port), timeout=1).close()
        except ConnectionRefusedError:
            return site
        msg = f"{server.name} was killed, yet {server.address}:{server.port} takes connections: who listens there?"
        raise DemoFailed(msg)

    def acks(self) -> list[Ack]:
        """What the client was told so far."""
        return read_acks(self.record)

    def wait_for_ack(self, after: float, within: float = _START_SECONDS) -> Ack:
        """The first commit acknowledged later than `after` (seconds since the epoch)."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if found := next((ack for ack in self.acks() if ack.at > after), None):
                return found
            time.sleep(0.02)
        msg = f"the client got no commit acknowledged within {within:g} s; see {self.directory / 'writer.log'}"
        raise DemoFailed(msg)

    def verdict(self, since: float) -> Verdict:
        """What the client saw since then (seconds since the epoch), held against the rows of today's primary."""
        acks, until = self.acks(), time.time()
        _, server = self.primary()
        with self._connect(server) as connection:
            rows = {seq for (seq,) in connection.execute(f"select seq from {writer.TABLE}")}  # noqa: S608  a constant
        return judge(acks, rows, since, until)

    def _takes_writes(self, server: Server) -> bool:
        try:
            with self._connect(server) as connection:
                return connection.execute("select not pg_is_in_recovery()").fetchone() == (True,)
        except psycopg.OperationalError:
            return False

    def _connect(self, server: Server) -> psycopg.Connection[TupleRow]:
        return server.connect(ADMIN, self.cluster.password)

    def _start_dns(self, starting: ExitStack) -> Program:
        """Begun early: its imports take longer than the databases."""
        api, self.dns_port = (starting.enter_context(reserved_port([LOOPBACK])) for _ in range(2))
        self.environment = {"AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{api}", "AWS_EC2_METADATA_DISABLED": "true"}
        given = {"zone": ZONE, "record": RECORD, "address": ADDRESSES[0], "ttl": TTL, "api": api}
        options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        log = self.directory / "dns.log"
        names = Program.start("orchestrator.app.demo.dns", *options, "--dns", str(self.dns_port), log=log)
        starting.callback(names.stop)
        return names

    def _wait_for_dns(self, names: Program) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            names.require_running()
            try:
                writer.resolver(self.dns_port).resolve(RECORD, "A")
            except dns.exception.DNSException:
                time.sleep(0.02)
            else:
                return
        msg = f"the name server did not answer for {RECORD} within {_START_SECONDS:g} s; see {names.log}"
        raise DemoFailed(msg)

    def _start_writer(self, starting: ExitStack) -> None:
        self.record.unlink(missing_ok=True)
        options = ["--name", RECORD, "--dns", str(self.dns_port), "--port", str(self.cluster.left.port)]
        options += ["--record", str(self.record), "--pace", str(writer.SECONDS_PER_COMMIT)]
        log = self.directory / "writer.log"
        client = Program.start("orchestrator.app.demo.writer", *options, log=log, first_line=self._password)
        starting.callback(client.stop)
        self.wait_for_ack(0.0)

    def _create_table(self, primary: Server) -> None:
        with self._connect(primary) as connection:
            connection.execute(f"create role {writer.ROLE} login password '{self._password}'".encode())
            connection.execute(writer.CREATE_TABLE)
            connection.execute(f"grant select, insert on {writer.TABLE} to {writer.ROLE}".encode())

    def _write_files(self) -> None:
        agent = self.directory / "fence_demo"
        agent.write_text(_LAUNCHER.format(python=shlex.quote(sys.executable)))
        agent.chmod(0o755)
        self.runbook.write_text(runbook.concrete(self.servers, agent))
        made = self.cluster
        profiles = {
            runbook.DATABASE_CREDENTIALS: {
                "password": made.password,
                "replication_password": made.replication_password,
            },
            runbook.DNS_CREDENTIALS: {"aws_access_key_id": "demo", "aws_secret_access_key": "demo"},
        }
        self.credentials.touch(mode=0o600)
        self.credentials.chmod(0o600)
        self.credentials.write_text(_toml(profiles))


def _toml(profiles: dict[str, dict[str, str]]) -> str:
    """TOML of tables of texts; a JSON string is a TOML string as well."""
    lines = []
    for name, fields in profiles.items():
        lines += [f"[{name}]", *(f"{field} = {json.dumps(text)}" for field, text in fields.items()), ""]
    return "\n".join(lines)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """A second Ctrl-C waits until the cleaning up is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
