"""The journal on etcd: the contract on three real members, and what can happen to members and to the way to them."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import socket
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import JournalUnavailable
from orchestrator.ports import Journal
from orchestrator.runtime import audit, etcd_gateway, etcd_journal
from orchestrator.runtime.etcd_gateway import Access, Gateway
from orchestrator.runtime.etcd_journal import EtcdJournal
from orchestrator.runtime.group import Group
from tests import etcd, etcd_binary
from tests.etcd import Cluster, Member, Way, way_to
from tests.runtime.journal_contract import WRITERS, JournalContract, count_up
from tests.runtime.scripted import execution, plan


def prefix_of(place: Path) -> str:
    """A prefix of the test's own."""
    return f"test/{hashlib.sha256(str(place).encode()).hexdigest()[:12]}"


def delete(member: Member, prefix: str) -> None:
    """Nothing stands under the prefix any more."""
    start, end = f"{prefix}/".encode(), f"{prefix}0".encode()
    body = json.dumps({"key": b64encode(start).decode(), "range_end": b64encode(end).decode()}).encode()
    urllib.request.urlopen(f"http://{member.address}/v3/kv/deleterange", body, timeout=10).close()


class TestEtcdJournal(JournalContract):
    @pytest.fixture(autouse=True)
    def on(self, etcd_cluster: Cluster) -> None:
        self.cluster = etcd_cluster

    def create(self, place: Path) -> Journal:
        return EtcdJournal.create(Gateway(self.cluster.addresses, Access()), prefix_of(place))

    def opener(self, place: Path) -> Callable[[], Journal]:
        return lambda: EtcdJournal(Gateway(self.cluster.addresses, Access()), prefix_of(place))

    def lose(self, place: Path) -> None:
        delete(self.cluster.members[0], prefix_of(place))

    def replace(self, place: Path) -> None:
        self.lose(place)
        self.create(place)


@pytest.fixture
def journal(etcd_cluster: Cluster, tmp_path: Path) -> EtcdJournal:
    return EtcdJournal.create(Gateway(etcd_cluster.addresses, Access()), prefix_of(tmp_path))


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with etcd.cluster(etcd_binary.find(), tmp_path_factory.mktemp("fragile")) as found:
        yield found


@pytest.fixture
def fragile(lasting: Cluster) -> Iterator[Cluster]:
    """Members that a test may kill and freeze; at its end they are whole again."""
    yield lasting
    lasting.recover()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next member is asked after half a second already: a test of a silent one need not wait longer."""
    monkeypatch.setattr(etcd_gateway, "TRY", 0.5)


def over(tmp_path: Path, *ways: Way | Member) -> EtcdJournal:
    """The journal of this test, over these ways to the members."""
    return EtcdJournal.create(Gateway([way.address for way in ways], Access()), prefix_of(tmp_path))


# ---- members


def test_one_member_is_killed_and_it_goes_on(fragile: Cluster, tmp_path: Path) -> None:
    journal = over(tmp_path, *fragile.members)
    assert journal.swap(("a", "1", 0))
    fragile.leader.kill()
    assert journal.swap(("a", "2", 1)), "after the election of another leader"
    assert over(tmp_path, *fragile.members).read("a") == {"a": ("2", 2)}


def test_without_a_majority_it_is_unavailable_in_time_and_nothing_is_lost(
    fragile: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = over(tmp_path, *fragile.members)
    assert journal.swap(("a", "1", 0))
    monkeypatch.setattr(etcd_gateway, "PATIENCE", 1.5)
    for member in fragile.members[:2]:
        member.kill()
    for use in (lambda: journal.read("a"), lambda: journal.swap(("a", "2", 1))):
        began = time.monotonic()
        with pytest.raises(JournalUnavailable, match="More than half of its members") as caught:
            use()
        assert time.monotonic() - began < 2.5
        assert "\n" not in str(caught.value)
        assert all(address in str(caught.value) for address in fragile.addresses)
    with pytest.raises(JournalUnavailable):
        over(tmp_path, *fragile.members)
    fragile.recover()
    monkeypatch.undo()
    assert journal.read("a") in ({"a": ("1", 1)}, {"a": ("2", 2)}), "the second write was unknown, and may have come"
    count_up(journal, "n", 3)
    assert journal.read("n") == {"n": ("3", 3)}


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_frozen_member_holds_up_nothing_and_does_nothing_late(fragile: Cluster, tmp_path: Path, which: str) -> None:
    frozen = fragile.leader if which == "leader" else fragile.followers[0]
    journal = over(tmp_path, frozen, *(member for member in fragile.members if member is not frozen))
    assert journal.swap(("a", "1", 0))
    frozen.freeze()
    assert journal.swap(("a", "2", 1), ("b", "1", 0)), "the frozen one was asked first, and has the request"
    assert journal.read("") == journal.read("")
    assert journal.swap(("a", "3", 2))
    frozen.thaw()
    fragile.recover()
    time.sleep(0.5)  # the time for what had waited in its sockets
    assert (journal.read("a"), journal.read("b")) == ({"a": ("3", 3)}, {"b": ("1", 1)})
    assert over(tmp_path, frozen).read("a") == {"a": ("3", 3)}, "it reads nothing old when it is back"


def test_writers_lose_nothing_and_write_nothing_twice_while_the_leader_is_killed(
    fragile: Cluster, tmp_path: Path
) -> None:
    turns, context = 60, multiprocessing.get_context("fork")
    journal = over(tmp_path, *fragile.members)

    def write(who: int) -> None:
        own = over(tmp_path, *fragile.members)
        for turn in range(turns):
            detail = {"turn": turn}
            audit.append(own, audit.NewEntry(at=0.0, what="effect", group="g", who=str(who), plan="p", detail=detail))

    writers = [context.Process(target=write, args=(who,)) for who in range(WRITERS)]
    leader = fragile.leader
    for writer in writers:
        writer.start()
    etcd.within(20, lambda: len(journal.read("audit/")) > turns // 2, "they write")
    leader.kill()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    written = sorted((entry.who, entry.detail["turn"]) for entry in audit.entries(journal))
    assert written == sorted((str(who), turn) for who in range(WRITERS) for turn in range(turns))
    assert audit.verify(journal) is None


# ---- the way to them


def test_a_write_whose_answer_was_lost_is_told_as_it_was(fragile: Cluster, tmp_path: Path) -> None:
    with way_to(fragile.members[0]) as way:
        journal = over(tmp_path, way, *fragile.members[1:])
        assert journal.swap(("a", "1", 0))
        way.lose = 1
        assert journal.swap(("a", "2", 1), ("b", "1", 0)), "asked again, it says that the first one was made"
        assert way.lose == 0
        assert journal.read("a") == {"a": ("2", 2)}
        way.lose = 1
        journal = over(tmp_path, way, *fragile.members[1:])
        assert not journal.swap(("a", "x", 1)), "this one was surely not made: its version had passed"


@pytest.mark.usefixtures("hasty")
def test_a_write_whose_answer_was_lost_is_not_taken_for_that_of_another(fragile: Cluster, tmp_path: Path) -> None:
    with way_to(fragile.members[0]) as way:
        journal, other = over(tmp_path, way, *fragile.members[1:]), over(tmp_path, fragile.members[1])
        way.hold = True
        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.append(journal.swap(("a", "same", 0))))
        thread.start()
        assert way.held.wait(5)
        assert other.swap(("a", "same", 0)), "the same text, written by another while ours is on its way"
        thread.join()
        assert answers == [False]
        way.release.set()
        assert way.arrived.wait(5)
        assert journal.read("a") == {"a": ("same", 1)}


@pytest.mark.usefixtures("hasty")
def test_a_write_that_arrives_late_changes_nothing(fragile: Cluster, tmp_path: Path) -> None:
    with way_to(fragile.members[0]) as way:
        journal = over(tmp_path, way, *fragile.members[1:])
        way.hold = True
        assert journal.swap(("a", "1", 0)), "made over another member"
        assert way.held.is_set()
        assert journal.swap(("a", "2", 1))
        way.release.set()
        assert way.arrived.wait(5), "the first request has reached its member now"
        assert journal.read("a") == {"a": ("2", 2)}


def test_a_write_that_nobody_knows_of_is_neither_made_nor_not_made(
    fragile: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_gateway, "PATIENCE", 1.0)
    with way_to(fragile.members[0]) as way:
        journal = over(tmp_path, way)
        way.lose = 1000
        with pytest.raises(JournalUnavailable, match="may still be carried out"):
            journal.swap(("a", "1", 0))
        way.lose = 0
        assert journal.read("a") == {"a": ("1", 1)}, "it was made, and False would have been a lie"


@pytest.mark.usefixtures("hasty")
def test_a_lost_answer_that_others_have_written_over_stays_unknown(fragile: Cluster, tmp_path: Path) -> None:
    with way_to(fragile.members[0]) as way:
        journal, other = over(tmp_path, way, *fragile.members[1:]), over(tmp_path, fragile.members[1])
        way.hold = True
        said: list[str] = []

        def write() -> None:
            try:
                journal.swap(("a", "mine", 0))
            except JournalUnavailable as error:
                said.append(str(error))

        thread = threading.Thread(target=write)
        thread.start()
        assert way.held.wait(5)
        assert other.swap(("a", "1", 0))
        assert other.swap(("a", "2", 1))
        thread.join()
        assert "nobody knows whether it was made" in said[0]


def test_a_claim_whose_answer_was_lost_is_one_claim(fragile: Cluster, tmp_path: Path) -> None:
    with way_to(fragile.members[0]) as way:
        journal = over(tmp_path, way, *fragile.members[1:])
        of, group = plan(journal.id), Group(journal, "demo")
        way.lose = 1
        claimed = group.claim(of, execution(1, of))
        assert not isinstance(claimed, str)
        assert way.lose == 0
        assert [entry.what for entry in audit.entries(journal)] == ["claimed"]
        assert audit.verify(journal) is None


def test_a_client_that_is_cut_off_is_told_in_time(
    fragile: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with way_to(fragile.members[0]) as first, way_to(fragile.members[1]) as second:
        journal = over(tmp_path, first, second)
        assert journal.swap(("a", "1", 0))
        monkeypatch.setattr(etcd_gateway, "PATIENCE", 1.5)
        monkeypatch.setattr(etcd_gateway, "TRY", 0.5)
        first.cut = second.cut = True
        began = time.monotonic()
        with pytest.raises(JournalUnavailable, match="in time"):
            journal.read("a")
        assert time.monotonic() - began < 3
        second.cut = False
        assert journal.swap(("a", "2", 1)), "one way is enough"


# ---- what stands there


@pytest.mark.usefixtures("hasty")
def test_members_of_two_clusters_are_no_journal(etcd_cluster: Cluster, fragile: Cluster, tmp_path: Path) -> None:
    journal = over(tmp_path, etcd_cluster.members[0])
    with way_to(etcd_cluster.members[0]) as way:
        mixed = over(tmp_path, way, fragile.members[0])
        assert mixed.id == journal.id
        way.cut = True
        with pytest.raises(JournalUnavailable, match="two clusters"):
            mixed.read("a")


def test_a_cluster_put_back_to_an_older_state_is_noticed(tmp_path: Path) -> None:
    with etcd.cluster(etcd_binary.find(), tmp_path / "etcd", size=1) as single:
        (member,) = single.members
        journal = over(tmp_path, member)
        data, backup = member.directory / "data", tmp_path / "backup"
        assert journal.swap(("a", "1", 0))
        member.kill()
        shutil.copytree(data, backup)
        single.recover()
        assert journal.swap(("a", "2", 1))
        member.kill()
        shutil.rmtree(data)
        shutil.copytree(backup, data)
        single.recover()
        for use in (lambda: journal.read("a"), lambda: journal.swap(("a", "x", 1))):
            with pytest.raises(JournalUnavailable, match="older state"):
                use()


def test_what_another_hand_wrote_is_named(journal: EtcdJournal, etcd_cluster: Cluster, tmp_path: Path) -> None:
    key = f"{prefix_of(tmp_path)}/group/demo"
    body = json.dumps({"key": b64encode(key.encode()).decode(), "value": b64encode(b"{}").decode()}).encode()
    urllib.request.urlopen(f"http://{etcd_cluster.addresses[0]}/v3/kv/put", body, timeout=10).close()
    with pytest.raises(JournalUnavailable, match="group/demo"):
        journal.read("group/")


def test_what_is_too_large_is_refused_with_the_way_out(journal: EtcdJournal) -> None:
    with pytest.raises(JournalUnavailable, match="max-request-bytes"):
        journal.swap(("a", "x" * 3_000_000, 0))
    assert journal.swap(("a", "1", 0))


def test_a_web_server_that_is_no_etcd_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from http.server import HTTPServer, SimpleHTTPRequestHandler

    monkeypatch.setattr(etcd_gateway, "PATIENCE", 0.5)
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        with pytest.raises(JournalUnavailable, match=f"127.0.0.1:{server.server_port} answered 501"):
            EtcdJournal(Gateway([f"127.0.0.1:{server.server_port}"], Access()), "x")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_page_is_smaller_than_what_is_read_in_the_contract() -> None:
    assert etcd_journal.PAGE < 2100, "so that reading in pages is tested there"


def test_names_are_looked_up_within_the_time_and_remembered(
    etcd_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [f"localhost:{member.client}" for member in etcd_cluster.members]
    journal = EtcdJournal.create(Gateway(members, Access()), prefix_of(tmp_path))
    real, asked = socket.getaddrinfo, threading.Event()

    def lost(host: str, *more: Any, **others: Any) -> Any:
        if host == "localhost" and not others.get("flags"):
            asked.set()
            time.sleep(5)  # as the system's resolver does when no name server answers
        return real(host, *more, **others)

    monkeypatch.setattr(socket, "getaddrinfo", lost)
    monkeypatch.setattr(etcd_gateway, "IDLE", 0.0)
    assert journal.swap(("a", "1", 0)), "by the address that it had last"
    assert asked.is_set()
    monkeypatch.setattr(etcd_gateway, "PATIENCE", 1.0)
    began = time.monotonic()
    with pytest.raises(JournalUnavailable, match="localhost could not be looked up in time"):
        EtcdJournal(Gateway(members, Access()), prefix_of(tmp_path))
    assert time.monotonic() - began < 2.5
