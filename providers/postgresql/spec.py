"""The resource types that this provider brings, and their keys in a runbook."""

from __future__ import annotations

from pydantic import Field, field_validator

from orchestrator.domain.by_hand import ByHand
from orchestrator.domain.catalog import ResourceType, Settings
from orchestrator.domain.spelling import canonical


class PostgresqlSettings(Settings):
    """The keys of a `postgresql` component.

    user: reads, promotes and rewinds: a superuser, or a role with pg_monitor, pg_checkpoint, replication, execute on
        pg_promote and what pg_rewind's manual page asks for.
    replication_user: what standbys connect as; `user` where it is not given.
    database: any that `user` may connect to.
    connect: further libpq connection options, such as {sslmode: verify-full, sslrootcert: /etc/…}.
    """

    user: str = "postgres"
    replication_user: str | None = None
    database: str = "postgres"
    connect: dict[str, str] = Field(default_factory=dict)

    @field_validator("connect")
    @classmethod
    def _without_secrets(cls, connect: dict[str, str]) -> dict[str, str]:
        for name in connect:
            if name in ("password", "sslpassword", "oauth_client_secret"):
                msg = f"{name!r} is a secret: put it into the profile that `credentials:` names"
                raise ValueError(msg)
        return connect


class PostgresqlPlace(Settings):
    """The keys of a `postgresql` component under `at: <site>:`.

    host, port: where clients and the standby of the other site connect.
    data_directory: needed to stop, start and rebuild the server and to read its role while it is down.
    ssh: OpenSSH destination of the server's machine; not given: this machine.
    run_as: the OS user who owns the data directory; not given: the one we log in as.
    bin_directory: PostgreSQL's programs; not given: Debian's and PGDG's places for the directory's version, then PATH.
    config_file: postgresql.conf where it is not in the data directory (Debian: /etc/postgresql/15/main/…).
    """

    host: str
    port: int = Field(default=5432, ge=1, le=65535)
    data_directory: str | None = Field(default=None, pattern=r"^/.*[^/]$")
    ssh: str | None = Field(default=None, pattern=r"^[^-\s]\S*$")
    run_as: str | None = None
    bin_directory: str | None = None
    config_file: str | None = None

    @property
    def lacks(self) -> str | None:
        """Without its files a server can be promoted and no more."""
        if self.data_directory:
            return None
        return (
            "without `data_directory:` this server can be promoted, but not stopped, rebuilt or read while it is down: "
            "there is no planned move away from it, and no failback to it"
        )

    @property
    def thing(self) -> str:
        """Where the server listens."""
        return f"{canonical(self.host)}:{self.port}"


LATE_EFFECT = 600.0
"""Seconds. A statement that reached the server runs at once, a command over SSH is ended by the far side at its limit
(stop and start: 300 s at most); the rest is allowance for what the network may hold back."""


class QuerySettings(PostgresqlSettings):
    """The keys of a verification with `sql:`, beside those of the component that it names.

    sql: a query that must return at least one row. via: the address or name that clients use; not given: the `host`
    of the component at the target site.
    """

    sql: str = Field(min_length=1)
    via: str | None = None


_PSQL = "psql -h {host} -p {port} -U {user} -d {database}"
_PSQL_THERE = "psql -h {there_host} -p {there_port} -U {user} -d {database}"
_ROLE = "select pg_is_in_recovery()"
_BEHIND = "select pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), now() - pg_last_xact_replay_timestamp()"
_RECEIVES = "select status, sender_host from pg_stat_wal_receiver"
_SENDS = "select application_name, client_addr, state from pg_stat_replication"
_ASKED = "the password that it asks for is that of the profile {credentials:plain}"
_ON_ITS_MACHINE = (
    "on the server's machine at {site:plain}:",
    "ssh {ssh}",
    "as the user {run_as:plain}",
    "its programs stand in {bin_directory}",
)
_STOPPED = "pg_controldata {data_directory} | grep 'cluster state'    # `shut down` is stopped, `in production` is not"
_LATCH = "touch {data_directory}/standby.signal    # so that it cannot come back writable by itself"
_UPSTREAM = "host={there_host:quoted} port={there_port}"

_SERVER_BY_HAND = ByHand(
    look=(
        f"{_PSQL} -Atc '{_ROLE}'    # f: primary, t: standby; no answer proves nothing",
        _ASKED,
        f"{_PSQL} -Atc '{_BEHIND}'",
        "    # of a standby: what it has received, what it has replayed, how far it is behind",
        f"{_PSQL} -Atc '{_RECEIVES}'    # from whom a standby still receives",
        f"{_PSQL} -Atc '{_SENDS}'    # who streams from it",
        "where it does not answer:",
        *_ON_ITS_MACHINE,
        _STOPPED,
    ),
    do={
        "role primary": (
            f"{_PSQL} -Atc '{_ROLE}'    # must be t: it is promoted from a standby",
            f"{_PSQL} -c 'select pg_promote()'",
            f"{_PSQL} -c checkpoint",
            _ASKED,
        ),
        "role stopped": (*_ON_ITS_MACHINE, "pg_ctl stop -m fast -w -D {data_directory}", _LATCH, _STOPPED),
        "role standby": (*_ON_ITS_MACHINE, _LATCH, "pg_ctl start -w -D {data_directory}"),
        "replicates_from": (
            *_ON_ITS_MACHINE,
            "it must be stopped, and the server at {there:plain} must be the primary",
            "pg_rewind --target-pgdata={data_directory}",
            f"    --source-server='{_UPSTREAM} user={{user:quoted}} dbname={{database:quoted}}'",
            "else, where pg_rewind refuses: put the old directory aside, and",
            f"pg_basebackup -d '{_UPSTREAM} user={{replication_user|user:quoted}}' -D {{data_directory}} -X stream",
            _LATCH,
            "in {data_directory}/postgresql.auto.conf, which pg_rewind copied from the other server:",
            f"    primary_conninfo = '{_UPSTREAM} user={{replication_user|user:quoted}}', and no primary_slot_name",
            "pg_ctl start -w -D {data_directory}",
            f"{_PSQL_THERE} -Atc '{_SENDS}'    # done is a row that says streaming",
        ),
    },
)

RESOURCES: tuple[ResourceType, ...] = (
    ResourceType(
        name="postgresql.server",
        serves="postgresql",
        adapter="providers.postgresql.server:Server",
        late_effect=LATE_EFFECT,
        settings=PostgresqlSettings,
        place=PostgresqlPlace,
        by_hand=_SERVER_BY_HAND,
    ),
    ResourceType(
        name="postgresql.query",
        serves="verify:sql",
        adapter="providers.postgresql.query:Query",
        settings=QuerySettings,
        place=PostgresqlPlace,
        shared=True,
        by_hand=ByHand(
            look=(
                "psql -h {via|host} -p {port} -U {user} -d {database} -c {sql}    # must show at least one row",
                _ASKED,
            )
        ),
    ),
)
