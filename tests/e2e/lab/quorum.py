"""Three etcd members, each in a network of its own, which can be cut off from the others and still be asked."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.etcd import START_LIMIT, Cluster, Member, within

PEERS, CLIENTS = 2380, 2379


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Quorum(Cluster):
    """The members, on one switch with this process."""

    @property
    def _name(self) -> str:
        return f"q{os.getpid()}"

    def _host(self, last: int) -> str:
        return f"10.215.{os.getpid() % 250}.{last}"

    def _namespace(self, member: Member) -> str:
        return f"{self._name}-{self.members.index(member)}"

    def plug(self) -> None:
        """The networks are there."""
        ip("link", "add", self._name, "type", "bridge")
        ip("link", "set", self._name, "up")
        ip("address", "add", f"{self._host(254)}/24", "dev", self._name)
        for n in range(self.size):
            namespace = f"{self._name}-{n}"
            ip("netns", "add", namespace)
            ip("link", "add", namespace, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            ip("link", "set", namespace, "master", self._name, "up")
            ip("-n", namespace, "address", "add", f"{self._host(n + 1)}/24", "dev", "eth0")
            ip("-n", namespace, "link", "set", "eth0", "up")
            ip("-n", namespace, "link", "set", "lo", "up")

    def unplug(self) -> None:
        """The networks are gone."""
        for n in range(self.size):
            for what in ("link", "netns"):  # the kernel takes its time with the links of a network that is gone
                subprocess.run(["ip", what, "delete", f"{self._name}-{n}"], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", self._name], capture_output=True, check=False)

    def _make(self, directory: Path) -> None:
        places = [(self._host(n + 1), PEERS, CLIENTS) for n in range(self.size)]
        starters = tuple(("ip", "netns", "exec", f"{self._name}-{n}") for n in range(self.size))
        self._settle(directory, places, starters)

    @contextmanager
    def cut(self, member: Member) -> Iterator[None]:
        """While inside, the member and the others hear nothing of each other; clients reach them all.

        Proven by what they say: the member knows no leader any more, and the others have one.
        """
        others = [other for other in self.members if other is not member]
        rules = (
            "add table ip cut\n"
            "add chain ip cut in { type filter hook input priority filter; }\n"
            "add chain ip cut out { type filter hook output priority filter; }\n"
            f"add rule ip cut in tcp dport {PEERS} drop\nadd rule ip cut in tcp sport {PEERS} drop\n"
            f"add rule ip cut out tcp dport {PEERS} drop\nadd rule ip cut out tcp sport {PEERS} drop\n"
        )
        self._filter(member, rules)
        try:
            within(START_LIMIT, lambda: _leader(member) is None, "the member that was cut off follows nobody")
            within(START_LIMIT, lambda: _agree(others), "the others follow one of them")
            yield
        finally:
            self._filter(member, "delete table ip cut\n")
        within(START_LIMIT, lambda: _agree(self.members), "all follow one again")

    def _filter(self, member: Member, rules: str) -> None:
        argv = ["ip", "netns", "exec", self._namespace(member), "nft", "-f", "-"]
        subprocess.run(argv, input=rules, text=True, check=True, capture_output=True)


def _leader(member: Member) -> str | None:
    """Whom it follows, by its own word; None where nobody."""
    leader = (member.status() or {}).get("leader", "0")
    return None if leader == "0" else str(leader)


def _agree(members: list[Member]) -> bool:
    leaders = {_leader(member) for member in members}
    led = {(member.status() or {"header": {}})["header"].get("member_id") for member in members}
    return len(leaders) == 1 and leaders <= led


@contextmanager
def quorum(binary: Path, directory: Path) -> Iterator[Quorum]:
    """Members that serve, and are gone at the end, with their networks."""
    found = Quorum(binary, directory)
    try:
        found.plug()
        found.start()
        yield found
    finally:
        found.stop()
        found.unplug()
