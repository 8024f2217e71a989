"""A real sshd for tests: throw-away keys, a free port, loopback or a network namespace."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SSHD = "/usr/sbin/sshd"
INSTALL = "openssh-server is not installed: apt-get install -y openssh-server (nothing needs to be started by it)"


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@dataclass
class Sshd:
    """Keys and a client configuration in `folder`; after `start` an sshd accepts them for root. Needs root.

    Several of one folder, with different addresses, share the keys and the configuration.
    `config` is what TIDEOVER_SSH_CONFIG has to name. `prefix` is put before sshd: `ip netns exec <name>`.
    """

    folder: Path
    address: str = "127.0.0.1"
    port: int = 0
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not Path(SSHD).exists():
            raise RuntimeError(INSTALL)
        self.port = self.port or free_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("host", "client"):
            if not (self.folder / name).exists():
                keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
                subprocess.run(keygen, check=True)
        shutil.copy(self.folder / "client.pub", self.folder / "authorized_keys")
        self.trust((self.folder / "host.pub").read_text())
        self.config.write_text(
            f"Host *\n  IdentityFile {self.folder}/client\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.folder}/known_hosts\n  GlobalKnownHostsFile none\n"
        )
        self._server_config.write_text(
            f"ListenAddress {self.address}\nPort {self.port}\nHostKey {self.folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\nUseDNS no\n"
        )

    @property
    def _server_config(self) -> Path:
        return self.folder / f"sshd_config-{self.address}"

    @property
    def log(self) -> Path:
        return self.folder / f"log-{self.address}"

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def destination(self) -> str:
        return f"ssh://root@{self.address}:{self.port}"

    def trust(self, public_key: str) -> None:
        """Make known_hosts say that this is the key of every host."""
        (self.folder / "known_hosts").write_text(f"* {public_key}" if public_key else "")

    def start(self) -> None:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        log = self.log.open("ab")
        self.process = subprocess.Popen(
            [*self.prefix, SSHD, "-D", "-e", "-f", str(self._server_config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"]},
        )
        log.close()
        deadline = time.monotonic() + 5
        while "Server listening" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.log.unlink()
