"""A machine that is a process, behind a real IPMI controller: ipmi_sim, whose power script starts and kills it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

USER, PASSWORD = "fencer", "hush-4711-canary"
GUID = "a123456789abcdefa123456789abcdef"

# ipmi_sim calls it as `get power`, `set power 1`, and so on, and reads "power:1". One second is the time to die.
_POWER_SCRIPT = """#!/bin/sh
cd {directory} || exit 1
alive() {{ grep -Eqs '^State:[[:space:]]+[^ZX[:space:]]' "/proc/$(cat pid)/status"; }}
echo "$*" >> requests
case "$1 $2" in
"get power") if alive; then echo power:1; else echo power:0; fi ;;
"set power")
    if [ "$3" = 0 ]; then
        alive && kill -9 "$(cat pid)"
        for i in 1 2 3 4 5 6 7 8 9 10; do alive || exit 0; sleep 0.1; done
    elif ! alive; then
        setsid sleep 3600 < /dev/null > /dev/null 2>&1 &
        echo $! > pid
    fi ;;
esac
"""

_LAN = """name "tideover"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_admin md5
    guid {guid}
  endlan
  chassis_control "{script}"
  user 2 true "{user}" "{password}" admin 10 none md5
"""

_CONTROLLER = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""

# An ASF presence ping over RMCP (IPMI v2.0 specification, 13.2.3): the controller answers it without a session.
_PING = bytes.fromhex("06 00 ff 06 00 00 11 be 80 00 00 00")


class IpmiMachine:
    """While inside, the machine exists and its controller answers on `port` of 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._controller: subprocess.Popen[bytes] | None = None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def options(self) -> dict[str, str]:
        """What fence_ipmilan needs beside user and password."""
        # Without a cipher suite ipmitool asks for the list, which ipmi_sim does not know, and waits 10 s for it.
        return {"ip": "127.0.0.1", "ipport": str(self.port), "lanplus": "1", "cipher": "3", "power_wait": "0"}

    @property
    def pid(self) -> int:
        return int((self._directory / "pid").read_text())

    def alive(self) -> bool:
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except FileNotFoundError:
            return False
        return not any(line.startswith("State:") and line.split()[1] in "ZX" for line in status.splitlines())

    def switch(self, on: bool) -> None:
        """Switch the power at the machine itself, past the controller."""
        subprocess.run([self._directory / "power", "set", "power", "1" if on else "0"], check=True, timeout=10)
        assert self.alive() == on

    def requests(self) -> list[str]:
        """What the controller asked the power script to set."""
        return [line for line in (self._directory / "requests").read_text().splitlines() if line.startswith("set")]

    def answers(self) -> bool:
        """Whether the controller answers a ping within 0.5 s."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ping:
            ping.settimeout(0.5)
            ping.sendto(_PING, ("127.0.0.1", self.port))
            try:
                return bool(ping.recv(64))
            except (TimeoutError, ConnectionRefusedError):
                return False

    @contextmanager
    def silent(self) -> Iterator[None]:
        """While inside, the controller is frozen."""
        assert self._controller is not None
        self._controller.send_signal(signal.SIGSTOP)
        os.waitpid(self._controller.pid, os.WUNTRACED)  # a signal sent is not yet a process stopped
        try:
            assert not self.answers(), "the controller still answers"
            yield
        finally:
            self._controller.send_signal(signal.SIGCONT)

    def __enter__(self) -> IpmiMachine:
        missing = [tool for tool in ("ipmi_sim", "ipmitool", "fence_ipmilan") if not shutil.which(tool)]
        assert not missing, f"{missing} not found: apt-get install openipmi ipmitool fence-agents"
        script = self._directory / "power"
        script.write_text(_POWER_SCRIPT.format(directory=self._directory))
        script.chmod(0o755)
        (self._directory / "pid").write_text("0")
        (self._directory / "state").mkdir()
        lan, controller = self._directory / "lan.conf", self._directory / "controller.emu"
        lan.write_text(_LAN.format(port=self.port, guid=GUID, script=script, user=USER, password=PASSWORD))
        controller.write_text(_CONTROLLER)
        self.switch(on=True)
        argv = ["ipmi_sim", "-n", "-c", str(lan), "-f", str(controller), "-s", str(self._directory / "state")]
        with (self._directory / "ipmi_sim.log").open("wb") as log:
            self._controller = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while not self.answers():
            assert self._controller.poll() is None, (self._directory / "ipmi_sim.log").read_text()
            assert time.monotonic() < deadline, "ipmi_sim does not answer"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._controller:
            self._controller.kill()
            self._controller.wait()
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
