"""What another holds, and a journal that is lost: taken over by the word of people, and never from one that lives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.app.break_glass.process import alive, this
from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.holders import PATIENCE
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.holder import Alive
from orchestrator.domain.ledger import Execution, GroupRecord
from orchestrator.runtime import archive, audit
from orchestrator.runtime.group import Group
from tests.app.toy_shop import GROUP, Shop, until

pytest_plugins = ["tests.app.toy_shop"]


def held_by(shop: Shop, execution: str) -> None:
    held = Execution(id=execution, who="bob", plan=shop.plan.digest, mode="forced", target="az-b", since=1.0)
    assert isinstance(Group(shop.journal, GROUP).claim(shop.plan, held), GroupRecord)


def test_a_group_that_another_execution_holds_is_taken_only_by_a_humans_word(shop: Shop) -> None:
    held_by(shop, "failover/shop#run-1")
    with pytest.raises(TideoverError, match=r"shop is held by failover/shop#run-1.*--holder-is-gone"):
        shop.failover()
    assert not shop.world.effects()
    assert not shop.audited("command")
    (refused,) = shop.audited("refused")
    assert (refused.who, refused.detail["command"]) == ("ann", "claim")
    assert "shop is held by failover/shop#run-1" in str(refused.detail["why"])
    assert shop.failover(holder_is_gone="Temporal's database burnt with az-a") is ExitCode.DONE
    said = shop.audited("command")[0]
    assert (said.who, said.detail["holder"]) == ("ann", "failover/shop#run-1")
    assert said.detail["reason"] == "Temporal's database burnt with az-a"
    assert shop.ledger.epoch == 2


def test_a_process_that_lives_is_not_taken_over_whatever_a_human_says(shop: Shop) -> None:
    shop.world.break_("db@az-a:toy", "sent", "hang")
    with shop.process(shop.plan.hash) as process:
        until(lambda: shop.world.reached("db@az-a:toy", "sent"), shop.said)
        shop.freeze(process)  # one that is only frozen lives
        for statement in ("", "I am sure"):
            with pytest.raises(TideoverError, match=f"process {process.pid} on .* drives it"):
                shop.failover(holder_is_gone=statement)
        shop.world.mend()
        process.send_signal(signal.SIGCONT)
        assert shop.ended(process) == ExitCode.DONE, shop.said()
    assert shop.ledger.epoch == 1


def test_a_temporal_that_accepts_and_never_answers_holds_nobody_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    held_by(shop, "failover/shop#run-1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(TideoverError, match="whether that still runs cannot be asked"):
            shop.failover()
        assert time.monotonic() - began < PATIENCE + 5
        assert shop.failover(holder_is_gone="Temporal's host is on fire") is ExitCode.DONE


@pytest.mark.parametrize("break_glass", [[], ["--break-glass"]])
def test_a_word_without_a_reason_displaces_nobody(
    shop: Shop, capsys: pytest.CaptureFixture[str], break_glass: list[str]
) -> None:
    held_by(shop, "failover/shop#run-1")
    move = ["run", "shop", "--to", "az-b", "--mode", "forced", "--holder-is-gone", "x"]
    assert run([*move, *break_glass]) is ExitCode.USAGE
    assert "say what makes you certain" in capsys.readouterr().err


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


RUN = ("run", "demo", "--to", "right", "--mode", "forced", "--approve", "0")


def test_doctor_tells_what_was_requested_and_answered(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a fence that was answered and is lifted: neither in doubt nor fenced, and requested all the same."""
    shop.killed_at("db@az-b", "sent")
    group = Group(shop.journal, GROUP, shop.ledger.execution.id if shop.ledger.execution else None)
    group.release("db", "az-a", "ann", shop.plan.digest)
    assert not any(doubt.want.resource == "db@az-a:toy" for doubt in shop.ledger.doubts)
    monkeypatch.chdir(shop.directory)
    assert run(["doctor", "--output", "json"]) is ExitCode.NOT_READY
    (told,) = [check for check in json.loads(capsys.readouterr().out) if "break-glass/shop#" in check["found"]]
    _, _, requested = told["found"].partition("; it requested: ")
    assert "db@az-a:toy: power off" in requested


def lost(shop: Shop, *said: str, command: Sequence[str] = RUN) -> ExitCode:
    """The real command line, on a journal that is not there; the demo's runbook, of which nothing can be reached."""
    vouched = [word for text in said for word in ("--journal-is-lost", text)]
    return run([*command, "--break-glass", *vouched])


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


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (("run", "nosuch", "--to", "right", "--mode", "forced"), "there is no runbook 'nosuch'"),
        (("run", "demo", "--to", "rigth", "--mode", "forced"), "did you mean 'right'?"),
        (("unfence", "demo", "--at", "nowhere"), "nowhere"),
        (("failback", "demo"), "no server that takes writes can be read"),
    ],
)
def test_a_lost_journal_is_not_made_anew_for_what_cannot_be_begun(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...],
    found: str,
) -> None:  # fmt: skip
    """A journal that stands asks for nobody's word any more."""
    monkeypatch.setenv("TIDEOVER_RUNBOOKS", json.dumps([str(Path(__file__).parents[2] / "runbooks")]))
    (shop.directory / "journal.db").unlink()
    ended = lost(shop, "ann: the disk burnt with az-a", "bob: I saw the rack, it is ash", command=command)
    assert ended in (ExitCode.USAGE, ExitCode.NOT_READY)
    assert found in capsys.readouterr().err
    assert not (shop.directory / "journal.db").exists()


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


@pytest.mark.lab
def test_a_process_that_is_hidden_is_not_taken_for_dead() -> None:
    """Where /proc shows only one's own (proc(5), `hidepid`), nothing can be told of another user's process."""
    with subprocess.Popen(["setpriv", "--reuid", "nobody", "--clear-groups", "sleep", "60"]) as other:
        try:
            until(lambda: Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n", lambda: "it runs")
            asks = (
                "from orchestrator.app.break_glass.process import alive, this\n"
                f"them = this().model_copy(update={{'pid': {other.pid}}})\n"
                "print(alive(them).name, alive(them.model_copy(update={'pid': 2 ** 22 - 1})).name)"
            )
            hidden = (
                'mount -t proc -o hidepid=2,gid=54321 proc /proc && exec setpriv --bounding-set -sys_ptrace,-kill "$@"'
            )
            told = subprocess.run(
                ["unshare", "--mount", "sh", "-c", hidden, "sh", sys.executable, "-c", asks],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert told.stdout.split() == ["CANNOT_TELL", "NO"]
        finally:
            other.kill()
