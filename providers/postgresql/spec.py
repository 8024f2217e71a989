"""The resource type that this provider brings, and its keys in a runbook."""

from __future__ import annotations

from pydantic import Field

from orchestrator.domain.catalog import ResourceType, Settings


class PostgresqlSettings(Settings):
    """The keys of a `postgresql` component.

    user: reads and promotes; a superuser, or a role with the grants that docs of PostgreSQL ask for pg_rewind.
    replication_user: what standbys connect as; `user` where it is not given.
    database: any that `user` may connect to.
    connect: further libpq connection options, such as {sslmode: verify-full, sslrootcert: /etc/…}.
    """

    user: str
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


RESOURCES: tuple[ResourceType, ...] = (
    ResourceType(
        name="postgresql.server",
        serves="postgresql",
        adapter="providers.postgresql.server:Server",
        settings=PostgresqlSettings,
        place=PostgresqlPlace,
    ),
)
