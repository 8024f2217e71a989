"""A program ends by itself or is killed with everything that it started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.runtime import child


def sh(script: str, timeout: float = 5.0, stdin: str = "", **environment: str) -> child.Ended:
    return child.run(
        ["sh", "-c", script], stdin=stdin, timeout=timeout, environment=child.bare_environment(**environment)
    )


def gone(pid: int, within: float = 2.0) -> bool:
    deadline = time.monotonic() + within
    status = Path(f"/proc/{pid}/status")
    while time.monotonic() < deadline:
        if not status.exists() or "\nState:\tZ" in status.read_text():
            return True
        time.sleep(0.02)
    return False


def test_output_and_exit_code_are_told() -> None:
    assert sh("cat; echo err >&2; exit 3", stdin="in") == child.Ended(3, "in", "err\n")


def test_time_up_kills_the_children_too(tmp_path: Path) -> None:
    ended = sh(f"echo began; sleep 600 & echo $! > {tmp_path}/pid; wait", timeout=0.5)
    assert ended == child.Ended(None, "began\n", "")
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_child_left_behind_on_purpose_neither_delays_nor_dies(tmp_path: Path) -> None:
    began = time.monotonic()
    assert sh(f"sleep 600 & echo $! > {tmp_path}/pid").code == 0
    assert time.monotonic() - began < 3
    left = int((tmp_path / "pid").read_text())
    os.kill(left, 9)  # fails where it is gone


def test_a_program_that_does_not_read_its_input_is_no_error() -> None:
    assert sh("exec 0<&-; exit 0", stdin="x" * 1_000_000).code == 0


def test_a_program_that_neither_reads_nor_ends_is_killed() -> None:
    assert sh("exec sleep 600", stdin="x" * 1_000_000, timeout=0.5).code is None


def test_output_without_end_is_cut() -> None:
    assert len(sh("yes | head -c 200000").stdout) == child.OUTPUT_LIMIT


def test_our_own_environment_stays_with_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    names = {line.partition("=")[0] for line in sh("exec env", MORE="1").stdout.splitlines()}
    assert (
        {"HOME", "PATH", "MORE"} <= names <= {"HOME", "PATH", "LANG", "LC_ALL", "MORE", "PWD", "SHLVL", "_", "OLDPWD"}
    )


def test_a_program_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        child.run(["/nonexistent/program"], stdin="", timeout=1, environment={})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_one_that_we_may_not_kill_counts_as_one_whose_time_was_up() -> None:
    """As behind sudo. To call it not started would close a doubt while its effect is still to come (I4)."""
    ours = """
import os, threading
from orchestrator.runtime import child
threading.Timer(0.3, os.setuid, [65534]).start()
print(child.run(["sleep", "5"], stdin="", timeout=1.0, environment=child.bare_environment()).code)
"""
    began = time.monotonic()
    asked = subprocess.run([sys.executable, "-c", ours], capture_output=True, text=True, timeout=30, check=False)
    assert (asked.stdout, asked.returncode) == ("None\n", 0), asked.stderr
    assert time.monotonic() - began < 5, "it waited for what it could not kill"
