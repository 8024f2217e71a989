"""A floating address on hosts in network namespaces, reached by a real sshd; a third namespace is the client's."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from orchestrator.domain.catalog import Site
from orchestrator.domain.errors import Doubtful, GuardRefused, Misconfigured, NotFound, Unreachable
from orchestrator.domain.world import Holder
from orchestrator.ports import Binding
from orchestrator.runtime import ssh
from orchestrator.runtime.command import Completed
from orchestrator.runtime.host import Host
from providers.linux.errors import BY_COMPLAINT, complained
from providers.linux.floating_ip import _RELEASE, FloatingIp
from providers.linux.spec import FloatingIpPlace, FloatingIpSettings
from tests.providers.contract import RecordedCall, ResourceContract, settle
from tests.ssh import Sshd

pytestmark = pytest.mark.lab


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


@dataclass
class Lan:
    """Hosts a, b and c on one switch; this process is plugged in as well. Each site's host runs an sshd."""

    folder: Path
    name: str = field(default_factory=lambda: f"tfip{os.getpid()}")
    sshd: dict[str, Sshd] = field(default_factory=dict)

    def address(self, host: str) -> str:
        return f"10.213.{os.getpid() % 250}.{'-abc'.index(host)}"

    @property
    def floating(self) -> str:
        return f"10.213.{os.getpid() % 250}.100"

    def namespace(self, host: str) -> str:
        return f"{self.name}{host}"

    def set_up(self) -> None:
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "add", "switch", "type", "bridge")
        ip("-n", self.name, "link", "set", "switch", "up")
        for host in "abc":
            ip("netns", "add", self.namespace(host))
            self._plug(host, "-n", self.namespace(host))
            ip("-n", self.namespace(host), "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            ip("-n", self.namespace(host), "link", "set", "lo", "up")
        self._plug("r")
        ip("address", "add", f"10.213.{os.getpid() % 250}.254/24", "dev", f"{self.name}r")
        for host in "ab":
            prefix = ["ip", "netns", "exec", self.namespace(host)]
            self.sshd[host] = Sshd(self.folder, self.address(host), port=22, prefix=prefix)

    def _plug(self, host: str, *where: str) -> None:
        """The host's interface is `eth0` there, and `<name>r` here."""
        interface = "eth0" if where else f"{self.name}r"
        port = f"port-{host}"
        at = ["netns", where[1]] if where else ["netns", str(os.getpid())]
        ip("-n", self.name, "link", "add", port, "type", "veth", "peer", "name", interface, *at)
        ip("-n", self.name, "link", "set", port, "master", "switch", "up")
        ip(*where, "link", "set", interface, "up")

    def tear_down(self) -> None:
        for server in self.sshd.values():
            server.stop()
        for host in ("a", "b", "c", ""):
            subprocess.run(["ip", "netns", "delete", self.name + host], capture_output=True, check=False)

    def reset(self) -> None:
        """a holds the address, b does not, c has forgotten where it is; every host is plugged in and answers."""
        for host in "ab":
            self.plug(host)
            for line in ip("-n", self.namespace(host), "-o", "-4", "address", "show", "to", self.floating).splitlines():
                ip("-n", self.namespace(host), "address", "delete", line.split()[3], "dev", "eth0")
        ip("-n", self.namespace("a"), "address", "add", f"{self.floating}/24", "dev", "eth0")
        ip("-n", self.namespace("c"), "neighbour", "flush", "dev", "eth0")

    def holders(self) -> set[str]:
        shown = {host: ip("-n", self.namespace(host), "-4", "address", "show") for host in "ab"}
        return {host for host, text in shown.items() if f" {self.floating}/" in text}

    def ping(self, timeout: float = 1.0) -> bool:
        """c reaches the address."""
        argv = ["ip", "netns", "exec", self.namespace("c"), "ping", "-c1", f"-W{timeout}", "-n", self.floating]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def neighbour(self) -> str | None:
        """The host whose hardware address c has for the floating address."""
        known = ip("-n", self.namespace("c"), "neighbour", "show", self.floating)
        macs = {host: ip("-n", self.namespace(host), "link", "show", "eth0") for host in "ab"}
        if "lladdr" not in known:
            return None
        return next(host for host, text in macs.items() if known.split("lladdr ")[1].split()[0] in text)

    def plug(self, host: str, plugged: bool = True) -> None:
        """A host that was plugged in answers: the kernel may take a second to bring the link up (linkwatch)."""
        ip("-n", self.name, "link", "set", f"port-{host}", "up" if plugged else "down")
        deadline = time.monotonic() + 10
        while plugged and not Host(f"root@{self.address(host)}").answers(within=1.0):
            assert time.monotonic() < deadline, f"{host} is plugged in and does not answer"


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    found = Lan(tmp_path_factory.mktemp("lan"))
    try:
        found.set_up()
        for server in found.sshd.values():
            server.start()
        yield found
    finally:
        found.tear_down()


@dataclass
class AddressHarness:
    lan: Lan
    resource: FloatingIp
    start: Holder = field(default_factory=lambda: Holder(site="site-a"))
    goal: Holder = field(default_factory=lambda: Holder(site="site-b"))
    secrets: Sequence[str] = ()

    def look(self) -> Holder:
        holders = self.lan.holders()
        assert len(holders) <= 1
        return Holder(site=f"site-{holders.pop()}" if holders else None)

    def picture(self) -> object:
        return self.lan.holders(), self.lan.neighbour()

    @contextmanager
    def cut(self) -> Iterator[None]:
        for host in "ab":
            self.lan.plug(host, plugged=False)
        assert not self.lan.ping(), "the cut does not cut"
        try:
            yield
        finally:
            for host in "ab":
                self.lan.plug(host)


@pytest.fixture
def harness(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> AddressHarness:
    monkeypatch.setenv(ssh.CONFIG_VARIABLE, str(lan.sshd["a"].config))
    lan.reset()
    return AddressHarness(lan, floating_ip(lan))


def floating_ip(lan: Lan, interface: str = "eth0") -> FloatingIp:
    places = {f"site-{h}": FloatingIpPlace(ssh=f"root@{lan.address(h)}", interface=interface) for h in "ab"}
    sites = {site: Site(provider="on-prem") for site in places}
    settings = FloatingIpSettings(address=IPv4Interface(f"{lan.floating}/24"))
    return FloatingIp(Binding("address", "address", None, settings, places, sites))


class TestFloatingIp(ResourceContract):
    covers = "linux.floating_ip holder"
    requests = 3

    @pytest.fixture
    def harness(self, harness: AddressHarness) -> AddressHarness:
        """A client has met the holder, so that the announcement is seen as well."""
        assert harness.lan.ping()
        assert harness.lan.neighbour() == "a"
        return harness


def test_clients_follow_at_once_and_would_not_without_the_announcement(harness: AddressHarness) -> None:
    lan = harness.lan
    assert lan.ping()
    assert lan.neighbour() == "a"
    ip("-n", lan.namespace("a"), "address", "delete", f"{lan.floating}/24", "dev", "eth0")
    ip("-n", lan.namespace("b"), "address", "add", f"{lan.floating}/24", "dev", "eth0")
    assert not lan.ping(), "positive control: a client that was told nothing still asks the old holder"
    lan.reset()
    assert lan.ping()
    assert lan.neighbour() == "a"
    harness.resource.apply(harness.goal, harness.resource.observe(), RecordedCall())
    assert lan.neighbour() == "b"
    assert lan.ping()


def test_no_packet_meets_a_time_without_a_holder(harness: AddressHarness) -> None:
    """A client whose first SYN is lost tries again after a second."""
    lan = harness.lan

    def lost_while(move: Callable[[], object]) -> int:
        asking = [
            "ip",
            "netns",
            "exec",
            lan.namespace("c"),
            "ping",
            "-q",
            "-n",
            "-i",
            "0.002",
            "-c",
            "1000",
            lan.floating,
        ]
        with subprocess.Popen(asking, stdout=subprocess.PIPE, text=True) as ping:
            time.sleep(0.2)
            move()
            said, _ = ping.communicate(timeout=30)
        sent, received = re.findall(r"(\d+) packets transmitted, (\d+) received", said)[0]
        return int(sent) - int(received)

    def leave_it_for_a_moment() -> None:
        ip("-n", lan.namespace("a"), "address", "delete", f"{lan.floating}/24", "dev", "eth0")
        time.sleep(0.1)
        ip("-n", lan.namespace("a"), "address", "add", f"{lan.floating}/24", "dev", "eth0")

    assert lost_while(leave_it_for_a_moment) > 2, "positive control: such a time is seen"
    assert lost_while(lambda: harness.resource.apply(harness.goal, harness.resource.observe(), RecordedCall())) == 0
    assert harness.look() == harness.goal


def test_it_is_announced_even_where_it_is_held_already(harness: AddressHarness) -> None:
    lan = harness.lan
    assert lan.ping()
    ip("-n", lan.namespace("a"), "address", "delete", f"{lan.floating}/24", "dev", "eth0")
    ip("-n", lan.namespace("b"), "address", "add", f"{lan.floating}/24", "dev", "eth0")
    assert lan.neighbour() == "a"
    harness.resource.apply(harness.goal, harness.resource.observe(), RecordedCall())
    assert lan.neighbour() == "b"


def test_a_dark_site_does_not_stop_the_move(harness: AddressHarness) -> None:
    lan = harness.lan
    lan.plug("a", plugged=False)
    began = time.monotonic()
    before = harness.resource.observe()
    assert time.monotonic() - began < 2
    assert before.states == ()  # nobody that was asked holds it, and one was not asked: that is no state
    assert not before.authoritative
    assert "does not answer" in before.facts["site-a"]
    harness.resource.apply(harness.goal, before, RecordedCall())
    after = harness.resource.observe()
    assert after.state("holder") == harness.goal
    assert not after.authoritative
    assert lan.ping()
    lan.plug("a")
    both = harness.resource.observe()
    assert both.states == ()
    assert any("site-a and site-b at once" in warning for warning in both.warnings)
    harness.resource.apply(harness.goal, both, RecordedCall())
    assert harness.look() == settle(harness.resource, harness.goal).state("holder") == harness.goal


def test_a_host_that_dies_while_it_gives_the_address_up_does_not_stop_the_move(harness: AddressHarness) -> None:
    """As when it is fenced at that moment: what it was asked is in doubt, and nobody can ask it any more.

    The address is where it shall be; should that host live, it may give it up late, after a move back.
    """
    lan = harness.lan

    def moved_while_it_dies(to: Holder) -> None:
        before = harness.resource.observe()
        moving = pool.submit(harness.resource.apply, to, before, RecordedCall())
        time.sleep(2)
        lan.plug("a", plugged=False)
        moving.result(timeout=20)

    freeze = f"ip() {{ exec sleep 60; }}; {_RELEASE}"
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr("providers.linux.floating_ip._RELEASE", freeze)  # the far side hangs where the power went
        for goal in (Holder(site=None), harness.goal):
            with pytest.raises(Doubtful):
                moved_while_it_dies(goal)
            if goal != harness.goal:
                lan.reset()
    assert harness.resource.observe().state("holder") == harness.goal
    assert lan.ping()


def test_nothing_is_given_up_for_a_target_that_is_dark(harness: AddressHarness) -> None:
    harness.lan.plug("b", plugged=False)
    with pytest.raises(Unreachable, match="does not answer"):
        harness.resource.apply(harness.goal, harness.resource.observe(), RecordedCall())
    assert harness.look() == harness.start


@pytest.mark.parametrize("allowed", [0, 1])
def test_what_was_taken_is_told_before_anything_else_is_asked_for(harness: AddressHarness, allowed: int) -> None:
    """An error after that is no proof that nothing was done: the address is at its new host."""
    call = RecordedCall(allowed=allowed)
    with pytest.raises(GuardRefused):
        harness.resource.apply(harness.goal, harness.resource.observe(), call)
    assert call.went_through == (allowed == 1)
    held_by_both = any("at once" in warning for warning in harness.resource.observe().warnings)
    assert held_by_both == (allowed == 1)


def test_it_can_be_held_by_nobody(harness: AddressHarness) -> None:
    harness.resource.apply(Holder(site=None), harness.resource.observe(), RecordedCall())
    assert harness.resource.observe().state("holder") == harness.look() == Holder(site=None)


def test_giving_it_up_keeps_the_hosts_own_address(harness: AddressHarness) -> None:
    """Where the floating address came first, the kernel takes the host's own along as its secondary."""
    lan = harness.lan
    for address in (lan.address("a"), lan.floating):
        ip("-n", lan.namespace("a"), "address", "flush", "dev", "eth0", "to", address)
    for address in (lan.floating, lan.address("a")):
        ip("-n", lan.namespace("a"), "address", "add", f"{address}/24", "dev", "eth0")
    shown = ip("-n", lan.namespace("a"), "-o", "-4", "address", "show", "to", lan.address("a"))
    assert "secondary" in shown, "the trap is not set"
    harness.resource.apply(harness.goal, harness.resource.observe(), RecordedCall())
    assert harness.look() == harness.goal
    assert lan.address("a") in ip("-n", lan.namespace("a"), "-4", "address", "show")
    assert harness.resource.observe().state("holder") == harness.goal


def test_another_prefix_length_is_the_same_address(harness: AddressHarness) -> None:
    lan = harness.lan
    ip("-n", lan.namespace("a"), "address", "delete", f"{lan.floating}/24", "dev", "eth0")
    ip("-n", lan.namespace("a"), "address", "add", f"{lan.floating}/32", "dev", "eth0")
    assert harness.resource.observe().state("holder") == harness.start
    harness.resource.apply(harness.goal, harness.resource.observe(), RecordedCall())
    assert harness.look() == harness.goal


def test_an_interface_that_is_not_there_is_named_before_anything_changes(harness: AddressHarness) -> None:
    with pytest.raises(NotFound, match=r"eth7.*key interface"):
        floating_ip(harness.lan, "eth7").observe()


def test_a_host_without_arping_is_warned_of_and_changes_nothing(
    harness: AddressHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    lan = harness.lan
    hidden = ["ip", "netns", "exec", lan.namespace("b"), "unshare", "-m", "sh", "-c"]
    script = 'mount --bind /dev/null "$(readlink -f "$(command -v arping)")" && exec "$@"'
    lan.sshd["b"].stop()
    bare = Sshd(lan.folder, lan.address("b"), port=22, prefix=[*hidden, script, "sh"])
    bare.start()
    try:
        reading = harness.resource.observe()
        assert any("install iputils-arping" in warning for warning in reading.warnings)
        with pytest.raises(Misconfigured, match="nothing was changed"):
            harness.resource.apply(harness.goal, reading, RecordedCall())
        assert harness.look() == harness.start
    finally:
        bare.stop()
        lan.sshd["b"].start()


@pytest.mark.parametrize(("words", "error"), [(words, error) for words, error, _ in BY_COMPLAINT])
def test_each_complaint_that_the_map_knows(words: str, error: type[Exception]) -> None:
    assert type(complained(Host(), "take it", Completed(1, "", f"x: {words} y"))) is error


def test_a_complaint_that_the_map_does_not_know_is_doubtful() -> None:
    assert type(complained(Host(), "take it", Completed(1, "", "something new"))) is Doubtful


def test_all_sites_dark_is_an_error(harness: AddressHarness) -> None:
    with harness.cut(), pytest.raises(Unreachable, match="does not answer"):
        harness.resource.observe()
