"""Which process drives an execution, and whether it still lives: asked of the kernel, where that can be asked."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.domain.base import Frozen
from orchestrator.domain.holder import Alive

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Process(Frozen):
    """A process, as it can be found again. `where`: the machine's boot and the namespace that its number counts in."""

    host: str
    where: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this() -> Process:
    """The process that asks."""
    pid = os.getpid()
    return Process(host=os.uname().nodename, where=_where(), pid=pid, started=_stat(pid)[1])


def alive(process: Process) -> Alive:
    """Whether it still runs. A number that another process has by now is not it; one that is only stopped is.

    It cannot be told of one that was started elsewhere, or before this machine's boot.
    """
    if process.where != _where():
        return Alive.CANNOT_TELL
    try:
        state, started = _stat(process.pid)
    except OSError:
        return _unseen(process.pid)
    return Alive.YES if started == process.started and state not in "ZX" else Alive.NO


def _unseen(pid: int) -> Alive:
    """Of a process that /proc does not show: it may be hidden there, as another user's (proc(5), `hidepid`)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return Alive.NO
    except OSError:
        pass
    return Alive.CANNOT_TELL


def _where() -> str:
    return f"{_BOOT.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"


def _stat(pid: int) -> tuple[str, str]:
    """State and start time, the fields 3 and 22 of proc_pid_stat(5). Raises OSError where there is no such process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[19]
