"""The resource types that this provider brings, and their keys in a runbook."""

from __future__ import annotations

from pydantic import Field

from orchestrator.domain.catalog import ResourceType, Settings


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
    def thing(self) -> str:
        """Where the server listens."""
        return f"{self.host}:{self.port}"


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


RESOURCES: tuple[ResourceType, ...] = (
    ResourceType(
        name="postgresql.server",
        serves="postgresql",
        adapter="providers.postgresql.server:Server",
        late_effect=LATE_EFFECT,
        settings=PostgresqlSettings,
        place=PostgresqlPlace,
    ),
    ResourceType(
        name="postgresql.query",
        serves="verify:sql",
        adapter="providers.postgresql.query:Query",
        settings=QuerySettings,
        place=PostgresqlPlace,
        shared=True,
    ),
)
