"""The journal on etcd while its members cannot hear each other: nobody reads what is old or writes what is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain.errors import JournalUnavailable
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Done, Refused
from orchestrator.runtime import etcd_gateway
from orchestrator.runtime.effect import perform
from orchestrator.runtime.etcd_gateway import Access, Gateway
from orchestrator.runtime.etcd_journal import EtcdJournal
from orchestrator.runtime.group import Group
from tests import etcd_binary
from tests.e2e.lab.quorum import Quorum, quorum
from tests.etcd import START_LIMIT, Member, within
from tests.runtime.scripted import Switch, execution, gone, order, plan

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quorum]:
    with quorum(etcd_binary.find(), tmp_path_factory.mktemp("quorum")) as found:
        yield found


@pytest.fixture
def members(lasting: Quorum) -> Iterator[Quorum]:
    yield lasting
    lasting.recover()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_gateway, "PATIENCE", 4.0)


def over(place: Path, *asked: Member) -> EtcdJournal:
    """The journal of this test, for a client that knows these members only."""
    return EtcdJournal.create(Gateway([member.address for member in asked], Access()), f"test/{place.name}")


def answers(journal: EtcdJournal) -> bool:
    try:
        journal.read("a")
    except JournalUnavailable:
        return False
    return True


def one_of(members: Quorum, which: str) -> tuple[Member, list[Member]]:
    """The member to cut off, and the others."""
    chosen = members.leader if which == "leader" else members.followers[0]
    return chosen, [member for member in members.members if member is not chosen]


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_client_of_a_member_that_is_cut_off_reads_nothing_old_and_writes_nothing(
    members: Quorum, tmp_path: Path, which: str
) -> None:
    lonely, others = one_of(members, which)
    here, there = over(tmp_path, lonely), over(tmp_path, *others)
    assert here.swap(("a", "1", 0)), "positive control: it is served as long as it is not cut off"
    with members.cut(lonely):
        assert there.swap(("a", "2", 1)), "most members go on"
        with pytest.raises(JournalUnavailable):
            here.read("a")
        with pytest.raises(JournalUnavailable):
            here.swap(("b", "1", 0))
        with pytest.raises(JournalUnavailable):
            here.swap(("a", "mine", 1))
        assert there.read("") == there.read("")
        assert there.read("b") == {}
        assert there.read("a") == {"a": ("2", 2)}
    within(START_LIMIT, lambda: answers(here), "the member that is back serves its client")
    time.sleep(1)  # the time for what had waited
    assert here.read("a") == there.read("a") == {"a": ("2", 2)}, "what was told unknown lost against what was made"
    assert here.swap(("a", "3", 2))


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_client_that_knows_all_members_goes_on(members: Quorum, tmp_path: Path, which: str) -> None:
    lonely, others = one_of(members, which)
    journal = over(tmp_path, lonely, *others)
    assert journal.swap(("a", "1", 0))
    with members.cut(lonely):
        assert journal.read("a") == {"a": ("1", 1)}
        assert journal.swap(("a", "2", 1))
    assert over(tmp_path, lonely).read("a") == {"a": ("2", 2)}


def test_a_guard_that_speaks_to_a_member_that_is_cut_off_lets_nothing_through(members: Quorum, tmp_path: Path) -> None:
    lonely, others = one_of(members, "leader")
    here, there = over(tmp_path, lonely), over(tmp_path, *others)
    of = plan(here.id)
    group = Group(here, of.group, "e1")
    assert isinstance(group.claim(of, execution(1, of)), GroupRecord)
    switch, attempt = Switch(), order(of, timeout=20.0)
    with members.cut(lonely):
        outcome = perform(group, switch, attempt)
        assert isinstance(outcome, Refused), outcome
        assert switch.applied == 0
        newer = Group(there, of.group).claim(of, execution(2, of), gone(1))
        assert isinstance(newer, GroupRecord), newer
        assert newer.doubts == ()
    outcome = perform(group, switch, attempt)
    assert isinstance(outcome, Refused), "it was overtaken while it could not ask"
    assert switch.applied == 0
    mine = Group(here, of.group, "e2")
    assert isinstance(perform(mine, switch, order(of, epoch=2, timeout=20.0)), Done), "positive control"
    assert switch.applied == 1


def test_a_guard_that_is_cut_off_between_its_look_and_its_request_sends_nothing(
    members: Quorum, tmp_path: Path
) -> None:
    lonely, _ = one_of(members, "leader")
    here = over(tmp_path, lonely)
    of = plan(here.id)
    group = Group(here, of.group, "e1")
    assert isinstance(group.claim(of, execution(1, of)), GroupRecord)
    cut = members.cut(lonely)
    switch = Switch(before_guard=cut.__enter__)
    try:
        outcome = perform(group, switch, order(of, timeout=90.0))
    finally:
        cut.__exit__(None, None, None)
    assert isinstance(outcome, Refused), outcome
    assert "the guard cannot read the journal and lets nothing through" in outcome.why
    assert switch.applied == 0


def test_a_member_that_was_killed_and_is_back_knows_what_was_written_meanwhile(members: Quorum, tmp_path: Path) -> None:
    killed, others = one_of(members, "follower")
    journal = over(tmp_path, *members.members)
    assert journal.swap(("a", "1", 0))
    killed.kill()
    assert journal.swap(("a", "2", 1))
    members.recover()
    assert over(tmp_path, killed).read("a") == {"a": ("2", 2)}
    others[0].kill()
    assert journal.swap(("a", "3", 2)), "with the one that is back there are enough"
    assert over(tmp_path, killed).read("a") == {"a": ("3", 3)}
