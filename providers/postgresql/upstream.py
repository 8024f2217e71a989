"""A server of another site, as the one that a standby follows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg.conninfo import make_conninfo

from orchestrator.domain.errors import Conflict, WrongIdentity
from orchestrator.ports import Call
from providers.postgresql.session import Endpoint, Session
from providers.postgresql.spec import PostgresqlPlace, PostgresqlSettings

_STATE = """
select pg_is_in_recovery() as in_recovery,
  (select system_identifier from pg_control_system())::text as identity,
  (select timeline_id from pg_control_checkpoint()) as checkpoint_timeline,
  case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_lsn()) end as wal_file
"""
_STREAMS_TO_SLOT = """
select 1 from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid
where s.slot_name = %s and r.state = 'streaming'
"""
# Without a slot the row cannot be told from another standby's; that the standby says it streams from here comes first.
_STREAMS = "select 1 from pg_stat_replication where state = 'streaming' and application_name <> 'pg_basebackup'"


@dataclass(frozen=True)
class Upstream:
    """The server of `site`, and how a standby logs in to it."""

    site: str
    place: PostgresqlPlace
    endpoint: Endpoint
    settings: PostgresqlSettings
    secret: Mapping[str, str] = field(repr=False)

    def streams_to(self, slot: str | None, identity: str | None, seconds: float) -> bool:
        """True where it says itself that it streams: to the standby with that slot, where there is one.

        Raises WrongIdentity where it is another database than `identity`.
        """
        with self.endpoint.session(seconds) as session:
            self._state(session, identity)
            return bool(session.rows(_STREAMS_TO_SLOT, slot) if slot else session.rows(_STREAMS))

    def prepare(self, slot: str, identity: str | None, call: Call) -> None:
        """It is a primary whose control file names its timeline, and it keeps its log for `slot`.

        Nothing of what is rebuilt is changed by that, so it is not said to have gone through.
        """
        with self.endpoint.session(call.remaining) as session:
            state = self._state(session, identity)
            if state["in_recovery"]:
                raise Conflict(f"{self.endpoint}: is a standby itself; promote it before others replicate from it")
            if state["checkpoint_timeline"] != int(str(state["wal_file"])[:8], 16):
                # pg_rewind reads the timeline from the control file, where it changes with the first checkpoint only.
                call.guard()
                session.do("checkpoint")
            if not session.rows("select 1 from pg_replication_slots where slot_name = %s", slot):
                call.guard()
                session.do("select pg_create_physical_replication_slot(%s, true)", slot)

    @property
    def source(self) -> str:
        """What PostgreSQL's programs connect with; the password travels apart."""
        return self._conninfo(user=self.endpoint.user, dbname=self.endpoint.database)

    @property
    def replication_source(self) -> str:
        """The same for what speaks the replication protocol."""
        return self._conninfo(user=self._replication_user)

    @property
    def replication_password(self) -> str | None:
        """The password of the replication user; the other's where the profile names no own."""
        return self.secret.get("replication_password", self.endpoint.password)

    def standby_settings(self, slot: str) -> str:
        """The lines of postgresql.auto.conf that make a standby follow this server."""
        password = {"password": self.replication_password} if self.replication_password else {}
        conninfo = self._conninfo(user=self._replication_user, **password)
        return f"primary_conninfo = {_quoted(conninfo)}\nprimary_slot_name = {_quoted(slot)}\n"

    @property
    def _replication_user(self) -> str:
        return self.settings.replication_user or self.settings.user

    def _conninfo(self, **more: str) -> str:
        return make_conninfo(
            host=self.place.host, port=self.place.port, connect_timeout=5, **self.settings.connect, **more
        )

    def _state(self, session: Session, identity: str | None) -> dict[str, object]:
        state = session.row(_STATE)
        if identity is not None and state["identity"] != identity:
            found = f"{state['identity']}, and its peer's is {identity}"
            raise WrongIdentity(f"{self.endpoint}: its system identifier is {found}: they are not the same database")
        return state


def slot_name(site: str) -> str:
    """The replication slot that an upstream keeps for the standby at `site`."""
    return "tideover_" + re.sub(r"[^a-z0-9_]", "_", site.lower())[:50]


def _quoted(value: str) -> str:
    """A value as configuration files want it: both quotes and backslashes doubled."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
