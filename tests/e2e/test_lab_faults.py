"""Every fault of the lab takes, is healed, and refuses to be injected where it would prove nothing."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg
import pytest

from tests.e2e.lab.database import DATABASE
from tests.e2e.lab.faults import Faults
from tests.e2e.lab.network import LabBroken
from tests.e2e.lab.observer import Observer, writer
from tests.e2e.lab.probing import within
from tests.e2e.lab.world import Lab

pytestmark = pytest.mark.lab


def test_kill_host(lab: Lab, faults: Faults) -> None:
    with faults.kill_host("pg-a"):
        assert lab.bmcs["pg-a"].power() == "off"
        with pytest.raises(LabBroken, match="would prove nothing"):
            faults.kill_host("pg-a")
    lab.machines["pg-a"].wait_until_up()
    lab.databases["pg-a"].start()
    assert lab.databases["pg-a"].writable
    lab.databases["pg-a"].wait_for_streaming()


def test_crash_host(lab: Lab, faults: Faults) -> None:
    with faults.crash_host("pg-b"):
        assert lab.bmcs["pg-b"].power() == "on", "a controller knows nothing of the system"
        lab.bmcs["pg-b"].fence("off")
        assert lab.bmcs["pg-b"].power() == "off"
    lab.machines["pg-b"].wait_until_up()


def test_freeze_host(lab: Lab, faults: Faults) -> None:
    observer = Observer(lab)
    with faults.freeze_host("pg-a"):
        assert lab.pings("client", "pg-a"), "the kernel answers on"
        assert observer.committing.is_silent("probe-dc")
    observer.committing.wait_for_ack("probe-dc")  # it goes on


def test_kill_postgres(lab: Lab, faults: Faults) -> None:
    with faults.kill_postgres("pg-a"):
        assert lab.machines["pg-a"].init is not None
        assert lab.pings("client", "pg-a")
    assert lab.databases["pg-a"].writable


def test_partition(lab: Lab, faults: Faults) -> None:
    observer, outside, inside = Observer(lab), writer(lab), writer(lab, "inside", at="app-a")
    with faults.partition("dc"):
        assert lab.bmcs["pg-a"].power() == "on", "power controllers have a network of their own"
        inside.wait_for_ack("inside")
        assert outside.is_silent("writer")
        observer.committing.wait_for_ack("probe-dc")  # no partition blinds the observer
        with pytest.raises(LabBroken, match="would prove nothing"):
            faults.partition("dc")
    outside.wait_for_ack("writer")  # the client is served again


@pytest.mark.parametrize("site", ["cloud", "ctl", "client"])
def test_partition_of_another_site(lab: Lab, faults: Faults, site: str) -> None:
    with faults.partition(site):
        assert lab.pings(None, "pg-a") == (site != "ctl")
        assert lab.pings("app-a", "pg-a")


def test_unplug_and_hide(lab: Lab, faults: Faults) -> None:
    with faults.unplug("pg-b"):
        assert not lab.pings("app-b", "pg-b")
    with faults.hide_from_worker("pg-b"):
        assert lab.pings("pg-a", "pg-b")
    assert lab.pings(None, "pg-b")


def test_cut_bmc(lab: Lab, faults: Faults) -> None:
    with faults.cut_bmc("pg-a"):
        with pytest.raises(LabBroken, match="Unable to establish IPMI"):
            lab.bmcs["pg-a"].power()
        assert lab.machines["pg-a"].chassis == "on"
    assert lab.bmcs["pg-a"].power() == "on"


@pytest.mark.parametrize("part", ["pg-b", "ns1", "bmc-pg-a"])
def test_cut_from_worker(lab: Lab, faults: Faults, part: str) -> None:
    for answers_only in (False, True):
        with faults.cut_from_worker(part, answers_only=answers_only), pytest.raises(LabBroken, match="prove nothing"):
            faults.cut_from_worker(part)
        if part == "pg-b":
            assert lab.databases["pg-b"].ask("SELECT 1") == 1, "it is healed"


def test_where_only_answers_are_cut_a_request_arrives(lab: Lab, faults: Faults) -> None:
    arrived = ("psql", "-tAc", "SELECT to_regclass('arrived') IS NOT NULL", DATABASE)
    with (
        closing(lab.databases["pg-a"].connect()) as connection,
        faults.cut_from_worker("pg-a", answers_only=True),
    ):
        connection.pgconn.send_query(b"CREATE TABLE arrived ()")
        within(60, lambda: lab.machines["pg-a"].run(*arrived, user="postgres").strip() == "t", "the request arrives")
        connection.pgconn.consume_input()
        assert connection.pgconn.is_busy(), "no answer has come"


def test_lag(lab: Lab, faults: Faults) -> None:
    with faults.lag("pg-b"):
        behind = "SELECT pg_current_wal_lsn() - %s::pg_lsn"
        received = lab.databases["pg-b"].ask("SELECT pg_last_wal_receive_lsn()")
        assert lab.databases["pg-a"].ask(behind, [received]) > 0
        assert not lab.databases["pg-b"].writable
    lab.databases["pg-a"].wait_for_streaming()
    lab.databases["pg-a"].ask("SELECT pg_logical_emit_message(true, 'lab', 'go on')")
    with faults.lag("pg-b"):  # it can only begin where the standby follows again
        pass


def test_refuse_sql(lab: Lab, faults: Faults) -> None:
    client = writer(lab, by=lab.address("pg-a"))
    with faults.refuse_sql("pg-a"):
        with pytest.raises(psycopg.OperationalError, match="refused"):
            lab.databases["pg-a"].ask("SELECT 1")
        client.wait_for_ack("writer")  # only the worker is refused
    assert lab.databases["pg-a"].ask("SELECT 1") == 1


def test_refuse_sql_once_the_other_machine_is_off(lab: Lab, faults: Faults) -> None:
    armed = faults.refuse_sql_once_off("pg-b", off="pg-a")
    assert not armed.struck
    assert lab.databases["pg-b"].ask("SELECT 1") == 1
    lab.bmcs["pg-a"].fence("off")
    assert armed.struck, "it held before the fence was confirmed"
    armed.heal()
    assert lab.databases["pg-b"].ask("SELECT 1") == 1


@pytest.mark.parametrize("end", ["reset", "silence"])
def test_drop_answer(lab: Lab, faults: Faults, end: str) -> None:
    lab.machines["pg-a"].power_off()
    told: list[str] = []
    with faults.drop_answer(
        "pg-b", end="reset" if end == "reset" else "silence", then=lambda: told.append("then")
    ) as lost:
        with closing(lab.databases["pg-b"].connect()) as connection:
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
            assert not lost.interception.hit.is_set()
            if end == "reset":
                with pytest.raises(psycopg.OperationalError):
                    connection.execute("SELECT pg_promote()")
            else:
                connection.pgconn.send_query(b"SELECT pg_promote()")
                assert lost.interception.answered.wait(10)
                time.sleep(0.3)
                connection.pgconn.consume_input()
                assert connection.pgconn.is_busy(), "no answer has come"
        assert lost.interception.answered.is_set()
        assert told == ["then"]
        assert lab.databases["pg-b"].writable, "and yet it was done"
