"""`tideover demo --keep` as a person uses it: the story, then the next executions by hand in another shell."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.app.cli.exits import ExitCode
from tests.app.demo_directory import demo_directory

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("demo")]

TIDEOVER = (sys.executable, "-m", "orchestrator.app.cli")
LIMIT = 300.0


class Demo:
    """The demo, told to its end and kept running."""

    def __init__(self, directory: Path, cwd: Path) -> None:
        argv = [*TIDEOVER, "demo", "--keep", "--dir", str(directory)]
        self.process = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.directory, self.cwd, self.progress = directory, cwd, ""
        self._reader = threading.Thread(target=self._read_progress, daemon=True)
        self._reader.start()
        self.said = self._told()

    def tideover(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command, in another shell, which knows nothing of the environment that the demo runs in."""
        script = f'. "{self.directory}/environment"; exec tideover "$@"'
        argv = ["sh", "-c", script, "sh", *arguments]
        env = {"HOME": str(self.cwd), "PATH": os.defpath}
        return subprocess.run(argv, cwd=self.cwd, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)

    def interrupt(self) -> int:
        """The exit code after Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        self._reader.join()
        return code

    def end(self) -> None:
        """It is gone, whatever happened."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(60)

    def _told(self) -> str:
        killer = threading.Timer(LIMIT, self.process.kill)
        killer.start()
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if "until you press Ctrl-C" in line:
                break
        killer.cancel()
        return said

    def _read_progress(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.progress += line


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo_directory() as directory:
        made = Demo(directory / "demo", tmp_path_factory.mktemp("cwd"))
        try:
            yield made
        finally:
            made.end()


def test_it_tells_what_the_writer_saw(demo: Demo) -> None:
    assert demo.process.poll() is None, demo.progress
    outages = re.findall(r"outage +([\d.]+) s +(\d+) commits acknowledged +(\d+) lost", demo.said)
    assert len(outages) == 2, demo.said
    forced, planned = (int(lost) for *_, lost in outages)
    assert forced <= 5, "replication is asynchronous: a commit or two were on their way when it was killed"
    assert planned == 0
    assert re.search(r"RPO \d+s: met", demo.said)
    assert "every process of left was killed with SIGKILL" in demo.progress


def test_it_ends_with_reports_and_full_links(demo: Demo) -> None:
    pages = re.findall(r"report +(\S+\.html)", demo.said)
    assert len(pages) == 3
    assert all((demo.cwd / page).read_text().startswith("<!DOCTYPE html>") for page in pages)
    assert (
        len(
            re.findall(
                r"http://127\.0\.0\.1:\d+/namespaces/default/workflows/failover%2Fdemo/[0-9a-f-]{36}/", demo.said
            )
        )
        == 3
    )


def test_the_servers_banner_is_not_in_between(demo: Demo) -> None:
    assert "Metrics:" not in demo.said + demo.progress


def test_status_tells_who_is_primary_and_what_may_be_done(demo: Demo) -> None:
    told = demo.tideover("status", "demo", "--output", "json")
    assert told.returncode == ExitCode.DONE, told.stderr
    (found,) = json.loads(told.stdout)
    assert found["primaries"] == {"db": ["left"]}
    assert found["commands"] == ["tideover run demo --to right --mode planned"]


def test_doctor_is_content(demo: Demo) -> None:
    told = demo.tideover("doctor")
    assert told.returncode == ExitCode.DONE, told.stdout


def test_the_input_shown_for_the_start_form_is_what_the_next_one_takes(demo: Demo) -> None:
    shown = json.loads(re.search(r"Input \(JSON\) +(\{.*\})", demo.said)[1])  # type: ignore[index]
    planned = demo.tideover("plan", "demo", "--to", shown["to"], "--mode", shown["mode"], "--output", "json")
    plan = json.loads(planned.stdout)["hash"]
    argv = ("run", "demo", "--to", shown["to"], "--mode", shown["mode"], "--approve", plan, "--max-loss", "60s")
    told = demo.tideover(*argv)
    assert told.returncode == ExitCode.DONE, told.stdout + told.stderr
    assert told.stdout.startswith("SUCCEEDED  demo is served at right")


def test_ctrl_c_ends_all_of_it(demo: Demo) -> None:
    assert demo.interrupt() == ExitCode.DONE, demo.progress
    assert not (demo.directory / "hosts").exists()
    assert "Traceback" not in demo.progress
    assert (demo.cwd / "reports").is_dir()
