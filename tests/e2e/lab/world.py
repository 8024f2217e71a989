"""The lab as a whole: what stands where, how it starts, and that nothing of it remains."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.lab import access, names
from tests.e2e.lab.bmc import Bmc
from tests.e2e.lab.database import Database
from tests.e2e.lab.machine import Machine
from tests.e2e.lab.network import BMC_BRIDGE, Claim, Network, Numbering, answers_ping, run, site_bridge

HOSTS = {"pg-a": ("dc", 11), "pg-b": ("cloud", 12)}
OTHERS = {
    "ns1": ("ctl", 21),
    "ns2": ("client", 22),
    "client": ("client", 31),
    "app-a": ("dc", 32),
    "app-b": ("cloud", 33),
}
FLOATING = 100


class Lab:
    """Two database machines in two sites, their power controllers, DNS in the control and the client site, clients.

    `client` is a client in a site of its own; `app-a` and `app-b` are clients beside the databases, which a partition
    locks in with theirs. The worker of the program under test runs in the root namespace and sees all of it. `number`:
    which lab it is; the first that is free where none is given.
    """

    def __init__(self, template: Path, number: int | None = None) -> None:
        self._template, self._number = template, number
        self._remains = ExitStack()
        self.start_seconds = self.stop_seconds = 0.0

    def __enter__(self) -> Self:
        begun = time.monotonic()
        claim = Claim() if self._number is None else Claim([self._number])
        self._remains.callback(claim.release)
        try:
            self.lay_out(claim.numbering)
            self._build()
        except BaseException:
            self.close()
            raise
        self.start_seconds = time.monotonic() - begun
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """No namespace, process, interface or file of the lab remains."""
        begun = time.monotonic()
        self._remains.close()
        self.stop_seconds = time.monotonic() - begun

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """The process is ended with the lab."""
        self._remains.callback(process.wait)
        self._remains.callback(process.kill)

    def at_close(self, action: Callable[[], None]) -> None:
        """The action is taken before the lab goes."""
        self._remains.callback(action)

    # ---- building

    def lay_out(self, numbering: Numbering) -> None:
        """Every part has its name and address; nothing exists yet."""
        self.numbering, self.directory, self.network = numbering, numbering.directory, Network(numbering)
        self.floating = numbering.lan(FLOATING)
        self.name_servers = tuple(numbering.lan(OTHERS[name][1]) for name in ("ns1", "ns2"))
        self.machines = {name: self._machine(name) for name in HOSTS}
        self.databases = {name: Database(machine) for name, machine in self.machines.items()}
        self.bmcs = {name: self._bmc(name) for name in HOSTS}

    def _machine(self, name: str) -> Machine:
        address = f"{self.numbering.lan(HOSTS[name][1])}/24"
        return Machine(name, self.numbering.namespace(name), address, self.directory / name)

    def _bmc(self, name: str) -> Bmc:
        number = HOSTS[name][1]
        return Bmc(self.machines[name], self.numbering.namespace(f"bmc-{name}"), self.numbering.bmc(number), number)

    def _build(self) -> None:
        self.directory.mkdir(mode=0o755)
        self.network.build()
        for name, (site, host) in {**HOSTS, **OTHERS}.items():
            self.network.add(name, site_bridge(site), self.numbering.lan(host))
        for name, controller in self.bmcs.items():
            self.network.add(f"bmc-{name}", BMC_BRIDGE, controller.address)
            self.machines[name].install()
        access.install(self.directory, [(m.name, m.ip, m.directory) for m in self.machines.values()])
        self._start()

    def _start(self) -> None:
        for controller in self.bmcs.values():
            self.adopt(controller.start())
        ns1, ns2 = self.name_servers
        for name, own, other, holder in (("ns1", ns1, ns2, self.address("pg-a")), ("ns2", ns2, ns1, None)):
            namespace = self.numbering.namespace(name)
            self.adopt(names.start_server(namespace, self.directory / name, own, other, holder))
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(self._start_host, name) for name in HOSTS]:
                started.result()
        self.databases["pg-a"].wait_for_streaming()
        for server in self.name_servers:
            names.wait_for(server, [self.address("pg-a")])

    def _start_host(self, name: str) -> None:
        machine, database = self.machines[name], self.databases[name]
        database.install(self._template, upstream=None if name == "pg-a" else self.machines["pg-a"].ip)
        machine.power_on()
        machine.wait_until_up()
        database.start()
        if name == "pg-a":
            self.take_floating(name, announce=False)

    # ---- asking

    def namespace(self, machine: str | None) -> str | None:
        """The network namespace of a machine; None, the root's own, for None."""
        return None if machine is None else self.numbering.namespace(machine)

    def address(self, machine: str) -> str:
        """The machine's own address on the LAN."""
        return self.numbering.lan({**HOSTS, **OTHERS}[machine][1])

    def site_of(self, machine: str) -> str:
        """The site that a machine stands in."""
        return {**HOSTS, **OTHERS}[machine][0]

    def pings(self, source: str | None, target: str) -> bool:
        """One echo comes back to the machine `source` (None: the worker) from the address or machine `target`."""
        address = self.address(target) if target in {**HOSTS, **OTHERS} else target
        return answers_ping(self.namespace(source), address)

    def holder_of_floating(self) -> list[str]:
        """The machines that have the floating address now; read without the network, from their own interfaces."""
        return [name for name in HOSTS if f" {self.floating}/" in self._addresses(name)]

    def take_floating(self, machine: str, *, announce: bool = True) -> None:
        """The machine holds the floating address; its neighbours know it at once only where it is announced."""
        host = self.machines[machine]
        host.run("ip", "address", "replace", f"{self.floating}/24", "dev", "eth0")
        if announce:
            host.run("arping", "-q", "-A", "-c", "1", "-I", "eth0", self.floating)

    def _addresses(self, name: str) -> str:
        return run("ip", "-n", self.numbering.namespace(name), "address", "show", "dev", "eth0")

    def logs(self) -> dict[str, str]:
        """The end of every log that the lab keeps, by its place."""
        found = [*self.directory.rglob("log"), *self.directory.rglob("console.log")]
        return {str(path.relative_to(self.directory)): path.read_text(errors="replace")[-2000:] for path in found}
