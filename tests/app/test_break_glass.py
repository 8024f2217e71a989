"""Executions without Temporal, on the toy world: to their end, killed in the middle, refused, spoken to."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app.break_glass.kept import Kept, TakenOver, driver_of
from orchestrator.app.break_glass.opening import Order
from orchestrator.app.break_glass.process import Alive, alive, this
from orchestrator.app.cli.application import run
from orchestrator.app.cli.breaking_glass import broken_glass
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.cli.spoken import NotUnderstood, spoken
from orchestrator.domain.commands import Approve, Attest, Retry
from orchestrator.domain.derivation import derive
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.ledger import Execution, GroupRecord
from orchestrator.domain.plan import Plan, PlanMode
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.state import TimerFired
from orchestrator.runtime import archive, audit
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal
from tests.workflows.stage import RUNBOOK
from tests.workflows.toy.provider import CATALOG
from tests.workflows.toy.worker import composition
from tests.workflows.toy.world import VARIABLE, World

GROUP = "shop"
PATIENCE = 60.0
Move = tuple[PlanMode, str]
FORCED: Move = ("forced", "az-b")
END_OF_INPUT = b"\x04"


@dataclass
class Shop:
    """A group, its world and its journal. No Temporal answers anywhere near."""

    directory: Path
    world: World

    @property
    def journal(self) -> SqliteJournal:
        return SqliteJournal(self.directory / "journal.db")

    @property
    def ledger(self) -> GroupRecord:
        return Group(self.journal, GROUP).record()

    @property
    def plan(self) -> Plan:
        return self.planned(FORCED)

    def planned(self, move: Move) -> Plan:
        runbook = composition(self.directory).library.runbook(GROUP)
        mode, to = move
        return derive(runbook, CATALOG, to, mode, self.journal.id)

    @property
    def record(self) -> ExecutionRecord:
        return archive.find(self.journal, GROUP)

    def failover(self, approve: str | None = None, **more: str) -> ExitCode:
        """A forced failover in this process, approved by its hash."""
        order = Order(GROUP, "az-b", "forced", "ann", "INC-42", **more)
        return broken_glass(composition(self.directory).actor, order, approve or self.plan.hash)

    @contextmanager
    def process(self, approve: str | None = None, move: Move = FORCED) -> Iterator[subprocess.Popen[str]]:
        """The same in a process of its own; what it says stands in `said`. Nobody can type there."""
        with self._typed(subprocess.DEVNULL, approve, move) as process:
            yield process

    @contextmanager
    def at_a_terminal(self) -> Iterator[tuple[subprocess.Popen[str], int]]:
        """The same with a terminal that can be typed at."""
        ours, theirs = pty.openpty()
        try:
            with self._typed(theirs, None, FORCED) as process:
                yield process, ours
        finally:
            os.close(ours)
            os.close(theirs)

    @contextmanager
    def _typed(self, stdin: int, approve: str | None, move: Move) -> Iterator[subprocess.Popen[str]]:
        argv = [sys.executable, "-m", "tests.app.break_glass_process", str(self.directory), GROUP, *move]
        argv += [approve] if approve else []
        with (self.directory / "said").open("a") as said:
            process = subprocess.Popen(
                argv, stdin=stdin, stdout=said, stderr=said, text=True, cwd=Path(__file__).parents[2]
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    def ended(self, process: subprocess.Popen[str]) -> int:
        """The exit code of the process, which ends by itself."""
        until(lambda: process.poll() is not None, self.said)
        return process.wait()

    def killed_at(self, resource: str, point: str, move: Move = FORCED) -> str:
        """A process was killed with SIGKILL when it had come to this point; the execution that it left behind."""
        self.world.break_(resource, point, "hang")
        already = len(self.world.reached(resource, point))
        with self.process(self.planned(move).hash, move) as process:
            until(lambda: len(self.world.reached(resource, point)) > already, self.said)
            process.kill()
            assert process.wait() == -signal.SIGKILL
        self.world.mend()
        holder = self.ledger.execution
        assert holder is not None  # the control: it did not end by itself
        return holder.id

    def said(self) -> str:
        return (self.directory / "said").read_text()

    def audited(self, what: str) -> list[audit.AuditEntry]:
        return [entry for entry in audit.entries(self.journal) if entry.what == what]


def until(holds: Callable[[], Any], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    world = World.create(tmp_path / "world.db")
    SqliteJournal.create(tmp_path / "journal.db")
    (tmp_path / f"{GROUP}.yaml").write_text(RUNBOOK.format(group=GROUP))
    (tmp_path / "credentials.toml").write_text('[toy-db]\npassword = "secret"\n')
    settings = {
        VARIABLE: str(world.path), "TEMPORAL_ADDRESS": "127.0.0.1:1", "TIDEOVER_JOURNAL": str(tmp_path / "journal.db"),
        "TIDEOVER_REPORTS": str(tmp_path / "reports"),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return Shop(tmp_path, world)


def test_a_forced_failover_runs_to_its_end_and_has_its_report(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.world.lose_site("az-a")
    assert shop.failover() is ExitCode.DONE, capsys.readouterr().err
    told = capsys.readouterr()
    assert "✔ db.promote" in told.err
    assert "tideover report shop-1" in told.out
    assert shop.world.writable() == ["az-b"]
    assert not shop.world.was_split()
    assert shop.record.state().finish == shop.record.finish
    assert shop.ledger.execution is None
    assert (shop.ledger.holders, shop.ledger.doubts) == ({"db": "az-b"}, ())
    assert run(["report", "shop-1"]) is ExitCode.DONE
    assert (shop.directory / "reports").is_dir()
    kinds = [entry.what for entry in audit.entries(shop.journal)]
    assert kinds.index("command") < kinds.index("claimed") < kinds.index("effect")
    assert kinds[-1] == "finished"
    assert audit.verify(shop.journal) is None


@pytest.mark.parametrize(
    ("resource", "point"),
    [
        ("db@az-a:toy", "before"),
        ("db@az-a:toy", "sent"),
        ("db@az-a:toy", "done"),
        ("db@az-b", "sent"),
        ("db@az-b", "done"),
        ("name", "sent"),
    ],
)
def test_killed_in_the_middle_and_started_again_it_goes_on(shop: Shop, resource: str, point: str) -> None:
    left = shop.killed_at(resource, point)
    before = Kept.find(shop.journal, left)
    assert before is not None
    with shop.process() as process:
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert f"{left} goes on where it was" in shop.said()
    assert shop.world.writable() == ["az-b"]
    assert not shop.world.was_split()
    assert shop.record.execution.id == left
    assert list(shop.record.events[: len(before.events)]) == before.events
    assert [entry.detail["execution"] for entry in shop.audited("claimed")] == [left]  # one epoch, one approval
    assert [effect.state for effect in shop.world.effects("db@az-b")] == ["role primary"]
    assert (shop.ledger.execution, shop.ledger.epoch) == (None, 1)
    assert archive.names(shop.journal) == ["shop-1"]


@pytest.mark.parametrize(
    ("resource", "point"),
    [("db@az-a:toy", "sent"), ("db@az-a:toy", "done"), ("db@az-a", "before"), ("db@az-a", "sent"), ("db@az-a", "done")],
)
def test_a_rebuild_that_was_killed_in_the_middle_goes_on(shop: Shop, resource: str, point: str) -> None:
    assert shop.failover() is ExitCode.DONE
    assert set(shop.ledger.fenced.values()) == {"az-a"}
    rebuild: Move = ("reprotect", "az-a")
    left = shop.killed_at(resource, point, rebuild)
    with shop.process(None, rebuild) as process:
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert f"{left} goes on where it was" in shop.said()
    assert shop.world.things()["db@az-a"]["upstream"] == "az-b"
    assert not shop.world.was_split()
    assert (shop.ledger.execution, shop.ledger.fenced, shop.ledger.epoch) == (None, {}, 2)


@pytest.mark.parametrize("point", ["before", "sent", "done"])
def test_an_unfence_that_was_killed_in_the_middle_goes_on(shop: Shop, point: str) -> None:
    """More would be lost than was accepted, so the source was fenced and the standby never promoted."""
    shop.world.lag("az-b", 5)
    shop.world.break_("db@az-a:toy", "before", "hang")
    with shop.at_a_terminal() as (process, keyboard):
        until(lambda: "Type az-b to approve" in shop.said(), shop.said)
        os.write(keyboard, b"az-b\n")
        until(lambda: shop.world.reached("db@az-a:toy", "before"), shop.said)
        shop.world.lag("az-b", 600)
        shop.world.mend()
        until(lambda: "WAITING: " in shop.said(), shop.said)
        os.write(keyboard, b"escalate --reason 'too much would be lost'\n")
        assert shop.ended(process) == ExitCode.HUMAN_NEEDED, shop.said()
    assert "tideover unfence shop --at az-a --break-glass" in shop.said()
    unfence: Move = ("unfence", "az-a")
    left = shop.killed_at("db@az-a:toy", point, unfence)
    with shop.process(None, unfence) as process:
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert f"{left} goes on where it was" in shop.said()
    assert shop.world.things()["db@az-a:toy"] == {"power": "on"}
    assert shop.ledger.fenced == {}


def test_it_is_approved_and_spoken_to_by_lines_typed_in(shop: Shop) -> None:
    shop.world.break_("db@az-a:toy", "before", "Rejected")
    with shop.at_a_terminal() as (process, keyboard):
        until(lambda: "Type az-b to approve" in shop.said(), shop.said)
        os.write(keyboard, b"az-c\naz-b\n")
        until(lambda: "WAITING: db.fence" in shop.said(), shop.said)
        vouched = "db.fence --reason 'pulled the plug'"
        lines = [f"attest {vouched}", f"tideover attest shop {vouched}", "skip db.fence --reason none"]
        os.write(keyboard, "\n".join((*lines, "")).encode())
        until(lambda: "skip refused: db.fence cannot be skipped" in shop.said(), shop.said)
        shop.world.lose_site("az-a")
        os.write(keyboard, b"attest db.fence --by bob --reason 'I saw it dark'\n")
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert "'az-c' is no command" in shop.said()
    assert "attest refused: ann has attested db.fence already" in shop.said()
    assert [(e.who, e.detail["command"]) for e in shop.audited("command")] == [
        ("ann", "approve"), ("ann", "attest"), ("bob", "attest"),
    ]  # fmt: skip
    assert [e.detail["command"] for e in shop.audited("refused")] == ["attest", "skip"]
    assert not shop.world.was_split()


def test_where_nobody_can_be_asked_nothing_is_begun_and_the_way_out_is_told(shop: Shop) -> None:
    with shop.process() as process:
        assert shop.ended(process) == ExitCode.USAGE, shop.said()
    assert f"no terminal to ask at, and nothing was begun: --approve {shop.plan.hash}" in shop.said()
    assert not shop.journal.read("break-glass/")


def test_where_the_terminal_is_closed_before_the_approval_it_ends_at_once(shop: Shop) -> None:
    with shop.at_a_terminal() as (process, keyboard):
        until(lambda: "Type az-b to approve" in shop.said(), shop.said)
        os.write(keyboard, END_OF_INPUT)
        assert shop.ended(process) == ExitCode.NOT_APPROVED, shop.said()
    assert f"--approve {shop.plan.hash} approves beforehand" in shop.said()
    assert not shop.world.effects()


def test_a_process_that_waits_where_nobody_can_type_says_how_to_be_heard(shop: Shop) -> None:
    shop.world.break_("db@az-a:toy", "before", "Rejected")
    with shop.process(shop.plan.hash) as process:
        until(lambda: "WAITING: db.fence" in shop.said(), shop.said)
        until(lambda: "nobody can type here" in shop.said(), shop.said)
        assert process.poll() is None
    shop.world.mend()
    with shop.at_a_terminal() as (process, keyboard):
        until(lambda: "goes on where it was" in shop.said(), shop.said)
        os.write(keyboard, b"retry db.fence\n")
        assert shop.ended(process) == ExitCode.DONE, shop.said()


def test_another_hash_is_refused_and_nothing_is_touched(shop: Shop) -> None:
    assert shop.failover("0123456789ab") is ExitCode.NOT_APPROVED
    assert not shop.world.effects()
    assert shop.ledger.epoch == 0
    assert "`plan` is '0123456789ab'" in shop.audited("refused")[0].detail["why"]
    assert shop.record.finish is not None
    assert shop.record.finish.end == "ABORTED_SAFE"


def held_by(shop: Shop, execution: str) -> None:
    held = Execution(id=execution, who="bob", plan=shop.plan.digest, mode="forced", target="az-b", since=1.0)
    assert isinstance(Group(shop.journal, GROUP).claim(shop.plan, held, holder_is_gone=False), GroupRecord)


def test_a_group_that_another_execution_holds_is_taken_only_by_a_humans_word(shop: Shop) -> None:
    held_by(shop, "failover/shop#run-1")
    with pytest.raises(TideoverError, match=r"shop is held by failover/shop#run-1.*--holder-is-gone"):
        shop.failover()
    assert not shop.world.effects()
    assert not shop.audited("command")
    assert shop.failover(holder_is_gone="Temporal's database burnt with az-a") is ExitCode.DONE
    said = shop.audited("command")[0]
    assert (said.who, said.detail["holder"]) == ("ann", "failover/shop#run-1")
    assert said.detail["reason"] == "Temporal's database burnt with az-a"
    assert shop.ledger.epoch == 2


def test_a_process_that_lives_is_not_taken_over_whatever_a_human_says(shop: Shop) -> None:
    shop.world.break_("db@az-a:toy", "sent", "hang")
    with shop.process(shop.plan.hash) as process:
        until(lambda: shop.world.reached("db@az-a:toy", "sent"), shop.said)
        process.send_signal(signal.SIGSTOP)  # one that is only frozen lives
        for statement in ("", "I am sure"):
            with pytest.raises(TideoverError, match=f"process {process.pid} on .* drives it"):
                shop.failover(holder_is_gone=statement)
        shop.world.mend()
        process.send_signal(signal.SIGCONT)
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert shop.ledger.epoch == 1


def test_ctrl_c_waits_for_what_was_sent_and_leaves_the_rest_to_the_next_process(shop: Shop) -> None:
    shop.world.break_("db@az-a:toy", "sent", "hang")
    with shop.process(shop.plan.hash) as process:
        until(lambda: shop.world.reached("db@az-a:toy", "sent"), shop.said)
        process.send_signal(signal.SIGINT)
        until(lambda: "what was sent is waited for" in shop.said(), shop.said)
        assert process.poll() is None
        shop.world.mend()
        assert shop.ended(process) == ExitCode.HUMAN_NEEDED, shop.said()
    assert "go on with `tideover run shop --to az-b --mode forced --break-glass`" in shop.said()
    assert shop.world.things()["db@az-a:toy"] == {"power": "off"}
    assert shop.world.writable() == []
    assert shop.ledger.doubts == ()  # its answer was waited for
    assert shop.failover() is ExitCode.DONE
    assert len(shop.world.reached("db@az-a:toy", "sent")) == 1  # and is not asked for again


def test_doctor_tells_of_a_process_that_was_lost_and_how_to_go_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.killed_at("db@az-a:toy", "sent")
    monkeypatch.chdir(shop.directory)
    assert run(["doctor", "--output", "json"]) is ExitCode.NOT_READY
    checks = json.loads(capsys.readouterr().out)
    (told,) = [check for check in checks if "break-glass/shop#" in check["found"]]
    assert told["level"] == "fail"
    assert "it runs no more; db@az-a:toy: power off may still take effect" in told["found"]
    assert "`tideover run shop --to az-b --mode forced --break-glass` goes on with it" in told["way_out"]


def test_doctor_tells_what_a_temporal_that_does_not_answer_holds(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held_by(shop, "failover/shop#run-1")
    monkeypatch.chdir(shop.directory)
    assert run(["doctor", "--output", "json"]) is ExitCode.NOT_READY
    checks = json.loads(capsys.readouterr().out)
    (told,) = [check for check in checks if "failover/shop#run-1" in check["found"]]
    assert "whether that runs cannot be asked; nothing was requested" in told["found"]
    assert "--holder-is-gone" in told["way_out"]


def test_what_was_begun_goes_on_with_the_plan_that_was_approved(shop: Shop) -> None:
    shop.killed_at("db@az-a:toy", "sent")
    with shop.process("0123456789ab") as process:
        assert shop.ended(process) == ExitCode.NOT_APPROVED, shop.said()
    assert "was begun with the plan" in shop.said()


def test_a_driver_that_was_overtaken_writes_nothing_more(shop: Shop) -> None:
    left = shop.killed_at("db@az-a:toy", "sent")
    one, other = Kept.find(shop.journal, left), Kept.find(shop.journal, left)
    process = driver_of(shop.journal, left)
    assert one is not None
    assert other is not None
    assert process is not None
    one.take_over(process)
    with pytest.raises(TakenOver):
        other.take_over(process)
    one.append(TimerFired(id="x", at=1.0))
    with pytest.raises(TakenOver):
        other.append(TimerFired(id="y", at=1.0))


def lost(shop: Shop, *said: str) -> ExitCode:
    """The real command line, on a journal that is not there; the demo's runbook, of which nothing can be reached."""
    vouched = [word for text in said for word in ("--journal-is-lost", text)]
    return run(["run", "demo", "--break-glass", "--to", "right", "--mode", "forced", "--approve", "0", *vouched])


def test_a_lost_journal_is_made_anew_only_by_the_word_of_two_people(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEOVER_RUNBOOKS", json.dumps([str(Path(__file__).parents[2] / "runbooks")]))
    ann, bob = "ann: the disk burnt with az-a", "bob: I saw the rack, it is ash"
    assert lost(shop, ann, bob) is ExitCode.NOT_READY
    assert "the journal is not lost" in capsys.readouterr().err
    (shop.directory / "journal.db").unlink()
    assert lost(shop) is ExitCode.NOT_READY
    assert "there is no journal at" in capsys.readouterr().err
    assert lost(shop, ann, "Ann : I am somebody else") is ExitCode.NOT_READY
    assert "one person's word is not enough" in capsys.readouterr().err
    assert lost(shop, ann, "bob: sure") is ExitCode.NOT_READY
    assert not (shop.directory / "journal.db").exists()
    assert lost(shop, ann, bob) in (ExitCode.NOT_READY, ExitCode.NOT_APPROVED)  # the demo's servers are not there
    said = [entry for entry in audit.entries(shop.journal) if entry.detail.get("command") == "journal-is-lost"]
    assert [(entry.number, entry.who) for entry in said] == [(1, "ann"), (2, "bob")]
    assert archive.names(shop.journal) == ["demo-1"]


def test_a_process_is_known_again_and_another_one_is_not_taken_for_it() -> None:
    mine = this()
    assert alive(mine) is Alive.YES
    assert alive(mine.model_copy(update={"started": "1"})) is Alive.NO
    assert alive(mine.model_copy(update={"where": "another boot"})) is Alive.CANNOT_TELL
    child = subprocess.Popen(["sleep", "60"])
    theirs = mine.model_copy(update={"pid": child.pid, "started": _started(child.pid)})
    assert alive(theirs) is Alive.YES
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has taken notice of it
    assert alive(theirs) is Alive.NO
    child.wait()
    assert alive(theirs) is Alive.NO


def _started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("retry db.fence", Retry(by="ann", step="db.fence")),
        ("tideover retry shop db.fence --by bob", Retry(by="bob", step="db.fence")),
        ('attest db.fence --reason "saw it dark"', Attest(by="ann", step="db.fence", reason="saw it dark")),
        ("approve --to az-b --plan=0 --max-loss 30s", Approve.model_validate(
            {"by": "ann", "to": "az-b", "plan": "0", "max_loss": "30s"})),
    ],
)  # fmt: skip
def test_a_typed_line_is_the_command_that_it_looks_like(line: str, means: object) -> None:
    assert spoken(line, GROUP, "ann") == means


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("rety db.fence", "did you mean 'retry'?"),
        ("retry", "retry: --step field required"),
        ("attest db.fence --reason short", "--reason"),
        ("retry db.fence --by", "--by needs a value"),
        ("retry 'db.fence", "close the quotation"),
        ("pause --why x", "--why"),
    ],
)
def test_a_line_that_is_none_says_why(line: str, why: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        spoken(line, GROUP, "ann")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
