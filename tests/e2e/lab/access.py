"""SSH to the lab's machines with keys of their own, without touching anyone's ~/.ssh."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.e2e.lab.network import run

_SSHD = """\
Port 22
HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
PrintMotd no
"""

# `ssh -F` replaces both the user's and the system's configuration.
_CLIENT = """\
Host *
    User root
    IdentityFile {directory}/key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {directory}/known_hosts
    StrictHostKeyChecking yes
    BatchMode yes
"""


def install(directory: Path, machines: Iterable[tuple[str, str, Path]]) -> None:
    """Each machine (name, address, disk) takes the lab's key and shows a host key that the lab's `ssh` knows."""
    home = directory / "ssh"
    home.mkdir()
    _generate(home / "key")
    known = []
    for name, address, disk in machines:
        own = disk / "ssh"
        _generate(own / "host_key")
        (own / "sshd_config").write_text(_SSHD)
        (own / "authorized_keys").write_text((home / "key.pub").read_text())
        known.append(f"{address},{name} {(own / 'host_key.pub').read_text()}")
    (home / "known_hosts").write_text("".join(known))
    (home / "config").write_text(_CLIENT.format(directory=home))


def client_configuration(directory: Path) -> Path:
    """The file for `ssh -F`. OpenSSH finds a home directory in the password database, so HOME would not move it."""
    return directory / "ssh" / "config"


def _generate(path: Path) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", path)
