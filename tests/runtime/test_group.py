"""A group's record in the journal: who may claim it, who may go on, and what other groups may touch meanwhile."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.errors import GuardRefused, JournalUnavailable
from orchestrator.domain.ledger import Attempt, Gone, GroupRecord, Request
from orchestrator.domain.outcome import Failed, Refused, Unknown
from orchestrator.domain.plan import Plan, Want
from orchestrator.ports import Journal
from orchestrator.runtime import audit
from orchestrator.runtime.etcd_gateway import Access, Gateway
from orchestrator.runtime.etcd_journal import EtcdJournal
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal
from tests.domain import runbooks
from tests.etcd import Cluster
from tests.runtime.scripted import MACHINE, OFF, ON, execution, gone, plan


@pytest.fixture(params=["sqlite", "etcd"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Journal]:
    """Makes the journal of the test, or opens it once more, in another process as well."""
    if request.param == "sqlite":
        return lambda: SqliteJournal.create(tmp_path / "journal.db")
    cluster: Cluster = request.getfixturevalue("etcd_cluster")
    prefix = f"test/{uuid.uuid4().hex}"
    return lambda: EtcdJournal.create(Gateway(cluster.addresses, Access()), prefix)


@pytest.fixture
def journal(reopen: Callable[[], Journal]) -> Journal:
    return reopen()


@pytest.fixture
def demo(journal: Journal) -> Plan:
    return plan(journal.id)


def claimed(group: Group, of: Plan, number: int = 1, displaced: Gone | None = None) -> GroupRecord:
    found = group.claim(of, execution(number, of), displaced)
    assert isinstance(found, GroupRecord), found
    return found


def request(n: int = 1, epoch: int = 1, at: float = 100.0) -> Request:
    want = Want(resource=MACHINE, component="db", site="left", desired=OFF)
    return Request(attempt=Attempt(epoch=epoch, step="db.fence", method=0, n=n), want=want, before=ON, at=at)


def named(of: Plan, name: str) -> Plan:
    return of.model_copy(update={"group": name})


def test_a_group_that_nobody_knows_is_at_epoch_0(journal: Journal) -> None:
    record = Group(journal, "new").record()
    assert (record.group, record.epoch, record.execution) == ("new", 0, None)
    assert journal.read("group/") == {}, "looking leaves nothing behind"


def test_each_execution_claims_the_next_epoch(journal: Journal, demo: Plan) -> None:
    group = Group(journal, "demo")
    assert claimed(group, demo, 1).epoch == 1
    group.close(demo, 1, clean=True, detail={})
    assert claimed(group, demo, 2).epoch == 2
    assert [entry.what for entry in audit.entries(journal)] == ["claimed", "finished", "claimed"]


def test_claiming_twice_is_claiming_once(journal: Journal, demo: Plan) -> None:
    group = Group(journal, "demo")
    assert claimed(group, demo).epoch == claimed(group, demo).epoch == 1


def test_a_second_execution_is_refused_with_the_holders_name(journal: Journal, demo: Plan) -> None:
    group = Group(journal, "demo")
    claimed(group, demo, 1)
    refused = group.claim(demo, execution(2, demo))
    assert isinstance(refused, str)
    assert "e1, forced to right, started by ann" in refused


def test_a_holder_that_is_gone_is_replaced_and_its_doubts_are_inherited(journal: Journal, demo: Plan) -> None:
    group = Group(journal, "demo")
    claimed(group, demo, 1)
    group.enter(request(), demo.digest, "ann")
    record = claimed(group, demo, 2, gone(1))
    assert record.epoch == 2
    assert [doubt.attempt.epoch for doubt in record.doubts] == [1]
    with pytest.raises(GuardRefused, match="epoch 1 of demo is over"):
        group.enter(request(n=2), demo.digest, "ann")


def test_what_an_older_execution_writes_late_changes_nothing_of_the_newer(journal: Journal, demo: Plan) -> None:
    group = Group(journal, "demo")
    claimed(group, demo, 1)
    claimed(group, demo, 2, gone(1))
    with pytest.raises(GuardRefused, match="a newer execution has taken over"):
        group.close(demo, 1, clean=True, detail={})
    record = group.record()
    assert record.execution is not None
    assert record.execution.id == "e2"


def test_a_run_that_was_reset_speaks_for_nobody_though_its_epoch_and_attempts_are_the_others(
    journal: Journal, demo: Plan
) -> None:
    holder, reset = Group(journal, "demo", "e1"), Group(journal, "demo", "e1-reset")
    claimed(holder, demo, 1)
    holder.enter(request(), demo.digest, "ann")
    before = holder.record()
    assert (holder.superseded(), len(before.doubts)) == (None, 1)
    for asks in (
        lambda: reset.enter(request(n=2), demo.digest, "ann"),
        lambda: reset.revoke_older(request(n=2).attempt, MACHINE),
        lambda: reset.release("db", "left", "ann", demo.digest),
        lambda: reset.close(demo, 1, clean=True, detail={}),
    ):
        with pytest.raises(GuardRefused, match=r"demo is held by e1, .*, and not by e1-reset"):
            asks()
    reset.close_attempt(request().attempt, Refused(why="no"), "ann", demo.digest)  # the name of the other's doubt
    reset.keep_token(MACHINE, "operation-7")
    assert holder.record() == before
    holder.close_attempt(request().attempt, Refused(why="no"), "ann", demo.digest)
    assert holder.record().doubts == ()


def test_of_many_executions_in_processes_exactly_one_claims(
    journal: Journal, reopen: Callable[[], Journal], demo: Plan
) -> None:
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()

    def race(number: int) -> None:
        own = Group(reopen(), "demo")
        barrier.wait()
        found = own.claim(demo, execution(number, demo))
        answers.put((number, found if isinstance(found, str) else found.epoch))

    processes = [context.Process(target=race, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    found = dict(answers.get() for _ in processes)
    for process in processes:
        process.join()
    winners = [number for number, answer in found.items() if answer == 1]
    assert len(winners) == 1
    losers = [str(answer) for number, answer in found.items() if number not in winners]
    assert all(f"held by e{winners[0]}" in answer for answer in losers)
    assert audit.verify(journal) is None


def test_guards_of_many_processes_never_let_an_older_attempt_follow_a_newer(
    journal: Journal, reopen: Callable[[], Journal], demo: Plan
) -> None:
    group, context = Group(journal, "demo"), multiprocessing.get_context("fork")
    claimed(group, demo)
    barrier = context.Barrier(4)

    def race(n: int) -> None:
        own = Group(reopen(), "demo")
        barrier.wait()
        try:
            own.enter(request(n=n), demo.digest, "ann")
        except GuardRefused:
            return

    processes = [context.Process(target=race, args=(n,)) for n in range(1, 5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    entered = [r.attempt.n for r in group.record().issued]
    assert entered == sorted(entered)
    assert entered[-1] == 4


def test_a_plan_made_for_another_journal_is_refused(journal: Journal) -> None:
    other = plan("f" * 32)
    refused = Group(journal, "demo").claim(other, execution(1, other))
    assert isinstance(refused, str)
    assert "plan again" in refused
    assert journal.read("group/") == {}


def test_two_groups_never_change_one_thing_at_the_same_time(journal: Journal, demo: Plan) -> None:
    mine, theirs = Group(journal, "demo"), Group(journal, "other")
    claimed(mine, demo)
    refused = theirs.claim(named(demo, "other"), execution(7, named(demo, "other")))
    assert isinstance(refused, str)
    assert "in use by the group demo" in refused
    assert theirs.record().epoch == 0, "nothing was claimed"
    mine.close(demo, 1, clean=True, detail={})
    assert claimed(theirs, named(demo, "other"), 7).epoch == 1


def held(journal: Journal, name: str) -> set[str]:
    return {key for key, (holder, _) in journal.read("held/").items() if holder == name}


def test_a_record_is_one_thing_however_a_runbook_handles_it(journal: Journal) -> None:
    slower = runbooks.SHOP.replace("ttl: 5s", "ttl: 30s").replace("record: db.shop.test", "record: DB.shop.test.")
    mine, theirs = (
        runbooks.planned(runbooks.runbook(text), "forced", "right").model_copy(update={"journal": journal.id})
        for text in (runbooks.SHOP, slower)
    )
    only_the_name = tuple(step for step in theirs.steps if step.component == "name")
    theirs = theirs.model_copy(update={"group": "other", "steps": only_the_name})
    claimed(Group(journal, "demo"), mine)
    refused = Group(journal, "other").claim(theirs, execution(7, theirs))
    assert isinstance(refused, str)
    assert "rfc2136.record/db.shop.test is in use by the group demo" in refused


def test_what_is_in_doubt_is_held_beyond_the_end(journal: Journal, demo: Plan) -> None:
    group = Group(journal, "demo")
    claimed(group, demo)
    group.enter(request(), demo.digest, "ann")
    group.close(demo, 1, clean=False, detail={})
    (key,) = held(journal, "demo")
    assert key.startswith("held/fence_agents.machine/")
    settled = group.claim(demo, execution(2, demo), None, {MACHINE: 1e9})
    assert isinstance(settled, GroupRecord)
    group.close(demo, 2, clean=True, detail={})
    assert held(journal, "demo") == set()


def test_a_plan_that_has_changed_since_a_terminate_lets_go_what_it_no_longer_changes(
    journal: Journal, demo: Plan
) -> None:
    group, only_the_fence = Group(journal, "demo"), {MACHINE: demo.resources[MACHINE]}
    smaller = demo.model_copy(update={"steps": demo.of_kind("fence"), "resources": only_the_fence})
    claimed(group, demo, 1)
    before = held(journal, "demo")
    claimed(group, smaller, 2, gone(1))
    assert held(journal, "demo") < before
    claimed(group, demo, 3, gone(2))
    group.enter(request(epoch=3), demo.digest, "ann")
    claimed(group, smaller, 4, gone(3))
    assert held(journal, "demo") == before, "nobody knows how far what is in doubt has come"


def test_groups_without_a_thing_in_common_do_not_wait_for_each_other(journal: Journal, demo: Plan) -> None:
    claimed(Group(journal, "demo"), demo)
    shop = runbooks.planned(runbooks.runbook(runbooks.SHOP), "forced", "right")
    claimed(Group(journal, "shop"), shop.model_copy(update={"journal": journal.id}), 5)


def test_a_doubt_closes_by_its_own_answer_only(journal: Journal, demo: Plan) -> None:
    group = Group(journal, "demo")
    claimed(group, demo)
    group.enter(request(n=1), demo.digest, "ann")
    group.enter(request(n=2), demo.digest, "ann")
    group.close_attempt(request(n=1).attempt, Unknown(why="?"), "ann", demo.digest)
    group.close_attempt(request(n=2).attempt, Failed(why="no"), "ann", demo.digest)
    record = group.record()
    assert [doubt.attempt.n for doubt in record.doubts] == [1]
    assert [r.attempt.n for r in record.issued] == [1]


def test_old_doubts_are_settled_at_the_claim_by_what_the_checks_have_read(journal: Journal, demo: Plan) -> None:
    group, late = Group(journal, "demo"), demo.resources[MACHINE].late_effect
    assert late is not None
    claimed(group, demo, 1)
    group.enter(request(at=100.0), demo.digest, "ann")
    group.close(demo, 1, clean=False, detail={})
    early = group.claim(demo, execution(2, demo), None, {MACHINE: 100.0 + late})
    assert isinstance(early, GroupRecord)
    assert len(early.doubts) == 1
    group.close(demo, 2, clean=False, detail={})
    later = group.claim(demo, execution(3, demo), None, {MACHINE: 100.1 + late})
    assert isinstance(later, GroupRecord)
    assert later.doubts == ()


def test_a_damaged_record_is_unavailable_and_not_an_empty_one(journal: Journal, demo: Plan) -> None:
    journal.swap(("group/demo", "{", 0))
    group = Group(journal, "demo")
    with pytest.raises(JournalUnavailable, match="demo"):
        group.claim(demo, execution(1, demo), gone(7))


def test_a_release_lifts_every_fence_of_the_place_and_no_other(journal: Journal, demo: Plan) -> None:
    group = Group(journal, "demo")
    claimed(group, demo)
    group.enter(request(), demo.digest, "ann")
    group.release("db", "right", "ann", demo.digest)
    assert group.record().fenced == {MACHINE: "left"}
    group.release("db", "left", "ann", demo.digest)
    assert group.record().fenced == {}
