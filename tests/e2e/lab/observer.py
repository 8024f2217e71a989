"""The independent observer: it commits to both databases all along, and it is the judge of I1 and I3."""

from __future__ import annotations

from collections.abc import Sequence

from tests.e2e.lab.committing import Attempt, Committing, Stream
from tests.e2e.lab.judge import Report, judge
from tests.e2e.lab.network import LabBroken
from tests.e2e.lab.world import HOSTS, Lab

INTERVAL = 0.02


def writer(lab: Lab, source: str = "writer", at: str = "client", by: str = "floating") -> Committing:
    """A client on machine `at` commits all the time, by the `floating` address, the `name`, or to a host's address."""
    namespace = lab.numbering.namespace(at)
    if by == "name":
        stream = Stream(source, namespace, name_servers=tuple(reversed(lab.name_servers)))
    else:
        stream = Stream(source, namespace, host=lab.floating if by == "floating" else by)
    return _start(lab, source, [stream])


class Observer:
    """Probes both servers from their own networks, in a process of its own, until the verdict is asked for."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._probes = {
            name: Stream(f"probe-{site}", lab.numbering.namespace(name), host=lab.machines[name].ip)
            for name, (site, _) in HOSTS.items()
        }
        self.committing = _start(lab, "observer", list(self._probes.values()))

    def accepted_by(self, machine: str) -> list[Attempt]:
        """The probes that this machine's server has acknowledged so far."""
        return self.committing.acked(self._probes[machine].source)

    def report(self, *clients: Committing, primary: str | None = None) -> Report:
        """The verdict, after the clients and the observer have stopped.

        `primary` is the server that is asked which commits there are: by default the only writable one. Raises
        LabBroken where a witness died before the end, never tried anything, or more than one server is writable and
        none was named.
        """
        attempts: dict[str, Sequence[Attempt]] = {}
        for process in (*clients, self.committing):
            process.stop()
            attempts |= {source: process.attempts(source) for source in process.sources}
        silent = sorted(source for source, tried in attempts.items() if not tried)
        if silent:
            msg = f"{silent} never tried to commit"
            raise LabBroken(msg)
        chosen = primary or self._only_writable()
        with self._lab.databases[chosen].connect() as connection:
            present = frozenset((row[0], row[1]) for row in connection.execute("SELECT source, n FROM commits"))
        sites = {name: site for name, (site, _) in HOSTS.items()}
        return judge(attempts, self.committing.sources, present, chosen, sites)

    def _only_writable(self) -> str:
        found = [name for name, server in self._lab.databases.items() if server.processes() and server.writable]
        if len(found) != 1:
            msg = f"writable servers: {found or 'none'}; name the one to be asked"
            raise LabBroken(msg)
        return found[0]


class Watch:
    """The observer, a client that goes by the floating address and one that goes by the name."""

    def __init__(self, lab: Lab) -> None:
        self.observer = Observer(lab)
        self.by_address, self.by_name = writer(lab, "by-address"), writer(lab, "by-name", by="name")

    def see_service(self) -> None:
        """Both clients get commits acknowledged, now."""
        for client in (self.by_address, self.by_name):
            client.wait_for_ack(client.sources[0])

    def report(self, *more: Committing, primary: str | None = None) -> Report:
        """The observer's verdict, with both clients' commits and those of `more`."""
        return self.observer.report(self.by_address, self.by_name, *more, primary=primary)

    def lost(self, verdict: Report) -> list[Attempt]:
        """The acknowledged commits, of clients and probes, that the verdict calls lost, the oldest first."""
        lost = set(verdict.lost)
        processes = (self.by_address, self.by_name, self.observer.committing)
        attempts = [a for process in processes for source in process.sources for a in process.acked(source)]
        return sorted((a for a in attempts if (a.source, a.n) in lost), key=lambda attempt: attempt.executed)


def _start(lab: Lab, name: str, streams: list[Stream]) -> Committing:
    committing = Committing(lab.directory / name, streams, INTERVAL)
    lab.adopt(committing.process)
    committing.wait_until_trying()
    return committing
