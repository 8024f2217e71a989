"""Two hosts with PostgreSQL on loopback: a primary, and a standby that streams from it through a slot.

`build` is what the demo and the tests use. The hosts have one port and different addresses, so that an A record alone
decides which of them a client meets (Linux lets anyone bind all of 127.0.0.0/8).
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from orchestrator.app.demo import binaries
from orchestrator.app.demo.account import Account, database_account
from orchestrator.app.demo.errors import DemoFailed
from orchestrator.app.demo.host import Host

ADDRESSES = ("127.0.1.1", "127.0.1.2")
PORT = 54320
NAMES = ("pg-left", "pg-right")
SLOT = "pg_right"
ADMIN, REPLICATION = "postgres", "replicator"

_LAST_WORDS = 5

_SHARED_SETTINGS = """\
# The same on both hosts, because pg_rewind and pg_basebackup copy it; what differs stands beside the data directory.
include '../host.conf'
wal_log_hints = on
wal_retrieve_retry_interval = 100ms
wal_receiver_status_interval = 1s
wal_receiver_timeout = 5s
wal_sender_timeout = 5s
max_wal_senders = 10
max_replication_slots = 10
wal_keep_size = 64MB
max_wal_size = 256MB
min_wal_size = 32MB
max_connections = 50
shared_buffers = 16MB
dynamic_shared_memory_type = mmap
unix_socket_directories = ''
password_encryption = scram-sha-256
autovacuum_naptime = 1min
log_min_messages = warning
log_line_prefix = '%m [%p] '
"""
_HOST_SETTINGS = """\
listen_addresses = '{address}'
port = {port}
cluster_name = '{name}'
"""
_ACCESS = """\
host  all          all  127.0.0.0/8  scram-sha-256
host  replication  all  127.0.0.0/8  scram-sha-256
"""
_ROLES = f"""\
create role {REPLICATION} login replication password '{{password}}';
grant execute on function pg_catalog.pg_ls_dir(text, boolean, boolean),
  pg_catalog.pg_stat_file(text, boolean), pg_catalog.pg_read_binary_file(text),
  pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) to {REPLICATION};
"""  # the functions that pg_rewind's manual page asks for


@dataclass(frozen=True)
class Server:
    """A database server: where it listens, and the host that it runs on."""

    host: Host
    address: str
    port: int
    account: Account

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.host.directory / "postgresql.log"

    def connect(self, user: str, password: str, database: str = "postgres") -> psycopg.Connection[TupleRow]:
        """A connection that commits each statement, past DNS."""
        return psycopg.connect(
            host=self.address, port=self.port, user=user, password=password, dbname=database, connect_timeout=2,
            autocommit=True,
        )  # fmt: skip

    def run(self, program: str, *arguments: str, password: str = "") -> str:
        """What a program of this host printed. Raises CalledProcessError with its output."""
        changes = self.account.is_other
        done = subprocess.run(
            [self.host.bin_directory / program, *arguments],
            cwd=self.host.directory,
            env={**os.environ, "PGPASSWORD": password, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            user=self.account.uid if changes else None,
            group=self.account.gid if changes else None,
            extra_groups=() if changes else None,
        )
        return done.stdout

    def start(self) -> None:
        """The server runs and takes connections. Raises DemoFailed with the last lines of its log."""
        # The server inherits stdout from pg_ctl unless it has a log of its own; a pipe would then never end.
        try:
            self.run("pg_ctl", "start", "-w", "-s", "-D", str(self.host.data_directory), "-l", str(self.log))
        except subprocess.CalledProcessError as error:
            said = " ".join(error.output.split())
            raise DemoFailed(f"{self.name} did not start: {said} {self.log} ends with: {self._last_words()}") from error

    def _last_words(self) -> str:
        if not self.log.exists():
            return "nothing"
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-_LAST_WORDS:])

    def stop(self) -> None:
        """The server was shut down cleanly."""
        self.run("pg_ctl", "stop", "-w", "-s", "-m", "fast", "-D", str(self.host.data_directory))


@dataclass(frozen=True)
class Cluster:
    """Both servers and the passwords of `postgres` and `replicator`. At first the left one is the primary."""

    left: Server
    right: Server
    password: str = field(repr=False)
    replication_password: str = field(repr=False)
    binaries: binaries.Binaries

    @property
    def servers(self) -> tuple[Server, Server]:
        """Both, the left one first."""
        return self.left, self.right

    def kill(self) -> None:
        """No process of either host is left."""
        for server in self.servers:
            server.host.kill()


def build(
    directory: Path,
    *,
    addresses: Sequence[str] = ADDRESSES,
    port: int | None = None,
    slot: str = SLOT,
    found: binaries.Binaries | None = None,
) -> Cluster:
    """Both servers run under `directory`, and the right one streams from the left one.

    `directory` must be one that `database_account()` can pass. Without a port, one that is free on both addresses.
    Raises DemoFailed, and then nothing runs.
    """
    account = database_account()
    directory.mkdir(parents=True, exist_ok=True)
    if not account.can_pass(directory):
        msg = f"the user {account.name}, who runs PostgreSQL, may not go to {directory}: choose another directory"
        raise DemoFailed(msg)
    programs = (found or binaries.find()).usable_by(account, directory)
    port = port or free_port(addresses)
    left, right = (
        Server(_host(directory / name, address, port, programs, account), address, port, account)
        for name, address in zip(NAMES, addresses, strict=True)
    )
    cluster = Cluster(left, right, secrets.token_urlsafe(18), secrets.token_urlsafe(18), programs)
    try:
        _primary(cluster)
        _standby(cluster, slot)
    except subprocess.CalledProcessError as error:
        cluster.kill()
        msg = f"{Path(error.cmd[0]).name} failed in {directory}: {error.output.strip()}"
        raise DemoFailed(msg) from error
    except BaseException:
        cluster.kill()
        raise
    return cluster


@contextmanager
def reserved_port(addresses: Sequence[str], preferred: int = 0) -> Iterator[int]:
    """A TCP port of all the addresses that is nobody else's inside the block; the preferred one if it is free.

    A server that sets SO_REUSEADDR, as PostgreSQL and Python's do, can listen on it and come back to it.
    Raises DemoFailed where the addresses have no port in common that is free.
    """
    for candidate in (preferred, *(0 for _ in range(20))):
        with ExitStack() as held:
            port = candidate
            try:
                for address in addresses:
                    holder = held.enter_context(socket.socket())
                    holder.bind((address, port))
                    # Only now: one that may be shared from the start is also given to whoever else asks like this.
                    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    port = holder.getsockname()[1]
            except OSError:
                continue
            yield port
            return
    msg = f"no port is free on all of {', '.join(addresses)}: is 127.0.0.0/8 on this machine's loopback interface?"
    raise DemoFailed(msg)


def free_port(addresses: Sequence[str]) -> int:
    """A TCP port that was free on all the addresses an instant ago."""
    with reserved_port(addresses) as port:
        return port


def _host(directory: Path, address: str, port: int, programs: binaries.Binaries, account: Account) -> Host:
    host = Host(directory)
    host.install(path for path in sorted(programs.directory.iterdir()) if path.is_file())
    settings = directory / "host.conf"
    settings.write_text(_HOST_SETTINGS.format(address=address, port=port, name=host.name))
    for path in (directory, host.switch, settings):
        account.own(path)
    return host


def _primary(cluster: Cluster) -> None:
    left = cluster.left
    data, password_file = left.host.data_directory, left.host.directory / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(cluster.password)
    left.account.own(password_file)
    try:
        left.run(
            "initdb", "--no-sync", "-D", str(data), "-U", ADMIN, "-E", "UTF8", "--locale=C", "--auth=scram-sha-256",
            f"--pwfile={password_file}",
        )  # fmt: skip
    finally:
        password_file.unlink()
    (data / "postgresql.conf").write_text(_SHARED_SETTINGS)
    (data / "pg_hba.conf").write_text(_ACCESS)
    left.start()
    with left.connect(ADMIN, cluster.password) as connection:
        connection.execute(_ROLES.format(password=cluster.replication_password).encode())


def _standby(cluster: Cluster, slot: str) -> None:
    left, right = cluster.servers
    source = f"host={left.address} port={left.port} user={REPLICATION} application_name={right.name}"
    right.run(
        "pg_basebackup", "-d", source, "-D", str(right.host.data_directory), "-c", "fast", "-X", "stream", "-R",
        "-C", "-S", slot, "--no-sync", password=cluster.replication_password,
    )  # fmt: skip
    right.start()
    with left.connect(ADMIN, cluster.password) as connection:
        _wait_until_streaming(connection, right.name)


def _wait_until_streaming(connection: psycopg.Connection[TupleRow], standby: str, within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    query = "select 1 from pg_stat_replication where application_name = %s and state = 'streaming'"
    while not connection.execute(query, (standby,)).fetchone():
        if time.monotonic() > deadline:
            msg = f"{standby} did not begin to stream within {within:g} s; its log stands beside its data directory"
            raise DemoFailed(msg)
        time.sleep(0.01)
