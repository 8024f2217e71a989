"""A host of the demo: a directory, a power switch and whatever PostgreSQL processes run behind it.

Every program in the host's `bin/` is a wrapper that opens the file `power`, takes a shared lock on it, refuses while
it says `off`, and becomes the real program. The open file and its lock are inherited by every process that comes of
it, so:

- whoever holds `power` open is a process of this host, however it was forked or renamed;
- an exclusive lock on `power` is had only when no process of the host is left: that is the proof of a power-off;
- a start that races with a power-off either has the lock, and is found and killed, or reads `off`.

Switching on starts nothing, as with a machine whose database is not enabled at boot. Only the standard library is
imported here, because the fence agent is a program of its own that has to start fast.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_WRAPPER = """\
#!/bin/sh
exec 9<{power}
if ! flock -n -s 9 || ! read -r state <&9 || [ "$state" != on ]; then
    echo "host {name} is powered off" >&2
    exit 255
fi
exec {real} "$@"
"""

_PROBES = 3
"""Somebody else may be looking at the same instant, which takes the lock for some microseconds."""

_SEGMENT_LINE = 6
"""In postmaster.pid, LOCK_FILE_LINE_SHMEM_KEY of PostgreSQL's utils/pidfile.h: "key id"."""


@dataclass(frozen=True)
class Host:
    """The host whose directory this is; its name is the directory's."""

    directory: Path

    @property
    def name(self) -> str:
        """The name by which a fence agent is told to switch it."""
        return self.directory.name

    @property
    def bin_directory(self) -> Path:
        """PostgreSQL's programs as they are on this host."""
        return self.directory / "bin"

    @property
    def data_directory(self) -> Path:
        """The database's files."""
        return self.directory / "data"

    @property
    def switch(self) -> Path:
        """The file that says `on` or `off` and that each process of the host holds open."""
        return self.directory / "power"

    def install(self, programs: Iterable[Path]) -> None:
        """The host exists, is on, and has `programs`."""
        self.bin_directory.mkdir(parents=True)
        for place in (self.directory, self.bin_directory):
            place.chmod(0o755)  # whatever the umask
        self.switch.write_text("on \n")
        self.switch.chmod(0o644)
        for real in programs:
            wrapper = self.bin_directory / real.name
            wrapper.write_text(
                _WRAPPER.format(power=shlex.quote(str(self.switch)), name=self.name, real=shlex.quote(str(real)))
            )
            wrapper.chmod(0o755)

    @property
    def power(self) -> Literal["on", "off"]:
        """What the host is: `off` only where the switch says so and no process is left."""
        return "off" if self._switched_off() and self.is_vacant() else "on"

    def power_on(self) -> None:
        """Programs may run again; none is started."""
        self._set("on \n")

    def power_off(self, within: float = 5.0) -> None:
        """No process of this host is left and none can start. Raises TimeoutError where some survive."""
        self._set("off\n")
        self.kill(within)

    def kill(self, within: float = 5.0) -> None:
        """Every process of this host was killed with SIGKILL and is proven gone; the power stays as it is."""
        if self.directory.stat().st_uid != os.geteuid():
            self._as_owner("kill", within)
            return
        deadline = time.monotonic() + within
        while not self.is_vacant():
            for pid in self.processes():
                self._kill(pid)
            if time.monotonic() > deadline:
                msg = f"host {self.name}: processes {sorted(self.processes())} survived SIGKILL for {within:g} s"
                raise TimeoutError(msg)
            time.sleep(0.002)
        self._forget()

    def is_vacant(self) -> bool:
        """True where no process of this host exists."""
        for _ in range(_PROBES):
            with self.switch.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(0.001)
                else:
                    return True
        return False

    def processes(self) -> set[int]:
        """The processes of this host, as far as we may look; run it as the owner of the host's directory."""
        return {pid for pid in _all_processes() if self._is_ours(pid)}

    def _is_ours(self, pid: int) -> bool:
        found = self.switch.stat()
        return (found.st_dev, found.st_ino) in _open_files(pid)

    def _kill(self, pid: int) -> None:
        """A process descriptor, looked at again: the number may meanwhile belong to somebody else."""
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if self._is_ours(pid):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            os.close(process)

    def _forget(self) -> None:
        """A machine's memory and process table end with it; here PostgreSQL's shared segment would stay (a kernel has
        4096 of them), and a killed postmaster that init has not reaped yet would pass for a running one (pg_ctl and
        the postmaster ask kill(pid, 0)). Nobody else can need the file: the host is vacant.
        """
        lock = self.data_directory / "postmaster.pid"
        lines = lock.read_text().splitlines() if lock.exists() else []
        if len(lines) > _SEGMENT_LINE and (segment := lines[_SEGMENT_LINE].split()):
            subprocess.run(["ipcrm", "-m", segment[-1]], capture_output=True, check=False)  # noqa: S607  util-linux
        lock.unlink(missing_ok=True)

    def _switched_off(self) -> bool:
        return self.switch.read_text().strip() == "off"

    def _set(self, state: str) -> None:
        """In place, because the file's identity is what the processes of the host are found by."""
        with self.switch.open("r+") as file:
            file.write(state)
            file.flush()
            os.fsync(file.fileno())

    def _as_owner(self, action: str, within: float) -> None:
        """Root without CAP_SYS_PTRACE (in a container) cannot look into another user's processes: become that user."""
        argv = [sys.executable, "-P", "-m", __name__, action, str(self.directory), str(within)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=within + 10, check=False)
        if done.returncode:
            raise TimeoutError(done.stderr.strip().rpartition("\n")[2])


def become_owner(directory: Path) -> None:
    """Root gives up its rights for those of the directory's owner; anyone else stays who they are."""
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def _all_processes() -> Iterable[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208  names are all that is needed


def _open_files(pid: int) -> set[tuple[int, int]]:
    """Device and inode of each file that the process has open."""
    directory, found = f"/proc/{pid}/fd", set()
    try:
        descriptors = os.listdir(directory)  # noqa: PTH208
    except OSError:  # it has ended, or it is not ours to look at; the lock is what proves the host vacant
        return set()
    for descriptor in descriptors:
        try:
            status = os.stat(f"{directory}/{descriptor}")  # noqa: PTH116
        except OSError:  # closed meanwhile
            continue
        found.add((status.st_dev, status.st_ino))
    return found


if __name__ == "__main__":
    _, _action, _directory, _within = sys.argv
    become_owner(Path(_directory))
    Host(Path(_directory)).kill(float(_within))
