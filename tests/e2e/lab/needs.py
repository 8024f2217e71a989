"""What the lab needs of the machine that it runs on."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

PACKAGES = Path(__file__).parent.parent / "packages.txt"

PROGRAMS = (
    "arping",
    "fence_ipmilan",
    "ip",
    "ipmi_sim",
    "ipmitool",
    "knotc",
    "knotd",
    "nft",
    "nsenter",
    "ping",
    "setpriv",
    "ssh",
    "ssh-keygen",
    "sshd",
    "tini",
    "unshare",
)


def find_program(name: str) -> str | None:
    """The absolute path of a program, looked for in the system's administrative directories as well."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def postgresql_directory() -> Path | None:
    """The `bin` directory of the newest system PostgreSQL that has a server, if there is one."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: float(path.parent.name), default=None)


def missing() -> list[str]:
    """Everything the lab lacks here, one short text each; empty where it can run."""
    if os.geteuid() != 0:
        return ["root (network namespaces, other users' processes)"]
    lacks = [f"the program {name}" for name in PROGRAMS if find_program(name) is None]
    if postgresql_directory() is None:
        lacks.append("a PostgreSQL server under /usr/lib/postgresql")
    lacks += [f"the OS user {name}" for name in ("postgres", "sshd") if not _user_exists(name)]
    return lacks or _missing_in_kernel()


def how_to_get_it() -> str:
    """The command that brings every Debian package of the lab."""
    names = [line for line in PACKAGES.read_text().split("\n") if line and not line.startswith("#")]
    return "apt-get install --no-install-recommends " + " ".join(names)


def _user_exists(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _missing_in_kernel() -> list[str]:
    """What a throw-away network namespace refuses: a container without the capabilities, a kernel without bridges."""
    trial = "ip link add name probe type bridge && nft add table inet probe && mount -t tmpfs none /mnt"
    ran = subprocess.run(
        ["unshare", "--net", "--pid", "--uts", "--ipc", "--mount", "--fork", "sh", "-ec", trial],
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if ran.returncode == 0 else [f"namespaces, bridges or nftables in this kernel ({ran.stderr.strip()})"]
