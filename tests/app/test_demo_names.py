"""The demo's Route 53 answers real DNS, its client honours the TTL, and the verdict counts what the client saw."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from orchestrator.app.demo import dns as demo_dns
from orchestrator.app.demo import route53
from orchestrator.app.demo.cluster import free_port
from orchestrator.app.demo.dns import FRESH, HostedZone
from orchestrator.app.demo.route53 import LOOPBACK
from orchestrator.app.demo.verdict import Ack, judge, read_acks
from orchestrator.app.demo.writer import Writer, resolver

ZONE, RECORD = "demo.test", "db.demo.test"
Ask = Callable[..., dns.message.Message]


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with route53.serving(0) as endpoint:
        yield endpoint


@pytest.fixture
def zone(api: str) -> HostedZone:
    client = route53.connect(api)
    return HostedZone.create(client, ZONE, RECORD, "127.0.1.1", ttl=1)


@pytest.fixture
def port(zone: HostedZone) -> int:
    chosen = free_port([LOOPBACK])
    demo_dns.serve(zone, chosen)
    return chosen


def ask(port: int, name: str, kind: str = "A", way: Ask = dns.query.udp) -> dns.message.Message:
    return way(dns.message.make_query(name, kind), LOOPBACK, port=port, timeout=3)


def change(zone: HostedZone, *changes: tuple[str, str], ttl: int = 1) -> None:
    """One batch of (action, address)."""
    batch: list[dict[str, Any]] = [
        {
            "Action": action,
            "ResourceRecordSet": {"Name": RECORD, "Type": "A", "TTL": ttl, "ResourceRecords": [{"Value": address}]},
        }
        for action, address in changes
    ]
    zone.client.change_resource_record_sets(HostedZoneId=zone.zone_id, ChangeBatch={"Changes": batch})


@pytest.mark.parametrize("way", [dns.query.udp, dns.query.tcp], ids=["udp", "tcp"])
def test_the_record_is_answered_with_its_ttl(port: int, way: Ask) -> None:
    reply = ask(port, "DB.demo.test.", way=way)
    assert [str(answer).replace("DB", "db") for answer in reply.answer] == ["db.demo.test. 1 IN A 127.0.1.1"]
    assert reply.flags & dns.flags.AA


def test_a_change_through_the_api_is_answered_at_once(zone: HostedZone, port: int) -> None:
    ask(port, RECORD)
    change(zone, ("UPSERT", "127.0.1.2"), ttl=7)
    time.sleep(FRESH * 1.5)
    assert str(ask(port, RECORD).answer[0]) == "db.demo.test. 7 IN A 127.0.1.2"


def test_a_name_goes_back_and_forth_by_compare_and_set(zone: HostedZone, port: int) -> None:
    here, there = "127.0.1.1", "127.0.1.2"
    for old, new in ((here, there), (there, here), (here, there)):
        change(zone, ("DELETE", old), ("CREATE", new))
        time.sleep(FRESH * 1.5)
        assert str(ask(port, RECORD).answer[0][0]) == new


@pytest.mark.parametrize(
    ("batch", "why"),
    [
        ([("DELETE", "127.0.9.9"), ("CREATE", "127.0.1.2")], "do not match the current values"),
        ([("CREATE", "127.0.1.2")], "already exists"),
        ([("DELETE", "127.0.1.1"), ("DELETE", "127.0.1.1")], "was not found"),
    ],
)
def test_a_batch_that_does_not_fit_changes_nothing(
    zone: HostedZone, port: int, batch: list[tuple[str, str]], why: str
) -> None:
    with pytest.raises(ClientError, match=why) as caught:
        change(zone, *batch)
    assert caught.value.response["Error"]["Code"] == "InvalidChangeBatch"
    assert str(ask(port, RECORD).answer[0][0]) == "127.0.1.1"


def test_a_name_that_is_moved_is_never_missing(zone: HostedZone, port: int) -> None:
    answered: list[int] = []
    over = threading.Event()

    def look() -> None:
        fresh = HostedZone(zone.client, zone.zone_id, zone.name)
        while not over.is_set():
            fresh.forget()
            answered.append(len(demo_dns.answer(dns.message.make_query(RECORD, "A"), fresh).answer))

    looking = threading.Thread(target=look)
    looking.start()
    addresses = ["127.0.1.1", "127.0.1.2"]
    for _ in range(20):
        change(zone, ("DELETE", addresses[0]), ("CREATE", addresses[1]))
        addresses.reverse()
    over.set()
    looking.join()
    assert answered
    assert set(answered) == {1}


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "negative"),
    [
        ("other.demo.test", "A", dns.rcode.NXDOMAIN, True),
        ("db.demo.test", "AAAA", dns.rcode.NOERROR, True),
        ("demo.test", "A", dns.rcode.NOERROR, True),
        ("example.org", "A", dns.rcode.REFUSED, False),
    ],
)
def test_what_is_not_there(port: int, name: str, kind: str, rcode: int, negative: bool) -> None:
    reply = ask(port, name, kind)
    assert (reply.rcode(), reply.answer) == (rcode, [])
    assert bool(reply.authority) == negative


def test_no_stale_address_is_given_when_the_api_is_gone(zone: HostedZone) -> None:
    query = dns.message.make_query(RECORD, "A")
    assert demo_dns.answer(query, zone).answer
    zone.client = route53.connect(f"http://{LOOPBACK}:{free_port([LOOPBACK])}")
    time.sleep(FRESH * 1.5)
    assert demo_dns.answer(query, zone).rcode() == dns.rcode.SERVFAIL


def test_the_client_keeps_an_answer_for_its_ttl_and_no_longer(zone: HostedZone, port: int) -> None:
    names = resolver(port)
    first = names.resolve(RECORD, "A")
    change(zone, ("UPSERT", "127.0.1.2"))
    time.sleep(FRESH * 1.5)
    assert str(names.resolve(RECORD, "A")[0]) == "127.0.1.1"
    time.sleep(max(0.0, first.expiration - time.time()) + 0.05)
    assert str(names.resolve(RECORD, "A")[0]) == "127.0.1.2"


def test_a_commit_that_fails_is_not_recorded_and_its_number_not_used_again(port: int) -> None:
    record = io.StringIO()
    nobody_listens = free_port(["127.0.1.1"])
    writer = Writer(RECORD, nobody_listens, "", resolver(port), record)
    assert [writer.commit() for _ in range(3)] == [False, False, False]
    assert record.getvalue() == ""
    assert writer.seq == 3


# The verdict

ACKS = [Ack(1, 10.00, "a"), Ack(2, 10.02, "a"), Ack(3, 10.04, "a"), Ack(5, 12.04, "b"), Ack(6, 12.06, "b")]


def test_nothing_lost() -> None:
    found = judge(ACKS, {1, 2, 3, 5, 6}, since=0, until=12.07)
    assert (found.acknowledged, found.lost, found.lost_seconds, found.unacknowledged) == (5, 0, 0.0, 0)
    assert (round(found.outage, 3), found.outage_began, found.over, found.served_by) == (2.0, 10.04, True, "b")


def test_lost_acks_and_rows_that_nobody_was_told_of() -> None:
    found = judge(ACKS, {1, 4, 5, 6}, since=0, until=12.07)
    assert (found.lost, round(found.lost_seconds, 3), found.unacknowledged) == (2, 0.04, 1)


def test_an_outage_that_goes_on_is_counted_up_to_now() -> None:
    found = judge(ACKS[:3], {1, 2, 3}, since=0, until=14.04)
    assert (round(found.outage, 3), found.over, found.served_by) == (4.0, False, "a")


def test_only_the_asked_span_is_judged() -> None:
    found = judge(ACKS, {5, 6}, since=12.0, until=12.07)
    assert (found.acknowledged, found.lost, round(found.outage, 3)) == (2, 0, 0.02)
    with pytest.raises(ValueError, match="no commit acknowledged"):
        judge(ACKS, set(), since=13.0, until=14.0)


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Any) -> None:
    record = tmp_path / "acks.log"
    assert read_acks(record) == []
    record.write_text("1 10.000000 127.0.1.1\n2 10.0")
    assert read_acks(record) == [Ack(1, 10.0, "127.0.1.1")]


def test_many_clients_are_answered_at_once(port: int) -> None:
    replies: list[dns.message.Message] = []
    clients = [threading.Thread(target=lambda: replies.append(ask(port, RECORD))) for _ in range(20)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert len([reply for reply in replies if reply.answer]) == 20
