"""A power controller: Debian's ipmi_sim on the BMC network, its chassis control wired to a machine's power button."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

from tests.e2e.lab.machine import Machine
from tests.e2e.lab.network import run

ROOT = Path(__file__).parents[3]
USERNAME = "fence"
PASSWORD = "canary-bmc-5c31"  # IPMI 2.0 has room for 20 bytes

# ipmi_lan(5); `chassis_control` is not in the manual, its requests are: "get power", "set power 0|1".
_LAN = """\
name "{name}"
set_working_mc 0x20
  startlan 1
    addr {address} 623
    priv_limit admin
    allowed_auths_admin none md2 md5 straight
    guid {guid}
  endlan
  chassis_control "{control}"
  user 1 true "" "" user 10 none
  user 2 true "{username}" "{password}" admin 10 none md2 md5 straight
"""

# ipmi_sim_cmd(5): one management controller, so that there is a chassis to ask.
_CONTROLLER = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""


class Bmc:
    """The power controller of one machine, at `address` in `namespace`."""

    def __init__(self, machine: Machine, namespace: str, address: str, number: int) -> None:
        self.machine, self.namespace, self.address = machine, namespace, address
        # All bytes alike: firmware and tools do not agree on the order in which a GUID's bytes are shown.
        self.uuid = str(uuid.UUID(bytes=bytes([number]) * 16))
        self.directory = machine.directory.parent / f"bmc-{machine.name}"

    def start(self) -> subprocess.Popen[bytes]:
        """The controller listens, or soon will; its process is the caller's to end."""
        self.directory.mkdir()
        control = self.directory / "chassis-control"
        control.write_text(
            f"#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m tests.e2e.lab.machine {self.machine.directory} "
            f'"$@" 2>>{self.directory}/log\n'
        )
        control.chmod(0o755)
        lan = _LAN.format(
            name=self.machine.name,
            address=self.address,
            guid=self.uuid.replace("-", ""),
            control=control,
            username=USERNAME,
            password=PASSWORD,
        )
        (self.directory / "lan.conf").write_text(lan)
        (self.directory / "controller").write_text(_CONTROLLER)
        files: list[str | Path] = [
            "-c",
            self.directory / "lan.conf",
            "-f",
            self.directory / "controller",
            "-s",
            self.directory / "state",
        ]
        (self.directory / "state").mkdir()
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "ipmi_sim", "-n", *files],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )

    def power(self) -> str:
        """What the controller itself answers, asked with ipmitool: `on` or `off`."""
        access = ["-I", "lanplus", "-C", "3", "-N", "1", "-R", "1", "-H", self.address, "-U", USERNAME, "-P", PASSWORD]
        return run("ipmitool", *access, "chassis", "power", "status").split()[-1]

    def fence(self, action: str) -> None:
        """`fence_ipmilan` has done `on` or `off` and read it back. Raises LabBroken if it says that it could not."""
        words = {**self.options, "username": USERNAME, "password": PASSWORD, "action": action}
        run("fence_ipmilan", feed="".join(f"{key}={value}\n" for key, value in words.items()), timeout=60.0)

    @property
    def options(self) -> dict[str, str]:
        """What `fence_ipmilan` needs beside user name and password.

        cipher: ipmi_sim offers suite 3 only, and ipmitool's search for a better one takes 14 s.
        power_wait: the agent reads the power back in any case; its default is to wait 2 s before it does.
        """
        return {"ip": self.address, "lanplus": "1", "cipher": "3", "power_wait": "0"}
