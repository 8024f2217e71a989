"""PostgreSQL servers that are stopped, crash, are settled and started again: in no other role than was asked for."""

from __future__ import annotations

import psycopg
import pytest

from orchestrator.domain.errors import Conflict, Doubtful, Misconfigured, WrongIdentity
from orchestrator.domain.world import ReplicatesFrom, Role
from tests.postgres import Pair
from tests.providers.contract import RecordedCall
from tests.providers.postgresql_pair import PRIMARY, STANDBY, STOPPED, change, crash, replication, streams

pytest_plugins = ["tests.providers.postgresql_pair"]


def test_a_stopped_primary_cannot_come_back_writable_by_itself(pair: Pair) -> None:
    assert change(pair.resource("az-a"), STOPPED).latched
    pair.at("az-a").start()  # as an init system would
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        pair.sql("az-a", "create table x ()")


def test_the_standby_has_all_once_it_is_past_the_shutdown_checkpoint(pair: Pair) -> None:
    pair.sql("az-a", "create table last_words ()")
    stopped = replication(change(pair.resource("az-a"), STOPPED))
    standby = replication(pair.resource("az-b").observe())
    assert stopped.written
    assert standby.replayed
    assert standby.replayed > stopped.written  # equal would be: the checkpoint's record is still missing
    assert pair.sql("az-b", "select * from last_words") == []


def test_files_of_another_server_are_not_touched(pair: Pair) -> None:
    """Both have one system identifier; what tells them apart is whose process serves the session."""
    swapped = pair.resource("az-a", pair.places(az_a={"data_directory": str(pair.data("az-b"))}))
    with pytest.raises(WrongIdentity, match="does not run on"):
        swapped.apply(STOPPED, swapped.observe(), RecordedCall())
    assert pair.resource("az-a").observe().state("role") == PRIMARY
    assert pair.resource("az-b").observe().state("role") == STANDBY


def test_a_crashed_primary_is_started_again_with_all_that_was_committed(pair: Pair) -> None:
    pair.sql("az-a", "create table before_the_crash ()")
    crash(pair, "az-a")
    assert change(pair.resource("az-a"), PRIMARY).state("role") == PRIMARY
    assert pair.sql("az-a", "select * from before_the_crash") == []
    assert streams(pair, "az-a", "az-b")


@pytest.mark.parametrize("cleanly", [True, False])
def test_a_standby_that_is_down_is_not_started_as_a_primary(pair: Pair, cleanly: bool) -> None:
    resource, call = pair.resource("az-b"), RecordedCall()
    if cleanly:
        change(resource, STOPPED)
    else:
        crash(pair, "az-b")
    with pytest.raises(Conflict, match="no primary before"):
        resource.apply(PRIMARY, resource.observe(), call)
    assert call.guards == 0
    assert "recovery" in pair.control("az-b", "Database cluster state")


def test_a_stop_that_cannot_latch_was_done_in_part(pair: Pair) -> None:
    """It is down, so nobody may say that nothing was done."""
    server, signal = pair.resource("az-a"), pair.data("az-a") / "standby.signal"
    signal.symlink_to("/nowhere/at/all")
    with pytest.raises(Doubtful, match=r"standby\.signal cannot be written"):
        server.apply(STOPPED, server.observe(), RecordedCall())
    signal.unlink()
    reading = server.observe()
    assert (reading.state("role"), reading.latched) == (STOPPED, False)


def test_a_crashed_server_is_settled_before_it_counts_as_stopped(pair: Pair) -> None:
    pair.sql("az-a", "create table before_the_crash ()")
    crash(pair, "az-a")
    assert change(pair.resource("az-a"), STOPPED).latched
    pair.at("az-a").start()
    assert pair.sql("az-a", "select * from before_the_crash") == []


def test_a_crashed_standby_is_settled_without_leaving_recovery(pair: Pair) -> None:
    crash(pair, "az-b")
    reading = change(pair.resource("az-b"), STOPPED)
    assert reading.latched
    assert pair.control("az-b", "Database cluster state") == "shut down in recovery"
    assert pair.control("az-b", "Latest checkpoint's TimeLineID") == "1"


@pytest.mark.parametrize("goal", [STANDBY, PRIMARY], ids=str)
def test_a_stopped_server_starts_in_the_role_that_is_asked_for(pair: Pair, goal: Role) -> None:
    resource = pair.resource("az-a")
    change(resource, STOPPED)
    change(resource, goal)
    assert (pair.data("az-a") / "standby.signal").exists() == (goal == STANDBY)


def test_a_running_primary_is_not_turned_into_a_standby(untouched: Pair) -> None:
    resource = untouched.resource("az-a")
    for goal in (STANDBY, ReplicatesFrom(site="az-b")):
        call = RecordedCall()
        with pytest.raises(Conflict, match="running primary"):
            resource.apply(goal, resource.observe(), call)
        assert call.guards == 0


def test_a_server_is_not_acted_upon_without_knowing_its_files(untouched: Pair) -> None:
    blind = untouched.resource("az-a", untouched.places(az_a={"data_directory": None}))
    with pytest.raises(Misconfigured, match="set data_directory"):
        blind.apply(STOPPED, blind.observe(), RecordedCall())
