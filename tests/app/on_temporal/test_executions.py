"""Executions started, steered and followed by the command line, on a real Temporal server and a toy world."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from temporalio.api.taskqueue.v1 import PollerInfo

from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.executions import TAKEN, polling
from orchestrator.app.journals import open_journal
from orchestrator.app.settings import Settings
from orchestrator.domain.audit import Checkpoint
from orchestrator.runtime import audit
from tests.app.on_temporal.shop import Shop
from workflows.plugin import TASK_QUEUE

DEMO = Path(__file__).parents[3] / "runbooks" / "demo.yaml"


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


def test_more_loss_than_was_named_is_asked_for_by_its_own_name(shop: Shop) -> None:
    shop.world.lag("az-b", 5)
    shop.begun()
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "orchestrator.app.cli", "approve", shop.group, "--max-loss", "0s", "--by", "ann"]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ) as process:
        os.close(theirs)
        said = reads(ours, "Type az-b --max-loss 90s to approve")
        assert "You accept the loss of at most 90s, more than the 0s that was named so far" in said
        os.write(ours, b"az-b\n")
        reads(ours, "That is not az-b --max-loss 90s")
        os.write(ours, b"az-b --max-loss 90s\n")
        assert process.wait(60) == ExitCode.DONE
    os.close(ours)
    assert shop.tideover("follow", shop.group) is ExitCode.DONE, shop.err
    assert shop.tideover("audit", "show", shop.group) is ExitCode.DONE
    assert "max_loss=90s" in shop.out


def reads(terminal: int, words: str) -> str:
    """What is shown at the terminal from now on, once these words are in it."""
    shown = ""
    while words not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += re.sub(r"\x1b\[[0-9;]*m", "", os.read(terminal, 4096).decode(errors="replace"))
    return shown


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


def test_a_command_that_no_worker_answers_is_in_doubt_and_may_yet_be_taken(unstaffed: Shop) -> None:
    shop = unstaffed
    with shop.worker():
        shop.begun()
    began = time.monotonic()
    assert shop.tideover("pause", shop.group) is ExitCode.IN_DOUBT
    assert time.monotonic() - began < TAKEN + 20, "it waited for a worker"
    in_doubt(shop, "pause")
    with shop.worker():
        assert shop.tideover("pause", shop.group) is ExitCode.NOT_READY
        assert shop.err == "tideover: refused: it is paused already\n", "what was left behind is taken first"
        assert shop.tideover("abort", shop.group) is ExitCode.DONE


def test_it_is_told_that_no_worker_answers_where_temporal_does(
    unstaffed: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is that of a runbook of the same name whose providers are real; none of its servers is there."""
    with unstaffed.worker():
        unstaffed.begun()
    (unstaffed.directory / "real").mkdir()
    runbook = DEMO.read_text().replace("runbook: demo", f"runbook: {unstaffed.group}")
    (unstaffed.directory / "real" / f"{unstaffed.group}.yaml").write_text(runbook)
    monkeypatch.setenv("TIDEOVER_RUNBOOKS", str(unstaffed.directory / "real"))
    missing = f"no worker (answers on|polls) the queue '{TASK_QUEUE}': "  # one was there a moment ago
    assert unstaffed.tideover("status", unstaffed.group, "--output", "json") is ExitCode.DONE, unstaffed.err
    assert re.search(missing, json.loads(unstaffed.out)[0]["temporal"]["trouble"])
    argv = [sys.executable, "-m", "orchestrator.app.cli", "follow", unstaffed.group]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        told = next(line for line in process.stderr if "! " in line)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
    assert re.search(missing, told)
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "orchestrator.app.cli", "approve", unstaffed.group]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ) as process:
        os.close(theirs)
        reads(ours, "whether anything waits for an approval is not known: no worker ")
        assert process.wait(60) == ExitCode.NOT_READY
    os.close(ours)


def test_doctor_says_when_a_worker_has_last_polled(shop: Shop) -> None:
    shop.tideover("doctor", "--output", "json")
    (told,) = [check for check in json.loads(shop.out) if check["name"] == "worker"]
    assert told["level"] == "ok"
    assert re.search(rf"tideover@\S+, last polled '{TASK_QUEUE}' \d+s ago; ", told["found"]), told
    assert "cannot be told from one that was lost since" in told["found"]


@pytest.mark.parametrize(
    ("ago", "told"),
    [(0.0, ["a, last polled 'q' 0s ago"]), (45.2, ["a, last polled 'q' 45s ago"]), (-3, ["a, last polled 'q' 0s ago"]),
     (76.0, []), (290.0, [])],
)  # fmt: skip
def test_a_worker_that_has_not_polled_for_longer_than_a_poll_lasts_polls_no_more(ago: float, told: list[str]) -> None:
    poller = PollerInfo(identity="a")
    poller.last_access_time.FromNanoseconds(round((1e9 - ago) * 1e9))
    assert polling([poller], "q", now=1e9) == told


def test_ctrl_c_leaves_a_command_that_was_sent_in_doubt(unstaffed: Shop) -> None:
    with unstaffed.worker():
        unstaffed.begun()
    interrupt = threading.Timer(4.0, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    assert unstaffed.tideover("abort", unstaffed.group) is ExitCode.IN_DOUBT
    interrupt.join()
    in_doubt(unstaffed, "abort")


def in_doubt(shop: Shop, command: str) -> None:
    """One line says so, and what to do."""
    assert shop.err.count("\n") == 1
    assert f"tideover: {command} was sent to failover/{shop.group}, and no worker has answered: it MAY YET" in shop.err
    assert f"`tideover status {shop.group}`" in shop.err
    assert "`tideover worker`" in shop.err


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
