"""`rehearse`: what it prints where nothing breaks, and the story where something does."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.domain import barrier
from orchestrator.domain.rehearsal import humans
from orchestrator.domain.rehearsal.search import Counterexample
from tests.etcd import within

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
DEMO = str(RUNBOOKS / "demo.yaml")


@pytest.mark.parametrize("file", sorted(RUNBOOKS.glob("*.yaml")), ids=lambda f: f.name)
def test_every_runbook_of_ours_keeps_its_invariants(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rehearse", str(file)]) is ExitCode.DONE
    told = capsys.readouterr()
    assert "checked up to 1 fault in this model, and nothing breaks" in told.out
    assert "The model leaves out:" in told.out
    assert "proven" not in told.out
    assert "source cut off with its fence devices" in told.err, "progress"


def test_markdown_is_a_table_and_json_the_same_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rehearse", DEMO, "--faults", "0", "--output", "markdown"]) is ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "### demo: checked up to 0 faults in this model, and nothing breaks"
    assert run(["rehearse", DEMO, "--faults", "0", "--output", "json"]) is ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| first execution")]
    assert len(rows) == len(told["covered"]) > 4
    assert told["broken"] == []
    assert {one["faults"] for one in told["covered"]} == {0}


def test_the_warnings_of_lint_stand_beside_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "weak.yaml"
    file.write_text(Path(DEMO).read_text().replace("alias: /var/tmp/tideover-demo/pg-left", "unproven: traced by hand"))
    assert run(["rehearse", str(file), "--faults", "0", "--output", "markdown"]) is ExitCode.DONE
    told = capsys.readouterr().out
    assert "**FENCE-IDENTITY** warning: nothing proves" in told[told.index("**`tideover lint` warns:**") :]
    assert run(["rehearse", str(file), "--faults", "0"]) is ExitCode.DONE
    told_apart = capsys.readouterr()
    assert "FENCE-IDENTITY warning: nothing proves" in told_apart.err
    assert "FENCE-IDENTITY" not in told_apart.out


def test_what_breaks_is_told_as_the_shortest_story(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(barrier, "sufficient", lambda *_: None)  # any evidence of a fence will do
    assert run(["rehearse", DEMO, "--jobs", "1"]) is ExitCode.FINDINGS
    told = capsys.readouterr().out
    assert told.startswith("demo: BROKEN in ")
    assert "scenarios, by 1 fault\n" in told
    story = told[told.index("I2:") :].partition("\n\n")[0].splitlines()
    assert "is sent with weak evidence that db at " in story[0]
    assert story[1].strip() == "1. db.check: goes well"
    unusual = [line for line in story if ". ! " in line]
    assert len(unusual) == 1
    assert "reads it back, but not " in unusual[0]
    assert len(story) < 20


def test_several_processes_find_what_one_finds(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for jobs in ("1", "3"):
        assert run(["rehearse", DEMO, "--faults", "0", "--output", "json", "--jobs", jobs]) is ExitCode.DONE
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]


def test_how_far_a_long_search_is_is_said_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("orchestrator.app.rehearsed._EVERY", 0.0)
    assert run(["rehearse", DEMO, "--jobs", "1"]) is ExitCode.DONE
    told = capsys.readouterr().err.splitlines()
    of_one = [line for line in told if line.startswith("planned, source alive: ")]
    assert "states so far with 0 faults" in of_one[0]
    assert "nothing breaks with 0 faults; " in of_one[-2]
    assert "states so far with 1 fault" in of_one[-2]
    assert "nothing breaks with 1 fault, " in of_one[-1]


def test_what_breaks_comes_whole_out_of_another_process() -> None:
    found = pickle.loads(pickle.dumps(Counterexample("I2: no fence", ("one", "! two"), 1)))  # noqa: S301  our own
    assert (found.broken, found.story, found.faults) == ("I2: no fence", ("one", "! two"), 1)
    assert str(found) == "I2: no fence\none\n! two"


def searches(pid: int) -> list[int]:
    """The processes that search for it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_a_search_that_is_killed_is_told_with_the_way_out() -> None:
    """As by the kernel, when memory runs out."""
    command = [sys.executable, "-m", "orchestrator.app.cli", "rehearse", DEMO, "--faults", "3", "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as rehearsing:
        within(60, lambda: len(searches(rehearsing.pid)) == 2, "the searches run")
        os.kill(searches(rehearsing.pid)[0], signal.SIGKILL)
        _, told = rehearsing.communicate(timeout=120)
    assert rehearsing.returncode == ExitCode.NOT_READY
    assert "a search was killed" in told
    assert "take fewer --jobs" in told
    assert "beyond what was told" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("to_all", [True, False], ids=["typed at a terminal", "sent to it alone"])
def test_ctrl_c_ends_it_and_every_search_in_one_line(to_all: bool) -> None:
    command = [sys.executable, "-m", "orchestrator.app.cli", "rehearse", DEMO, "--faults", "3", "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as rehearsing:
        within(60, lambda: len(searches(rehearsing.pid)) == 2, "the searches run")
        time.sleep(2)  # until they have loaded what they need, and search
        begun = searches(rehearsing.pid)
        (os.killpg if to_all else os.kill)(rehearsing.pid, signal.SIGINT)
        _, told = rehearsing.communicate(timeout=60)
    assert rehearsing.returncode == ExitCode.ABORTED
    assert told.splitlines()[-1] == "tideover: interrupted"
    assert "Traceback" not in told
    within(10, lambda: not any(Path(f"/proc/{pid}").exists() for pid in begun), "no search is left")


def test_a_number_of_faults_that_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rehearse", DEMO, "--faults", "-1"]) is ExitCode.USAGE
    assert run(["rehearse", DEMO, "--faults", "many"]) is ExitCode.USAGE


def test_a_runbook_with_findings_is_not_rehearsed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text("runbook: shop\nsites: {}\n")
    assert run(["rehearse", str(file)]) is ExitCode.FINDINGS
    assert "nothing was rehearsed" in capsys.readouterr().err


def test_a_runbook_whose_failover_never_succeeds_is_not_told_to_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing breaks where nothing happens, and that must not look like success."""
    monkeypatch.setattr(humans, "approval", lambda *_: None)  # nobody approves
    assert run(["rehearse", DEMO, "--faults", "0", "--jobs", "1"]) is ExitCode.FINDINGS
    told = capsys.readouterr().out
    assert told.startswith("demo: BROKEN in 8 of 9 scenarios, by 0 faults")
    assert "without any fault forced to right does not succeed: REFUSED: nobody approved in time" in told
