"""Runs a program that an operator named: no shell, own process group, killed with its children when time is up."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

OUTPUT_LIMIT = 65_536
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Ended:
    """How a program ended. `code` is None where it was killed because its time was up; negative: killed by a signal."""

    code: int | None
    stdout: str
    stderr: str


def search_path() -> str:
    """Our own PATH and then the system's: an unprivileged user's PATH lacks the sbin folders on Debian."""
    own = os.environ.get("PATH", "")
    return f"{own}:{_SYSTEM_PATH}" if own else _SYSTEM_PATH


def bare_environment(**more: str) -> dict[str, str]:
    """PATH, HOME and an English locale, and `more`: nothing else of our own environment reaches the program (I14)."""
    return {"PATH": search_path(), "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **more}


def redacted(text: str, secret: Mapping[str, str], limit: int = 200) -> str:
    """`text` on one line of at most `limit` characters, each secret's value replaced by its field's name (I14)."""
    for name, value in sorted(secret.items(), key=lambda field: -len(field[1])):
        text = text.replace(value, f"[{name}]") if value else text
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[:limit]}..."


def run(
    argv: Sequence[str], *, stdin: str, timeout: float, environment: Mapping[str, str], directory: Path | None = None
) -> Ended:
    """The program has ended, or was killed with its whole process group `timeout` seconds after its start. One that has
    become another user's, as `sudo` does, we may not kill: it runs on, and counts as one whose time was up.

    Output goes to files and not to pipes: a child that the program leaves behind on purpose would hold a pipe open
    and make a finished program look like a hanging one. Raises OSError where the program cannot be started.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )
        try:
            process.communicate(stdin.encode(), timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            return Ended(None, _text(stdout), _text(stderr))
        except BaseException:
            _kill_group(process)
            raise
        return Ended(process.returncode, _text(stdout), _text(stderr))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        with suppress(OSError):  # what was not written yet need not be
            process.stdin.close()
    if process.poll() is None:  # not reaped yet, so that the group's id cannot be anyone else's
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except PermissionError:
            return
    process.wait()


def _text(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read(OUTPUT_LIMIT).decode(errors="replace")
