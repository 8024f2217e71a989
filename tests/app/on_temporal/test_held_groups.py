"""A group that an execution holds which is not this one: whether it is told, and when it is taken over (I6)."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
import time
import uuid
from collections.abc import Callable

import pytest

from orchestrator.app.break_glass.kept import Kept, new_id
from orchestrator.app.break_glass.opening import Held, Order
from orchestrator.app.break_glass.process import this
from orchestrator.app.cli.breaking_glass import broken_glass
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.running import begun
from orchestrator.app.cli.status import commands, lines, picture
from orchestrator.app.connection import connect
from orchestrator.app.executions import Executions
from orchestrator.app.holders import Holders
from orchestrator.app.settings import Settings
from orchestrator.app.situation import look
from orchestrator.app.temporal_server import EmbeddedServer
from orchestrator.domain.derivation import derive
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.runtime import audit
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal
from tests.app.on_temporal.shop import Shop
from tests.workflows.toy.provider import CATALOG
from tests.workflows.toy.worker import composition
from workflows.messages import FailoverRequest


@pytest.mark.parametrize("lives", [True, False])
def test_temporal_never_takes_a_group_from_a_break_glass_process_that_lives(shop: Shop, lives: bool) -> None:
    journal = SqliteJournal(shop.directory / "journal.db")
    plan = derive(composition(shop.directory).library.runbook(shop.group), CATALOG, "az-b", "forced", journal.id)
    held = Execution(
        id=new_id(shop.group), who="bob", plan=plan.digest, mode="forced", target="az-b", since=time.time()
    )
    Kept.begin(journal, plan, held, "", Group(journal, shop.group).record())  # driven by this very process
    assert not isinstance(Group(journal, shop.group).claim(plan, held), str)
    if not lives:
        dead = this().model_copy(update={"started": "0"}).model_dump_json()
        assert journal.swap((f"{held.id}/process", dead, 1))
    arguments = ("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", plan.hash)
    assert shop.tideover(*arguments) is (ExitCode.NOT_READY if lives else ExitCode.DONE), shop.err
    refused = [entry for entry in audit.entries(journal) if entry.what == "refused"]
    assert (f"{shop.group} is held by {held.id}" in shop.err) is bool(refused) is lives
    assert bool(shop.world.effects()) is not lives


@pytest.mark.parametrize("home", ["", "b5d0c4f2"])
def test_what_another_temporal_holds_is_told_and_taken_over_by_a_persons_word_only(shop: Shop, home: str) -> None:
    """As after its database was lost: whether another one has it, and runs on, nobody here can know."""
    journal = SqliteJournal(shop.directory / "journal.db")
    plan = derive(composition(shop.directory).library.runbook(shop.group), CATALOG, "az-b", "forced", journal.id)
    left = Execution(
        id=f"failover/{shop.group}#{uuid.uuid4()}", who="bob", plan=plan.digest, mode="forced", target="az-b",
        since=time.time(), home=home,
    )  # fmt: skip
    group = Group(journal, shop.group)
    assert not isinstance(group.claim(plan, left), str)
    want = plan.step("db.fence").wants[0]
    attempt = Attempt(epoch=1, step="db.fence", method=0, n=1)
    group.enter(Request(attempt=attempt, want=want, before=None, at=time.time()), plan.digest, "bob")
    shop.tideover("doctor", "--output", "json")
    told = next(check for check in json.loads(shop.out) if left.id in check["found"])
    assert told["level"] == "fail"
    assert "which this Temporal does not know; db@az-a:toy: power off may still take effect" in told["found"]
    assert "--holder-is-gone" in told["way_out"]
    assert f"held by {left}, which this Temporal does not know" in status(shop)
    arguments = ("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", plan.hash)
    proposed = proposals(shop)
    assert proposed
    assert all(command.endswith(' --holder-is-gone "..."') for command in proposed)
    assert not any("--break-glass" in command for command in proposed)
    assert shop.tideover(*arguments) is ExitCode.NOT_READY
    assert f"{shop.group} is held by {left}; whether it runs cannot be told from here" in shop.err
    assert "start again with --holder-is-gone 'why'" in shop.err
    assert (shop.world.effects(), group.record().epoch) == ([], 1)
    assert shop.tideover(*arguments, "--by", "ann", "--holder-is-gone", "its database burnt") is ExitCode.DONE, shop.err
    assert displaced(journal) == [(left.id, "ann: its database burnt")]


def test_what_this_temporal_has_forgotten_of_its_own_has_ended(shop: Shop, temporal_env: EmbeddedServer) -> None:
    """Positive control of the test above: a namespace forgets nothing that runs."""
    journal = SqliteJournal(shop.directory / "journal.db")
    plan = derive(composition(shop.directory).library.runbook(shop.group), CATALOG, "az-b", "forced", journal.id)
    left = Execution(
        id=f"failover/{shop.group}#{uuid.uuid4()}", who="bob", plan=plan.digest, mode="forced", target="az-b",
        since=time.time(), home=asyncio.run(_home(temporal_env.address, journal)),
    )  # fmt: skip
    assert not isinstance(Group(journal, shop.group).claim(plan, left), str)
    shop.tideover("doctor", "--output", "json")
    told = next(check for check in json.loads(shop.out) if left.id in check["found"])
    assert "which has ended without its end" in told["found"]
    assert f"held by {left}, which has ended without its end" in status(shop)
    assert [command.partition("--")[2] for command in proposals(shop)] == ["to az-b --mode planned"]
    arguments = ("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", plan.hash)
    assert shop.tideover(*arguments) is ExitCode.DONE, shop.err
    assert displaced(journal) == [(left.id, "it runs no more")]


def test_what_runs_is_told_as_running_by_this_temporal_only(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.world.break_("db@az-a:toy", "sent", "hang")
    shop.tideover(*failover(shop), "--detach")
    until(shop, lambda: bool(ledger(shop).doubts))
    assert f"held by {ledger(shop).execution}, which runs" in status(shop)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
        assert f"held by {ledger(shop).execution}; whether that runs cannot be asked" in status(shop)
        without = proposals(shop)
        assert f'tideover run {shop.group} --to az-b --mode planned --break-glass --holder-is-gone "..."' in without
        assert all(command.endswith(' --break-glass --holder-is-gone "..."') for command in without)
        elsewhere.setenv("TEMPORAL_PROFILE", "nope")  # no connection is configured: that tells of nothing either
        assert f"held by {ledger(shop).execution}; whether that runs cannot be asked" in status(shop)
    shop.world.mend()
    assert shop.tideover("follow", shop.group) is ExitCode.DONE, shop.err


def test_while_no_worker_answers_for_what_runs_nothing_is_proposed_that_would_be_refused(
    shop: Shop, temporal_env: EmbeddedServer
) -> None:
    async def start() -> None:
        executions = Executions(await connect(address=temporal_env.address), temporal_env.ui, queue="nobody polls it")
        await begun(executions, "Failover", FailoverRequest(runbook=shop.group, to="az-b", mode="forced"))

    asyncio.run(start())
    assert "no worker polls the queue 'nobody polls it'" in shop.captured.readouterr().err
    assert proposals(shop) == ["tideover worker", f"tideover follow {shop.group}"]
    missing = re.compile("no worker (polls|answers on) the queue 'tideover'")
    until(shop, lambda: missing.search(status(shop)) is not None)  # where Temporal is slow, it says that first
    asyncio.run(_terminate(temporal_env.address, f"failover/{shop.group}"))
    assert proposals(shop) == [f"tideover run {shop.group} --to az-b --mode planned"]


def test_break_glass_takes_nothing_from_what_temporal_says_that_it_runs(
    shop: Shop, temporal_env: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.world.break_("db@az-a:toy", "sent", "hang")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    shop.tideover(*failover(shop), "--detach")
    until(shop, lambda: bool(ledger(shop).doubts))
    for word in ("", "I am sure that it burnt"):
        with pytest.raises(Held, match=f"says that it runs.* `tideover abort {shop.group}` or Terminate"):
            broken_glass_at(shop, word)
    assert ledger(shop).epoch == 1
    asyncio.run(_terminate(temporal_env.address, f"failover/{shop.group}"))
    shop.world.mend()
    with pytest.raises(Held, match="it has ended without its end: start without --break-glass"):
        broken_glass_at(shop, "")
    assert broken_glass_at(shop, "I have terminated it") is ExitCode.DONE
    assert displaced(SqliteJournal(shop.directory / "journal.db"))[0][1] == "ann: I have terminated it"


def broken_glass_at(shop: Shop, word: str) -> ExitCode:
    """The same failover in this process. `word`: why the holder is gone."""
    order = Order(shop.group, "az-b", "forced", "ann", holder_is_gone=word)
    return broken_glass(composition(shop.directory).actor, order, shop.hash("az-b", "forced"))


def displaced(journal: SqliteJournal) -> list[tuple[object, object]]:
    """Whom claims have displaced, and how it was known that they run no more: as the audit trail tells."""
    claims = [entry.detail for entry in audit.entries(journal) if entry.what == "claimed"]
    return [(claim["displaced"], claim["why"]) for claim in claims if "displaced" in claim]


async def _home(address: str, journal: SqliteJournal) -> str:
    client = await connect(address=address)
    return await Holders(lambda: client, journal).home()


def test_a_terminated_execution_is_told_with_what_it_left_behind(shop: Shop, temporal_env: EmbeddedServer) -> None:
    shop.world.break_("db@az-a:toy", "sent", "hang")
    plan = shop.hash("az-b", "forced")
    shop.tideover("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", plan, "--detach")
    until(shop, lambda: bool(ledger(shop).doubts))
    asyncio.run(_terminate(temporal_env.address, f"failover/{shop.group}"))
    assert shop.tideover("follow", shop.group) is ExitCode.HUMAN_NEEDED
    assert "it was terminated in Temporal: nothing was undone" in shop.err
    shop.tideover("doctor", "--output", "json")
    told = next(check for check in json.loads(shop.out) if check["name"] == shop.group and "held" in check["found"])
    assert told["level"] == "fail"
    assert "which has ended without its end; db@az-a:toy: power off may still take effect" in told["found"]
    shop.world.mend()
    assert {("forced", "az-b"), ("unfence", "az-a")} <= possible(shop), "nothing was promoted: back is a way as well"
    assert shop.tideover("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", plan) is ExitCode.DONE
    assert ("unfence", "az-a") not in possible(shop), "its successor serves (I9)"


def failover(shop: Shop) -> tuple[str, ...]:
    """The command of a forced failover that is approved."""
    return ("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", shop.hash("az-b", "forced"))


def ledger(shop: Shop) -> GroupRecord:
    return Group(SqliteJournal(shop.directory / "journal.db"), shop.group).record()


def until(shop: Shop, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, shop.err
        time.sleep(0.05)


def status(shop: Shop) -> str:
    """What `tideover status` tells of the group."""
    runbook = composition(shop.directory).library.runbook(shop.group)
    return "\n".join(line.text for line in lines(*picture(runbook, Settings(), CATALOG)))


def proposals(shop: Shop) -> list[str]:
    """The commands that `tideover status` proposes."""
    runbook = composition(shop.directory).library.runbook(shop.group)
    return [command for command, _ in commands(*picture(runbook, Settings(), CATALOG))]


def possible(shop: Shop) -> set[tuple[str, str]]:
    """What may be started now."""
    made = composition(shop.directory)
    record = Group(made.journal, shop.group).record()
    found = look(made.library.runbook(shop.group), made.adapters, record, made.journal.id)
    return {(move.mode, move.to) for move in found.moves if not move.blocked}


async def _terminate(address: str, workflow_id: str) -> None:
    await (await connect(address=address)).get_workflow_handle(workflow_id).terminate()
