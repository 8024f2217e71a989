"""Faults of the lab. Each proves itself: it looks that the thing worked before and does not work after.

A method returns only when its fault holds and raises LabBroken where it did not take. What it returns is healed by
`heal()` or at the end of a `with`; a fault that is never healed goes with the lab.
"""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.e2e.lab import between_writes
from tests.e2e.lab.interception import PORT, End, Interception, Strikes
from tests.e2e.lab.network import LabBroken, run
from tests.e2e.lab.probing import connects, greets, refuses, send, within
from tests.e2e.lab.world import Lab
from tests.processes import stands_still

_ROOT = Path(__file__).parents[3]

PowerMoment = Literal["asked", "told", "off"]
"""A power controller is asked for the power; was told to change it and has not yet; has cut it and not yet answered."""

# A machine in each site that no fault ends: what a partition is proved with.
_WITNESSES = {"dc": "app-a", "cloud": "app-b", "ctl": "ns1", "client": "client"}


class Fault:
    """A fault that holds until it is healed, once."""

    def __init__(self, name: str, heal: Callable[[], None]) -> None:
        self.name, self._heal, self._healed = name, heal, False

    def heal(self) -> None:
        """The fault is over, or was already."""
        if not self._healed:
            self._healed = True
            self._heal()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()


class Intercepted(Fault):
    """Holds until healed; `interception` tells whether the request passed and was answered."""

    def __init__(self, name: str, heal: Callable[[], None], interception: Interception) -> None:
        super().__init__(name, heal)
        self.interception = interception


class ArmedFault:
    """Strikes by itself, inside of a power controller, when a request to it has come to a certain point."""

    def __init__(self, script: Path, struck: Callable[[], bool], heal: Callable[[], None]) -> None:
        self._script, self._struck, self._heal = script, struck, heal

    @property
    def struck(self) -> bool:
        """The trigger came, and the fault holds."""
        return self._struck()

    def heal(self) -> None:
        """The fault is over and will not strike again."""
        self._script.unlink(missing_ok=True)
        self._heal()


class Faults:
    """Every fault of one lab. `host` is `pg-a` or `pg-b`."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    # ---- machines

    def kill_host(self, host: str) -> Fault:
        """The machine has no power: its power controller, on another supply, reads `off`. Healed, it boots."""
        machine = self._lab.machines[host]
        self._before(machine.init is not None and self._lab.pings("client", host), f"{host} runs and answers")
        machine.power_off()
        self._gone(host)
        self._after(machine.chassis == "off", f"the chassis of {host} reads off")
        return Fault(f"{host} without power", machine.power_on)

    def crash_host(self, host: str) -> Fault:
        """The machine's system is dead while its chassis reads `on`. Healed, it was power-cycled."""
        machine = self._lab.machines[host]
        self._before(machine.init is not None and self._lab.pings("client", host), f"{host} runs and answers")
        machine.crash()
        self._gone(host)
        self._after(machine.chassis == "on", f"the chassis of {host} reads on")

        def cycle() -> None:
            machine.power_off()
            machine.power_on()

        return Fault(f"{host} crashed", cycle)

    def freeze_host(self, host: str) -> Fault:
        """Every process of the machine stands still. Healed, they go on as if nothing had been."""
        machine = self._lab.machines[host]
        self._before(greets(machine.ip, 22), f"sshd on {host} greets")

        def all_stopped() -> bool:
            processes = machine.processes()  # again and again: one may have forked before it was stopped
            send(signal.SIGSTOP, processes)
            return all(stands_still(pid) for pid in processes)

        within(60, all_stopped, f"every process of {host} stands still")
        self._after(not greets(machine.ip, 22), f"sshd on {host} is silent")
        return Fault(f"{host} frozen", lambda: send(signal.SIGCONT, machine.processes()))

    def kill_postgres(self, host: str) -> Fault:
        """Every process of the server was SIGKILLed, the machine lives on. Healed, the server was started again."""
        database = self._lab.databases[host]
        self._before(bool(database.processes()), f"PostgreSQL runs on {host}")
        send(signal.SIGKILL, database.processes())
        within(60, lambda: not database.processes(), f"PostgreSQL is gone from {host}")
        self._after(refuses(self._lab.address(host), 5432), f"{host} refuses SQL")
        return Fault(f"PostgreSQL on {host} killed", database.start)

    # ---- cables

    def partition(self, site: str) -> Fault:
        """The site is cut off from all others, not from its own clients; power controllers are not concerned."""
        lab, inner = self._lab, _WITNESSES[site]
        outer = next(machine for where, machine in _WITNESSES.items() if where != site)
        self._before(lab.pings(outer, inner), f"{outer} reaches {inner}")
        lab.network.trunk(site, "down")
        self._after(not lab.pings(outer, inner), f"{outer} cannot reach {inner}")
        self._after(not lab.pings(inner, outer), f"{inner} cannot reach {outer}")
        for host in (name for name in lab.machines if lab.site_of(name) == site and lab.machines[name].init):
            self._after(lab.pings(inner, host), f"{inner} still reaches {host} inside of the site")

        def join() -> None:
            lab.network.trunk(site, "up")
            within(60, lambda: lab.pings(outer, inner), f"{outer} reaches {inner} again")

        return Fault(f"site {site} cut off", join)

    def unplug(self, host: str) -> Fault:
        """The machine's own cable is out."""
        self._before(self._lab.pings("client", host), f"client reaches {host}")
        self._lab.network.port(host, "down")
        self._after(not self._lab.pings("client", host), f"client cannot reach {host}")
        return Fault(f"{host} unplugged", lambda: self._lab.network.port(host, "up"))

    def cut_bmc(self, host: str) -> Fault:
        """The machine's power controller cannot be reached; it works on."""
        address, port = self._lab.bmcs[host].address, f"bmc-{host}"
        self._before(self._lab.pings(None, address), f"the worker reaches the power controller of {host}")
        self._lab.network.port(port, "down")
        self._after(not self._lab.pings(None, address), f"the worker cannot reach the power controller of {host}")
        return Fault(f"power controller of {host} cut off", lambda: self._lab.network.port(port, "up"))

    def hide_from_worker(self, host: str) -> Fault:
        """The worker alone gets no answer from the machine; clients and the other machine do."""
        self._before(self._lab.pings(None, host), f"the worker reaches {host}")
        heal = self._filter(host, "hidden", f"ip saddr {self._lab.numbering.lan(1)} drop")
        self._after(not self._lab.pings(None, host), f"the worker cannot reach {host}")
        self._after(self._lab.pings("client", host), f"client still reaches {host}")
        return Fault(f"{host} hidden from the worker", heal)

    def cut_from_worker(self, part: str, *, answers_only: bool = False) -> Fault:
        """Nothing goes between the worker and this part of the lab, a machine, `ns1` or `bmc-pg-a`, any more; with
        `answers_only` what the worker sends still arrives."""
        controller = self._lab.bmcs.get(part.removeprefix("bmc-")) if part.startswith("bmc-") else None
        address = controller.address if controller else self._lab.address(part)
        numbering = self._lab.numbering
        worker = numbering.bmc(1) if controller else numbering.lan(1)
        self._before(self._lab.pings(None, address), f"the worker reaches {part}")
        if answers_only:
            heal = self._filter(part, "cut", f"ip daddr {worker} drop", "type filter hook output priority filter")
        else:
            heal = self._filter(part, "cut", f"ip saddr {worker} drop", "type filter hook prerouting priority raw")
        self._after(not self._lab.pings(None, address), f"the worker hears nothing of {part}")
        return Fault(f"{part} cut off from the worker", heal)

    def hide_sql_from_worker(self, host: str) -> Fault:
        """The worker alone gets no answer from the server; to the machine's other services it does."""
        address = self._lab.address(host)
        self._before(connects(address, 5432), f"the worker can connect to {host}")
        rule = f"ip saddr {self._lab.numbering.lan(1)} tcp dport 5432 drop"
        heal = self._filter(host, "hidden-sql", rule, "type filter hook prerouting priority raw")
        self._after(not connects(address, 5432), f"the worker cannot connect to {host}")
        self._after(not refuses(address, 5432), f"{host} does not refuse the worker either")
        self._after(self._lab.pings(None, host), f"the worker still reaches {host}")
        return Fault(f"SQL on {host} hidden from the worker", heal)

    # ---- replication

    def lag(self, standby: str) -> Fault:
        """The standby gets nothing more of the log, and does not know it. Healed, it streams again."""
        (upstream,) = (name for name in self._lab.machines if name != standby)
        primary, database = self._lab.databases[upstream], self._lab.databases[standby]
        within(60, lambda: self._catches_up(upstream, standby), f"{standby} follows {upstream}")
        heal = self._filter(standby, "lag", f"ip saddr {self._lab.address(upstream)} tcp sport 5432 drop")
        self._after(not self._catches_up(upstream, standby), f"{standby} stays behind {upstream}")

        def catch_up() -> None:
            heal()
            if database.processes() and primary.processes():  # the kernel would wait long before it sends again
                database.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_wal_receiver")

        return Fault(f"{standby} lags", catch_up)

    def _catches_up(self, upstream: str, standby: str) -> bool:
        """What is written on the upstream now is on the standby's disk within a moment."""
        position = self._lab.databases[upstream].ask("SELECT pg_logical_emit_message(true, 'lab', 'follow me')::text")
        self._lab.databases[upstream].ask("SELECT pg_logical_emit_message(true, 'lab', 'and flush')::text")
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            if self._lab.databases[standby].ask("SELECT pg_last_wal_receive_lsn() >= %s::pg_lsn", [position]):
                return True
            time.sleep(0.02)
        return False

    # ---- requests

    def refuse_sql(self, host: str) -> Fault:
        """The server's port refuses the worker's new connections: whatever it wants to ask is surely not sent."""
        self._before(connects(self._lab.address(host), 5432), f"the worker can connect to {host}")
        heal = self._filter(host, "refuse", self._refusal())
        self._after(refuses(self._lab.address(host), 5432), f"{host} refuses the worker's connections")
        return Fault(f"{host} refuses SQL", heal)

    def refuse_sql_once_off(self, host: str, *, off: str) -> ArmedFault:
        """`host` refuses the worker's SQL from the very moment in which the power of machine `off` is cut."""
        self._before(connects(self._lab.address(host), 5432), f"the worker can connect to {host}")
        script = self._lab.machines[off].directory / "at-power-off.d/refuse-sql"
        rules = self._rules("refuse", self._refusal())
        namespace = self._lab.numbering.namespace(host)
        script.write_text(f"ip netns exec {namespace} nft -f - <<'RULES'\n{rules}\nRULES\n")

        def struck() -> bool:
            return refuses(self._lab.address(host), 5432)

        return ArmedFault(script, struck, lambda: self._unfilter(host, "refuse"))

    def signal_worker(
        self, worker: int, number: signal.Signals, *, host: str, at: PowerMoment, journal: str
    ) -> ArmedFault:
        """The process `worker` gets the signal, once, when the power controller of `host` is at this moment, and while
        no other thread of it writes the journal: frozen in that it would stop every worker there is."""
        self._before(not stands_still(worker), f"the worker {worker} runs")
        folder = {"asked": "before-get-power.d", "told": "before-set-power.d", "off": "at-power-off.d"}[at]
        script = self._lab.machines[host].directory / folder / f"signal-{worker}"
        arguments = f"{shlex.quote(journal)} {worker} {number.value}"
        script.write_text(f"rm {script}\ncd {_ROOT} && {sys.executable} -m {between_writes.__name__} {arguments}\n")
        return ArmedFault(script, lambda: not script.exists() and stands_still(worker), lambda: None)

    def drop_answer(
        self, host: str, *, match: bytes = b"pg_promote", end: End = "reset", then: Callable[[], None] | None = None
    ) -> Intercepted:
        """The first request of the worker that holds `match` is carried out, and its answer never arrives."""
        return self.intercept(host, match, end, {"answer": then} if then else {})

    def intercept(self, host: str, match: bytes, end: End, strikes: Strikes) -> Intercepted:
        """The first request of the worker that holds `match` meets this end, and each strike happens at its moment."""
        namespace, address = self._lab.numbering.namespace(host), self._lab.address(host)
        interception = Interception(namespace, address, match, end, strikes)
        self._lab.at_close(interception.close)
        redirect = f"ip saddr {self._lab.numbering.lan(1)} tcp dport 5432 redirect to :{PORT}"
        unfilter = self._filter(host, "intercept", redirect, "type nat hook prerouting priority dstnat")

        def heal() -> None:
            unfilter()
            interception.close()

        self._after(self._lab.databases[host].ask("SELECT 1") == 1, f"SQL still reaches {host}")
        self._after(interception.connections == 1, "the worker's connection went through the fault point")
        return Intercepted(f"{match!r} to {host}: {end}", heal, interception)

    # ---- how

    def _refusal(self) -> str:
        source = self._lab.numbering.lan(1)
        return f"ip saddr {source} tcp dport 5432 tcp flags & (syn | ack) == syn reject with tcp reset"

    def _filter(
        self, host: str, name: str, rule: str, chain: str = "type filter hook input priority filter"
    ) -> Callable[[], None]:
        """The rule holds in the machine's network, whatever the machine does; the result lifts it."""
        namespace = self._lab.numbering.namespace(host)
        run("ip", "netns", "exec", namespace, "nft", "-f", "-", feed=self._rules(name, rule, chain))
        return lambda: self._unfilter(host, name)

    @staticmethod
    def _rules(name: str, rule: str, chain: str = "type filter hook input priority filter") -> str:
        return f"add table ip {name}\nadd chain ip {name} rules {{ {chain}; }}\nadd rule ip {name} rules {rule}\n"

    def _unfilter(self, host: str, name: str) -> None:
        rules = f"add table ip {name}\ndelete table ip {name}\n"  # `add` first: deleting what is not there fails
        run("ip", "netns", "exec", self._lab.numbering.namespace(host), "nft", "-f", "-", feed=rules)

    def _gone(self, host: str) -> None:
        self._after(not self._lab.machines[host].processes(), f"no process of {host} is left")
        self._after(not self._lab.pings("client", host), f"client cannot reach {host}")

    @staticmethod
    def _before(holds: bool, what: str) -> None:
        if not holds:
            msg = f"this fault would prove nothing: it is not so that {what}"
            raise LabBroken(msg)

    @staticmethod
    def _after(holds: bool, what: str) -> None:
        if not holds:
            msg = f"the fault did not take: it is not so that {what}"
            raise LabBroken(msg)
