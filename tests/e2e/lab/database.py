"""Two PostgreSQL servers of the system's own version: a pair prepared once, copied for every lab."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.e2e.lab.machine import Machine
from tests.e2e.lab.needs import postgresql_directory
from tests.e2e.lab.network import LabBroken, run

DISK = Path("/var/lib/postgresql")  # as the machine sees it
DATA = DISK / "main"
DATABASE = "shop"
SUPERUSER, SUPERUSER_PASSWORD = "postgres", "canary-postgres-91d2"
REPLICATION_USER, REPLICATION_PASSWORD = "replicator", "canary-replicator-27e8"
CLIENT_USER, CLIENT_PASSWORD = "client", "canary-client-4b06"
SLOT = "tideover_cloud"  # as the product names the slot of the standby in site `cloud`

# Copied by base backup and pg_rewind; what differs between machines stands in host.conf beside the data directory.
_SETTINGS = """
include = '/var/lib/postgresql/host.conf'
listen_addresses = '*'
wal_log_hints = on
wal_keep_size = 256MB
wal_retrieve_retry_interval = 100ms
shared_buffers = 32MB
log_line_prefix = '%m [%p] %u@%h '
"""

_ACCESS = """\
local all postgres peer
host all all 198.18.0.0/15 scram-sha-256
host replication all 198.18.0.0/15 scram-sha-256
"""

_SCHEMA = f"""
ALTER ROLE {SUPERUSER} PASSWORD '{SUPERUSER_PASSWORD}';
CREATE ROLE {REPLICATION_USER} LOGIN REPLICATION PASSWORD '{REPLICATION_PASSWORD}';
CREATE ROLE {CLIENT_USER} LOGIN PASSWORD '{CLIENT_PASSWORD}';
CREATE DATABASE {DATABASE} OWNER {CLIENT_USER};
SELECT pg_create_physical_replication_slot('{SLOT}');
\\connect {DATABASE}
CREATE TABLE commits (source text, n bigint, PRIMARY KEY (source, n));
ALTER TABLE commits OWNER TO {CLIENT_USER};
"""


def programs() -> Path:
    """The directory of the server's programs. Raises LabBroken where there is none."""
    found = postgresql_directory()
    if found is None:
        msg = "no PostgreSQL server under /usr/lib/postgresql"
        raise LabBroken(msg)
    return found


def prepare_pair(template: Path) -> None:
    """`template` holds `primary` and `standby`: cleanly stopped data directories of which one streams from the other.

    A base backup alone would do, but starting one syncs every file first: seconds, on a busy disk.
    """
    template.mkdir(parents=True, exist_ok=True)
    shutil.chown(template, "postgres", "postgres")
    primary, standby = template / "primary", template / "standby"
    _as_postgres(programs() / "initdb", "-D", primary, "--no-sync", "-E", "UTF8", "--locale=C", "-A", "trust")
    original = (primary / "postgresql.conf").read_text()
    for port, data in ((1, primary), (2, standby)):
        alone = f"listen_addresses=''\nunix_socket_directories='{template}'\nport={port}\nfsync=off\nwal_log_hints=on\n"
        (data / "postgresql.conf").write_text(original + alone)
        _as_postgres(programs() / "pg_ctl", "-D", data, "-w", "-l", template / f"log-{port}", "start")
        if data is primary:
            _as_postgres("psql", "-h", template, "-p1", "-v", "ON_ERROR_STOP=1", "-q", "postgres", feed=_SCHEMA)
            source = f"host={template} port=1 user={REPLICATION_USER}"
            _as_postgres(programs() / "pg_basebackup", "-d", source, "-D", standby, "-c", "fast", "-R", "-S", SLOT)
    for data in (primary, standby):  # the primary ends only when its standby has everything
        _as_postgres(programs() / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop")
        (data / "postgresql.conf").write_text(original + _SETTINGS)
        (data / "pg_hba.conf").write_text(_ACCESS)
    (standby / "postgresql.auto.conf").write_text("")


def _as_postgres(*argv: str | Path, feed: str | None = None) -> str:
    drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--reset-env"]
    return run(*drop, "--", *argv, feed=feed, timeout=60.0)


class Database:
    """The database server of one machine: started and stopped like an administrator would, or worse."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def install(self, template: Path, upstream: str | None) -> None:
        """The data directory is there; with an `upstream` address it is that server's standby."""
        disk = self.machine.directory / "postgresql"
        run("cp", "-a", "--reflink=auto", template / ("standby" if upstream else "primary"), disk / "main")
        (disk / "host.conf").write_text(f"cluster_name = '{self.machine.name}'\n")
        if upstream:
            source = f"host={upstream} user={REPLICATION_USER} password={REPLICATION_PASSWORD} connect_timeout=2"
            with (disk / "main/postgresql.auto.conf").open("a") as conf:
                conf.write(f"primary_conninfo = '{source}'\nprimary_slot_name = '{SLOT}'\n")
        for path in (disk, disk / "host.conf"):
            shutil.chown(path, "postgres", "postgres")

    def start(self) -> None:
        """The server accepts connections."""
        self._control("start", "-w", "-l", DISK / "log")

    def stop(self) -> None:
        """The server was shut down cleanly."""
        self._control("stop", "-w", "-m", "fast")

    def start_at_boot(self, wanted: bool = True) -> None:
        """The machine starts, or does not start, the server whenever it boots. An unsafe thing: see I9."""
        script = self.machine.directory / "boot.d/postgresql"
        if not wanted:
            script.unlink(missing_ok=True)
            return
        script.write_text(
            "setpriv --reuid=postgres --regid=postgres --init-groups --reset-env -- "
            f"{programs()}/pg_ctl -D {DATA} -l {DISK}/log -w start\n"
        )

    def _control(self, verb: str, *options: str | Path) -> None:
        try:
            self.machine.run(programs() / "pg_ctl", "-D", DATA, *options, verb, user="postgres", timeout=60.0)
        except LabBroken as error:
            msg = f"{error}; the log of {self.machine.name} ends: {self.log()[-600:]}"
            raise LabBroken(msg) from error

    def connect(self, *, user: str = SUPERUSER, password: str = SUPERUSER_PASSWORD) -> psycopg.Connection[Any]:
        """A connection to the server's own address, from outside."""
        return psycopg.connect(
            host=self.machine.ip, user=user, password=password, dbname=DATABASE, connect_timeout=3, autocommit=True
        )

    def ask(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The first value of the query's first row; None where there is no row."""
        with self.connect() as connection:
            row = connection.execute(query.encode(), values or None).fetchone()
        return row[0] if row else None

    @property
    def writable(self) -> bool:
        """The server says that it is no standby."""
        return self.ask("SELECT NOT pg_is_in_recovery()") is True

    def wait_for_streaming(self, within: float = 60.0) -> None:
        """This primary has a standby that streams."""
        deadline = time.monotonic() + within
        while self.ask("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 0:
            if time.monotonic() > deadline:
                msg = f"{self.machine.name} has no streaming standby; its log ends: {self.log()[-400:]}"
                raise LabBroken(msg)
            time.sleep(0.02)

    def processes(self) -> list[int]:
        """The ids, as the root sees them, of the server's processes."""
        return self.machine.named("postgres")

    def log(self) -> str:
        """The server's log."""
        path = self.machine.directory / "postgresql/log"
        return path.read_text(errors="replace") if path.exists() else ""
