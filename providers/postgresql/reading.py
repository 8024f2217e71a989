"""What a running server says of itself, as a Reading: one query, and a pure function over its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.domain.world import STOPPED, Reading, ReplicatesFrom, Replication, Role, State
from providers.postgresql.data_directory import Found, show_lsn

# The current timeline of a primary is in the name of its WAL file; the control file keeps the old one until the first
# checkpoint after a promotion. A standby that was started and has replayed no commit since has still replayed its
# primary's checkpoint, and so has every commit from before that. The subqueries of CASE run only in the role for which
# they are allowed. A contact says something only of a standby that has all of the log that its primary then named
# (latest_end_lsn): what arrives late was committed earlier.
SERVER = """
select pg_is_in_recovery() as in_recovery,
  (select system_identifier from pg_control_system())::text as identity,
  (select timeline_id from pg_control_checkpoint()) as checkpoint_timeline,
  case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_lsn()) end as wal_file,
  case when not pg_is_in_recovery() then (pg_current_wal_lsn() - '0/0')::bigint end as written,
  (pg_last_wal_receive_lsn() - '0/0')::bigint as received,
  (pg_last_wal_replay_lsn() - '0/0')::bigint as replayed,
  extract(epoch from greatest(pg_last_xact_replay_timestamp(), (select checkpoint_time from pg_control_checkpoint()))
    )::float8 as last_commit_at,
  case when pg_is_in_recovery() then pg_is_wal_replay_paused() end as replay_paused,
  receiver.status as receiver, receiver.sender_host, receiver.sender_port, receiver.slot_name as slot,
  receiver.received_tli as receiver_timeline,
  case when pg_last_wal_receive_lsn() >= receiver.latest_end_lsn
    then extract(epoch from least(receiver.last_msg_send_time, receiver.last_msg_receipt_time))::float8
    end as last_contact_at,
  (select count(*) from pg_stat_replication where sync_state in ('sync', 'quorum')) as synchronous_standbys,
  (select string_agg(slot_name, ', ' order by slot_name) from pg_replication_slots
    where slot_type = 'physical' and not active and restart_lsn is not null) as idle_slots,
  (select setting::int from pg_settings where name = 'wal_retrieve_retry_interval') as retry_milliseconds,
  current_setting('synchronous_standby_names') as synchronous_standby_names,
  current_setting('wal_log_hints')::bool or current_setting('data_checksums')::bool as can_rewind,
  current_setting('full_page_writes')::bool as full_page_writes,
  current_setting('max_wal_senders')::int as max_wal_senders,
  current_setting('server_version') as version
from (select) as one left join pg_stat_wal_receiver as receiver on true
"""

_SLOWEST_RETRY_MILLISECONDS = 1000


def of_running_server(row: Mapping[str, Any], authority: str, upstream: str | None) -> Reading:
    """The reading that `row`, the answer to SERVER, makes. `upstream`: the site that confirms it as its standby."""
    role = Role(role="standby" if row["in_recovery"] else "primary")
    states: tuple[State, ...] = (role, ReplicatesFrom(site=upstream)) if upstream else (role,)
    replication = _of_standby(row) if row["in_recovery"] else _of_primary(row)
    position = replication.replayed if row["in_recovery"] else replication.written
    facts = {
        "version": row["version"],
        "position": show_lsn(position or 0),
        "timeline": str(replication.timeline),
        "wal_receiver": row["receiver"],
    }
    return Reading(
        states=states,
        authority=authority,
        authoritative=True,
        identity=row["identity"],
        replication=replication,
        warnings=tuple(_standby_warnings(row) if row["in_recovery"] else _primary_warnings(row)),
        facts={name: value for name, value in facts.items() if value},
    )


def of_files(found: Found, authority: str) -> Reading:
    """The reading of a server that does not run. A crashed one is in no role, and so is a half rebuilt one."""
    stopped = found.was_shut_down
    if found.was_standby:
        replication = Replication(timeline=found.timeline, received=found.recovered_to, replayed=found.recovered_to)
    else:
        replication = Replication(timeline=found.timeline, written=found.checkpoint if stopped else None)
    way_out = "start it where nothing has replaced it, else rebuild it"
    warnings = [] if stopped else [f"the server is down and was not shut down cleanly ({found.state}): {way_out}"]
    if stopped and not found.latched:
        warnings = ["stopped, but it would come back as a primary: there is no standby.signal"]
    return Reading(
        states=(STOPPED,) if stopped else (),
        authority=authority,
        authoritative=True,
        latched=found.latched,
        identity=found.identity,
        replication=replication,
        warnings=tuple(warnings),
        facts={"control_file": found.state, "checkpoint": show_lsn(found.checkpoint)},
    )


def _of_primary(row: Mapping[str, Any]) -> Replication:
    return Replication(timeline=int(row["wal_file"][:8], 16), written=row["written"])


def _of_standby(row: Mapping[str, Any]) -> Replication:
    replayed = row["replayed"] or 0
    return Replication(
        timeline=row["receiver_timeline"] or row["checkpoint_timeline"],
        received=max(row["received"] or 0, replayed),  # a receiver that starts again begins at its segment's start
        replayed=replayed,
        last_commit_at=row["last_commit_at"],
        last_contact_at=row["last_contact_at"],
        streaming=row["receiver"] == "streaming",
    )


def _standby_warnings(row: Mapping[str, Any]) -> list[str]:
    warnings = []
    if row["retry_milliseconds"] > _SLOWEST_RETRY_MILLISECONDS:
        warnings.append(
            f"wal_retrieve_retry_interval is {row['retry_milliseconds'] / 1000:g}s, which may delay a promotion by as "
            "much: alter system set wal_retrieve_retry_interval = '100ms'; select pg_reload_conf()"
        )
    if row["synchronous_standby_names"]:
        warnings.append(
            f"synchronous_standby_names is '{row['synchronous_standby_names']}' here too: after a promotion each "
            "commit waits for such a standby: alter system set synchronous_standby_names = ''; select pg_reload_conf()"
        )
    if row["replay_paused"]:
        warnings.append("replay is paused, and what is received waits to be applied: select pg_wal_replay_resume()")
    if row["receiver"] != "streaming":
        warnings.append("no stream from a primary: look at primary_conninfo and this server's log")
    if row["idle_slots"]:
        warnings.append(
            f"nobody reads from {row['idle_slots']}, which keeps WAL here: select pg_drop_replication_slot(…)"
        )
    if row["max_wal_senders"] == 0:
        warnings.append("max_wal_senders is 0: after a promotion no standby can follow")
    return warnings


def _primary_warnings(row: Mapping[str, Any]) -> list[str]:
    warnings = []
    if not (row["can_rewind"] and row["full_page_writes"]):
        warnings.append(
            "after a failover this server can be rebuilt by a base backup only: pg_rewind needs wal_log_hints (or data "
            "checksums) and full_page_writes: alter system set wal_log_hints = on, and restart"
        )
    if row["synchronous_standby_names"] and not row["synchronous_standbys"]:
        warnings.append(
            f"synchronous_standby_names is '{row['synchronous_standby_names']}' and no such standby streams: each "
            "commit waits for ever"
        )
    return warnings
