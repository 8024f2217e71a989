"""A machine of the lab: network, process, memory, mount and host-name namespaces of its own, and a power button.

Power off is a power cut: every process is SIGKILLed at once, the link goes down, addresses that were set at run time
are forgotten. Power on boots: own address, sshd, then what stands in `boot.d`, where nothing stands by default.
What stands in `before-get-power.d`, `before-set-power.d` and `at-power-off.d` runs inside of the power controller.

`python -m tests.e2e.lab.machine <directory> get power | set power 0|1` is the chassis control of the machine's BMC.
This module imports the standard library alone, because it starts once for every question to a BMC.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.e2e.lab.network import LabBroken, kill_all, processes_in, run

# Process ids go on where another boot would: with low ones, the postmaster.pid that a power cut leaves behind would
# name a process that runs. The root's home is empty, whatever stands in that of the machine underneath. Shared memory
# (System V's by its namespace, POSIX's by its directory) ends with the machine: a kernel has 4096 segments of it, and a
# PostgreSQL that loses its power leaves one behind.
_BOOT = """\
set -e
echo $(($(date +%s) % 20000 + 1000)) > /proc/sys/kernel/ns_last_pid
mount --bind {directory}/ssh /etc/ssh
mount --bind {directory}/postgresql /var/lib/postgresql
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=700 tmpfs /root
mkdir /run/sshd
install -d -o postgres -g postgres -m 2775 /run/postgresql
hostname {name}
ip link set lo up
ip link set eth0 up
ip address replace {address} dev eth0
/usr/sbin/sshd
for script in {directory}/boot.d/*; do
    if [ -e "$script" ]; then sh "$script" || echo "$script failed"; fi
done
exec sleep infinity
"""


@dataclass(frozen=True)
class Machine:
    """One machine: `namespace` is its network, `address` its own with the prefix length, `directory` its disk."""

    name: str
    namespace: str
    address: str
    directory: Path

    @property
    def ip(self) -> str:
        """The machine's own address."""
        return self.address.partition("/")[0]

    @classmethod
    def load(cls, directory: Path) -> Machine:
        """The machine whose disk this is."""
        found = json.loads((directory / "machine.json").read_text())
        return cls(**{**found, "directory": directory})

    def install(self) -> None:
        """The disk is there, power is off."""
        for part in ("ssh", "postgresql", "boot.d", "before-get-power.d", "before-set-power.d", "at-power-off.d"):
            (self.directory / part).mkdir(parents=True)
        (self.directory / "machine.json").write_text(json.dumps(asdict(self), default=str))
        (self.directory / "boot").write_text(_BOOT.format(**asdict(self)))
        self._note("chassis", "off")

    # ---- power

    @property
    def chassis(self) -> str:
        """What the power controller reads: `on` or `off`; it knows nothing of a crashed system."""
        return self.power_history[-1]

    @property
    def power_history(self) -> list[str]:
        """What the power has been, change by change; off at first."""
        return (self.directory / "chassis").read_text().split()

    @property
    def power_requests(self) -> list[str]:
        """Each request to the power controller, changing something or not: `off` or `on`."""
        path = self.directory / "requests"
        return path.read_text().split() if path.exists() else []

    def power_on(self) -> None:
        """Power is on and the machine boots, or has been on all along."""
        with self._alone():
            if self.chassis == "on":
                return
            self._start()
            self._note("chassis", "on")

    def power_off(self) -> None:
        """Power is off: no process is left, the link is down; then the scripts of `at-power-off.d` have run."""
        with self._alone():
            self._halt()
            if self.chassis == "off":
                return
            self._note("chassis", "off")
            self._run_all("at-power-off.d")

    def crash(self) -> None:
        """Nothing runs and the link is down, while the chassis still reads `on`: a kernel that panicked."""
        with self._alone():
            self._halt()

    def _start(self) -> None:
        command = (
            f"echo $$ > {self.directory}/launcher.pid; exec nsenter --net=/run/netns/{self.namespace} "
            "unshare --mount --uts --ipc --pid --fork --mount-proc "
            f"tini -- sh {self.directory}/boot"
        )
        (self.directory / "launcher.pid").unlink(missing_ok=True)
        with (self.directory / "console.log").open("a") as console:
            subprocess.run(
                ["setsid", "--fork", "sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                check=True,
            )
        deadline = time.monotonic() + 20
        while self.init is None:
            if time.monotonic() > deadline:
                msg = f"{self.name} does not start; see {self.directory}/console.log"
                raise LabBroken(msg)
            time.sleep(0.001)

    def _halt(self) -> None:
        if init := self.init:
            with suppress(ProcessLookupError):  # the kernel takes every process of the namespace along
                os.kill(init, signal.SIGKILL)
        kill_all([self.namespace])
        (self.directory / "launcher.pid").unlink(missing_ok=True)
        run("ip", "-n", self.namespace, "-batch", "-", feed="address flush dev eth0\nlink set eth0 down\n")

    # ---- what runs on it

    @property
    def init(self) -> int | None:
        """The id, as the root sees it, of the machine's first process; None where the machine does not run."""
        try:
            launcher = (self.directory / "launcher.pid").read_text().strip()
            children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        ours = set(self.processes())  # the launcher's id may belong to a stranger by now
        return next((int(child) for child in children if int(child) in ours), None)

    def processes(self) -> list[int]:
        """The ids, as the root sees them, of all that runs on the machine."""
        return processes_in([self.namespace])

    def named(self, program: str) -> list[int]:
        """The ids, as the root sees them, of the machine's processes of this name."""
        found = []
        for pid in self.processes():
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == program:
                    found.append(pid)
        return found

    def run(self, *argv: str | Path, user: str | None = None, timeout: float = 30.0) -> str:
        """The output of a program run on the machine, as root or as `user`. Raises LabBroken if it fails."""
        init = self.init
        if init is None:
            msg = f"{self.name} does not run"
            raise LabBroken(msg)
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"] if user else []
        return run("nsenter", f"--target={init}", "--all", "--wd=/", "--", *become, *argv, timeout=timeout)

    def wait_until_up(self, within: float = 60.0) -> None:
        """sshd listens."""
        deadline = time.monotonic() + within
        while not self.named("sshd"):
            if time.monotonic() > deadline:
                msg = f"{self.name} has no sshd after {within} s; see {self.directory}/console.log"
                raise LabBroken(msg)
            time.sleep(0.005)

    def requested(self, words: list[str]) -> None:
        """The power controller has noted the request, and what was to happen before it is carried out has happened."""
        self._run_all(f"before-{words[0]}-power.d")
        if words[0] == "set":
            self._note("requests", "on" if words[2] == "1" else "off")

    def _run_all(self, folder: str) -> None:
        for script in sorted((self.directory / folder).iterdir()):
            run("sh", script)

    def _note(self, file: str, word: str) -> None:
        with (self.directory / file).open("a") as out:
            out.write(f"{word}\n")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The power button is pressed by one at a time, be it the BMC or a fault."""
        with (self.directory / "button").open("w") as button:
            fcntl.flock(button, fcntl.LOCK_EX)
            yield


def chassis_control(directory: Path, words: list[str]) -> str:
    """The answer to ipmi_sim's `get power` or `set power 0|1`; other requests have no answer and no effect."""
    machine = Machine.load(directory)
    if words[:2] in (["get", "power"], ["set", "power"]):
        machine.requested(words)
    match words:
        case ["get", "power", *_]:
            return f"power:{int(machine.chassis == 'on')}"
        case ["set", "power", "1", *_]:
            machine.power_on()
        case ["set", "power", "0", *_]:
            machine.power_off()
        case _:
            msg = f"this chassis knows no {words}"
            raise LabBroken(msg)
    return ""


if __name__ == "__main__":
    print(chassis_control(Path(sys.argv[1]), sys.argv[2:]))  # noqa: T201 -- ipmi_sim reads it
