"""The lab's networks: one namespace a machine, one switch namespace, and the switch's cables.

Every site is a bridge; trunks join them to a core bridge, so that all of them are one LAN and an address really moves
by gratuitous ARP. A second, separate network (`bmc`) joins the power controllers. The root namespace is plugged into
the control site and the BMC network, so that a worker started as an ordinary process reaches everything.

A lab is known by a number, which is part of every name and address. Each is held by one process, so that
labs run in parallel, and what a killed run left behind is swept by the next lab that gets its number.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NAMESPACES = Path("/run/netns")
SITES = ("dc", "cloud", "ctl", "client")
SWITCH = "switch"
BMC_BRIDGE = "net-bmc"
MOST_LABS = 64
_CLONE_NEWNET = 0x40000000


class LabBroken(Exception):
    """The lab itself did not do what it was asked for: no verdict on the program under test."""


def run(*argv: str | Path, feed: str | None = None, timeout: float = 20.0) -> str:
    """The program's output. Raises LabBroken with its error text if it fails or takes too long."""
    words = [str(word) for word in argv]
    try:
        ended = subprocess.run(words, input=feed, capture_output=True, text=True, check=True, timeout=timeout)
    except subprocess.CalledProcessError as error:
        msg = f"{' '.join(words)}: exit {error.returncode}: {error.stderr.strip()} {error.stdout.strip()}"
        raise LabBroken(msg) from error
    except subprocess.TimeoutExpired as error:
        msg = f"{' '.join(words)}: no end within {timeout} s"
        raise LabBroken(msg) from error
    return ended.stdout


def site_bridge(site: str) -> str:
    """The bridge that is the site's own network."""
    return f"net-{site}"


_BRIDGES = ("core", BMC_BRIDGE, *map(site_bridge, SITES))


@dataclass(frozen=True)
class Numbering:
    """Names and addresses of lab `number`: 198.18.0.0/15 is set aside for such tests (RFC 2544)."""

    number: int

    def namespace(self, machine: str) -> str:
        return f"tide{self.number}-{machine}"

    def lan(self, host: int) -> str:
        return f"198.18.{self.number}.{host}"

    def bmc(self, host: int) -> str:
        return f"198.19.{self.number}.{host}"

    @property
    def root_lan(self) -> str:
        """The interface of the root namespace in the control site."""
        return f"tide{self.number}"

    @property
    def root_bmc(self) -> str:
        """The interface of the root namespace in the BMC network."""
        return f"tide{self.number}m"

    @property
    def directory(self) -> Path:
        """Where the lab keeps its files; everyone may enter it, the database's user too."""
        return Path(f"/tmp/tideover-lab-{self.number}")  # noqa: S108 -- named by number, so that the next lab of this number sweeps it


class Claim:
    """Holds a lab number that nobody else has; whatever an earlier holder left behind is gone.

    The number is held by an abstract socket: no file is left behind, and the kernel frees it with the process.
    """

    def __init__(self, among: Iterable[int] = range(1, MOST_LABS)) -> None:
        for number in among:
            held = socket.socket(socket.AF_UNIX)
            try:
                held.bind(f"\0tideover-lab-{number}")
            except OSError:
                held.close()
                continue
            self._held, self.numbering = held, Numbering(number)
            sweep(self.numbering)
            return
        msg = f"all lab numbers of {among} are taken"
        raise LabBroken(msg)

    def release(self) -> None:
        """Sweep what the lab made and give the number back."""
        try:
            sweep(self.numbering)
        finally:
            self._held.close()


def sweep(numbering: Numbering) -> None:
    """Nothing of this lab number remains: no process, namespace, interface or file."""
    names = namespaces_of(numbering)
    kill_all(names)
    for name in names:
        run("ip", "netns", "delete", name)
    for interface in (numbering.root_lan, numbering.root_bmc):
        if Path("/sys/class/net", interface).exists():
            # Its peer went away with the switch's namespace; the kernel does that a moment later.
            subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)
    if numbering.directory.exists():
        shutil.rmtree(numbering.directory)


def namespaces_of(numbering: Numbering) -> list[str]:
    """The names of the lab's namespaces that exist."""
    return sorted(path.name for path in NAMESPACES.glob(numbering.namespace("*")))


def processes_in(namespaces: Iterable[str]) -> list[int]:
    """The ids, as the root sees them, of every process in these network namespaces."""
    inodes = {(NAMESPACES / name).stat().st_ino for name in namespaces}
    found = []
    for entry in os.scandir("/proc"):
        with suppress(OSError):  # it ended while we looked, or is a zombie, or no process
            if entry.name.isdigit() and Path(f"/proc/{entry.name}/ns/net").stat().st_ino in inodes:
                found.append(int(entry.name))
    return found


def kill_all(namespaces: Iterable[str], within: float = 5.0) -> None:
    """No process is left in these namespaces."""
    names, deadline = list(namespaces), time.monotonic() + within
    while names and (left := processes_in(names)):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            msg = f"processes {left} in {names} outlive SIGKILL"
            raise LabBroken(msg)
        time.sleep(0.002)


def enter(namespace: str) -> None:
    """This thread, and no other, is in the network namespace from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (NAMESPACES / namespace).open() as handle:
        if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            msg = f"cannot enter {namespace}: {os.strerror(ctypes.get_errno())}"
            raise LabBroken(msg)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """While inside, this thread makes its sockets in the network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home:
        enter(namespace)
        try:
            yield
        finally:
            libc.setns(home.fileno(), _CLONE_NEWNET)


def answers_ping(namespace: str | None, address: str) -> bool:
    """True where one of two echoes comes back; `namespace` None asks from the root namespace."""
    ping = ["ping", "-q", "-n", "-c1", "-W0.4", address]
    argv = ping if namespace is None else ["ip", "netns", "exec", namespace, *ping]
    return any(subprocess.run(argv, capture_output=True, check=False).returncode == 0 for _ in range(2))


class Network:
    """The lab's switch and its cables. `add` plugs a machine in; `port` and `trunk` set a cable up or down."""

    def __init__(self, numbering: Numbering) -> None:
        self.numbering = numbering
        self.switch = numbering.namespace(SWITCH)

    def build(self) -> None:
        """The switch stands, with all sites joined and the root namespace plugged in."""
        run("ip", "netns", "add", self.switch)
        _no_ipv6(self.switch)
        lines = [f"link add name {bridge} up type bridge forward_delay 0" for bridge in _BRIDGES]
        for site in SITES:
            lines.append(f"link add name core-{site} up master core type veth peer name {site}-core")
            lines.append(f"link set {site}-core up master {site_bridge(site)}")
        self._batch(self.switch, lines)
        for interface, bridge, address in (
            (self.numbering.root_lan, site_bridge("ctl"), self.numbering.lan(1)),
            (self.numbering.root_bmc, BMC_BRIDGE, self.numbering.bmc(1)),
        ):
            run("ip", "link", "add", "name", interface, "type", "veth", "peer", "name", interface, "netns", self.switch)
            self._batch(self.switch, [f"link set {interface} up master {bridge}"])
            run("ip", "link", "set", interface, "addrgenmode", "none")
            run("ip", "link", "set", interface, "up")
            run("ip", "address", "add", f"{address}/24", "dev", interface)

    def add(self, machine: str, bridge: str, address: str) -> str:
        """A namespace for this machine with `eth0` at `address`, plugged into the bridge. Its name is returned."""
        namespace = self.numbering.namespace(machine)
        run("ip", "netns", "add", namespace)
        _no_ipv6(namespace)
        run(
            *f"ip link add name eth0 netns {namespace} type veth peer name {machine} netns {self.switch}".split(),
        )
        self._batch(namespace, ["link set lo up", "link set eth0 up", f"address add {address}/24 dev eth0"])
        self._batch(self.switch, [f"link set {machine} up master {bridge}"])
        return namespace

    def port(self, machine: str, state: str) -> None:
        """The machine's port of the switch is `up` or `down`."""
        self._batch(self.switch, [f"link set {machine} {state}"])

    def trunk(self, site: str, state: str) -> None:
        """The cable between the site and the core is `up` or `down`; the site's own machines notice nothing."""
        self._batch(self.switch, [f"link set core-{site} {state}"])

    @staticmethod
    def _batch(namespace: str, lines: list[str]) -> None:
        run("ip", "-n", namespace, "-batch", "-", feed="\n".join(lines) + "\n")


def _no_ipv6(namespace: str) -> None:
    """Interfaces get no link-local address, whose duplicate detection would take a second."""
    with inside(namespace), suppress(FileNotFoundError):
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
