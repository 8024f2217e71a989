"""Executions started, steered and followed by the command line, on a real Temporal server and a toy world."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.app.break_glass.kept import Kept, new_id
from orchestrator.app.break_glass.process import this
from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.connection import connect
from orchestrator.app.holders import Holders
from orchestrator.app.journals import make_journal, open_journal
from orchestrator.app.settings import Settings
from orchestrator.app.situation import look
from orchestrator.app.temporal_server import EmbeddedServer
from orchestrator.app.worker import build_worker
from orchestrator.domain.audit import Checkpoint
from orchestrator.domain.derivation import derive
from orchestrator.domain.ledger import Attempt, Execution, Request
from orchestrator.domain.plan import PlanMode
from orchestrator.runtime import audit
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal
from tests.etcd import Cluster
from tests.workflows.stage import RUNBOOK
from tests.workflows.toy.provider import CATALOG
from tests.workflows.toy.worker import composition
from tests.workflows.toy.world import VARIABLE, World
from workflows.plugin import TASK_QUEUE


@dataclass
class Shop:
    """A group with a worker of its own, and what the command line said last."""

    group: str
    directory: Path
    world: World
    captured: pytest.CaptureFixture[str]
    journal: str
    out: str = ""
    err: str = ""

    def tideover(self, *arguments: str) -> ExitCode:
        """The exit code of the command; `out` and `err` hold what it printed."""
        code = run(arguments)
        self.out, self.err = self.captured.readouterr()
        return code

    def hash(self, to: str, mode: PlanMode) -> str:
        """The hash of the plan, as `tideover plan` would show it."""
        made = composition(self.directory, self.journal)
        return derive(made.library.runbook(self.group), CATALOG, to, mode, made.journal.id).hash

    def begun(self) -> None:
        """A forced failover waits for its approval."""
        assert self.tideover("run", self.group, "--to", "az-b", "--mode", "forced", "--detach") is ExitCode.DETACHED
        deadline = time.monotonic() + 60
        while "`plan` is '0'" not in self.err:  # what it says once its checks are done
            assert time.monotonic() < deadline, self.err
            arguments = ("approve", self.group, "--to", "az-b", "--plan", "0")
            assert self.tideover(*arguments) is ExitCode.NOT_APPROVED


@pytest.fixture
def journal(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """What TIDEOVER_JOURNAL says: a file, or three real members where a test is run on `etcd` as well."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return str(tmp_path / "journal.db")
    cluster: Cluster = request.getfixturevalue("etcd_cluster")
    return f"etcd://{','.join(cluster.addresses)}/{uuid.uuid4().hex}"


@pytest.fixture
def shop(
    temporal_env: EmbeddedServer,
    tmp_path: Path,
    journal: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shop]:
    group, world = f"shop-{uuid.uuid4().hex[:8]}", World.create(tmp_path / "world.db")
    assert make_journal(Settings(journal=journal))
    (tmp_path / f"{group}.yaml").write_text(RUNBOOK.format(group=group))
    (tmp_path / "credentials.toml").write_text('[toy-db]\npassword = "secret"\n')
    settings = {
        VARIABLE: str(world.path),
        "TEMPORAL_ADDRESS": temporal_env.address,
        "TIDEOVER_JOURNAL": journal,
        "TIDEOVER_UI": temporal_env.ui,
        "TIDEOVER_REPORTS": str(tmp_path / "reports"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with _worker(tmp_path, temporal_env.address, journal):
        yield Shop(group, tmp_path, world, capsys, journal)


@contextmanager
def _worker(directory: Path, address: str, journal: str) -> Iterator[None]:
    """A worker in a thread, since the command line runs a loop of its own."""
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def work() -> None:
        _, worker = await build_worker(composition(directory, journal), address, TASK_QUEUE)
        async with worker:
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(work(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()


@pytest.mark.parametrize("journal", ["sqlite", "etcd"], indirect=True)
def test_an_approved_hash_runs_to_its_end(shop: Shop) -> None:
    plan = shop.hash("az-b", "forced")
    arguments = ("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", plan, "--output", "json")
    assert shop.tideover(*arguments) is ExitCode.DONE, shop.err
    told = json.loads(shop.out)
    assert (told["end"], told["exit_code"], told["report"]) == ("SUCCEEDED", 0, f"{shop.group}-1")
    seen = Checkpoint.model_validate(told["checkpoint"])  # it stands in Temporal's history, which is kept elsewhere
    assert audit.verify(open_journal(Settings(journal=shop.journal)), [seen]) is None
    assert seen.number > 0
    assert f"/workflows/failover%2F{shop.group}/" in told["link"]
    assert "✔ db.promote" in shop.err
    assert shop.tideover("report", f"{shop.group}-1") is ExitCode.DONE
    assert [Path(line).suffix for line in shop.out.splitlines()] == [".html", ".md", ".json"]
    assert shop.tideover("report") is ExitCode.DONE
    assert shop.out.split() == [f"{shop.group}-1", "forced", "az-a", "→", "az-b", "SUCCEEDED"]


def test_another_hash_is_not_approved_and_nothing_is_left_running(shop: Shop) -> None:
    arguments = ("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", "0123456789ab")
    assert shop.tideover(*arguments) is ExitCode.NOT_APPROVED
    assert "not approved, nothing was changed: `plan` is '0123456789ab'" in shop.err
    assert shop.tideover("follow", shop.group) is ExitCode.ABORTED
    assert not shop.world.effects()
    assert shop.tideover("audit", "show", shop.group) is ExitCode.DONE
    assert "command=approve to=az-b plan=0123456789ab why=`plan` is '0123456789ab'" in shop.out


def test_a_second_operator_is_refused_with_the_holders_name(shop: Shop) -> None:
    shop.begun()
    assert shop.tideover("run", shop.group, "--to", "az-b", "--mode", "planned") is ExitCode.NOT_READY
    assert f"{shop.group} is held by failover/{shop.group}#" in shop.err
    assert f"tideover follow {shop.group}" in shop.err
    assert shop.tideover("resume", shop.group) is ExitCode.NOT_READY
    assert shop.err == "tideover: refused: it is not paused\n"
    assert shop.tideover("abort", shop.group, "--reason", "false alarm", "--by", "ann") is ExitCode.DONE
    assert shop.out == "abort taken from ann\n"
    assert shop.tideover("follow", shop.group) is ExitCode.ABORTED
    assert shop.tideover("abort", shop.group) is ExitCode.NOT_READY
    assert "this execution has ended" in shop.err


def test_an_approval_by_command_lets_it_go_on(shop: Shop) -> None:
    shop.begun()
    plan = shop.hash("az-b", "forced")
    assert shop.tideover("approve", shop.group, "--to", "az-b", "--plan", plan, "--by", "ann") is ExitCode.DONE
    assert shop.tideover("follow", shop.group) is ExitCode.DONE, shop.err
    assert "approved by ann" in shop.err


def test_checks_that_block_end_as_not_ready(shop: Shop) -> None:
    arguments = ("run", shop.group, "--to", "az-a", "--mode", "planned", "--output", "json")
    assert shop.tideover(*arguments) is ExitCode.NOT_READY
    told = json.loads(shop.out)
    assert told["end"] == "REFUSED"
    assert "is primary already" in told["why"]


def test_an_unknown_runbook_is_one_line_with_the_near_one(shop: Shop) -> None:
    assert shop.tideover("run", shop.group[:-1], "--to", "az-b", "--mode", "forced") is ExitCode.NOT_READY
    assert f"did you mean '{shop.group}'?" in shop.err
    assert "Traceback" not in shop.err


def test_ctrl_c_detaches_and_the_execution_goes_on(shop: Shop) -> None:
    argv = [sys.executable, "-m", "orchestrator.app.cli", "run", shop.group, "--to", "az-b", "--mode", "forced"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "AWAITING_APPROVAL" in line:
                process.send_signal(signal.SIGINT)
                break
        said = process.stderr.read()
        assert process.wait() == ExitCode.DETACHED
    assert f"come back with `tideover follow {shop.group}`" in said
    plan = shop.hash("az-b", "forced")
    assert shop.tideover("approve", shop.group, "--to", "az-b", "--plan", plan) is ExitCode.DONE
    assert shop.tideover("follow", shop.group) is ExitCode.DONE


def test_a_group_without_executions_says_how_to_start_one(shop: Shop) -> None:
    assert shop.tideover("pause", shop.group) is ExitCode.USAGE
    assert f"tideover run {shop.group}" in shop.err


def test_without_temporal_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    assert run(["run", "shop", "--to", "az-b", "--mode", "forced"]) is ExitCode.NOT_READY
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "127.0.0.1:1: Connection refused; start one with `tideover worker --embedded`" in told.err


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
    arguments = ("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", plan.hash)
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
    arguments = ("run", shop.group, "--to", "az-b", "--mode", "forced", "--approve", plan.hash)
    assert shop.tideover(*arguments) is ExitCode.DONE, shop.err
    assert displaced(journal) == [(left.id, "it runs no more")]


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
    deadline = time.monotonic() + 60
    while not Group(SqliteJournal(shop.directory / "journal.db"), shop.group).record().doubts:
        assert time.monotonic() < deadline, shop.err
        time.sleep(0.05)
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


def possible(shop: Shop) -> set[tuple[str, str]]:
    """What may be started now."""
    made = composition(shop.directory)
    record = Group(made.journal, shop.group).record()
    found = look(made.library.runbook(shop.group), made.adapters, record, made.journal.id)
    return {(move.mode, move.to) for move in found.moves if not move.blocked}


async def _terminate(address: str, workflow_id: str) -> None:
    await (await connect(address=address)).get_workflow_handle(workflow_id).terminate()


def test_a_worker_with_its_own_server_stops_when_it_is_told_to(tmp_path: Path) -> None:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = [str(probe.getsockname()[1]) for probe in (one, other)]
    tideover = [sys.executable, "-m", "orchestrator.app.cli"]
    subprocess.run([*tideover, "init"], cwd=tmp_path, check=True, capture_output=True)
    argv = [*tideover, "worker", "--embedded", "--port", ports[0], "--ui-port", ports[1]]
    with subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        ready = next(line for line in process.stderr if "a worker polls" in line)
        process.send_signal(signal.SIGTERM)
        said, rest = process.communicate(timeout=60)
    assert f"UI http://127.0.0.1:{ports[1]}" in ready
    assert process.returncode == ExitCode.DONE, rest
    assert said == ""
    assert (tmp_path / ".tideover" / "temporal.db").is_file()
