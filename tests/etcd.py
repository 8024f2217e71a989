"""Real etcd members on loopback, to be killed, frozen and brought back; and a way to a member that loses things."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

START_LIMIT = 60.0
"""Seconds for members to start or to elect a leader on a machine that does much else."""


def within(seconds: float, true: Callable[[], bool], what: str) -> None:
    """It has become true. Fails naming `what`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


@dataclass
class Member:
    """One member of a cluster; `client` is the port that it serves clients on."""

    client: int
    argv: tuple[str, ...]
    directory: Path
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.client}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "it was started"
        return self.process.pid

    def start(self) -> None:
        """It starts, with what it had on its disk."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log, cwd=self.directory)

    def kill(self) -> None:
        """It is gone, as after kill -9, and its port is closed."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process = None
        with socket.socket() as probe:
            assert probe.connect_ex((self.host, self.client)) != 0, "nobody answers there any more"

    def freeze(self) -> None:
        """None of its threads runs; what is sent to it waits in its sockets."""
        self.process_is("T", signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was stopped."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def process_is(self, state: str, after: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(after)
        told = Path(f"/proc/{self.pid}/stat")
        within(5, lambda: told.read_text().rpartition(")")[2].split()[0] == state, f"its state is {state}")

    def status(self) -> dict[str, Any] | None:
        """What it says of itself; None where it does not answer."""
        with suppress(OSError, ValueError):
            url = f"http://{self.address}/v3/maintenance/status"
            with urllib.request.urlopen(url, b"{}", timeout=1) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        return None

    @property
    def is_leader(self) -> bool:
        found = self.status()
        return found is not None and found["header"]["member_id"] == found.get("leader")


@dataclass
class Cluster:
    """Members that know each other. `more`: flags for each; `also`: one more URL that each serves clients on."""

    binary: Path
    directory: Path
    size: int = 3
    more: tuple[str, ...] = ()
    also: str = ""
    members: list[Member] = field(default_factory=list, init=False)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(member.address for member in self.members)

    @property
    def leader(self) -> Member:
        """The member that leads, once there is one."""
        found: list[Member] = []

        def led() -> bool:
            found[:] = [member for member in self.members if member.is_leader]
            return len(found) == 1

        within(START_LIMIT, led, "the members have one leader")
        return found[0]

    @property
    def followers(self) -> list[Member]:
        leader = self.leader
        return [member for member in self.members if member is not leader]

    def start(self) -> None:
        """Every member serves. Tried again where somebody else took one of its ports."""
        for attempt in range(3):
            self._make(self.directory / str(attempt))
            for member in self.members:
                member.start()
            with suppress(AssertionError):
                self.recover()
                return
            self.stop()
        raise AssertionError(f"etcd does not start, see the logs in {self.directory}")

    def recover(self) -> None:
        """Every member runs, and all follow one leader."""
        for member in self.members:
            member.thaw()
            if member.process is None:
                member.start()

        def whole() -> bool:
            dead = [member for member in self.members if member.process is None or member.process.poll() is not None]
            assert not dead, f"a member has ended, see {self.directory}"
            leaders = [(member.status() or {}).get("leader") for member in self.members]
            return None not in leaders and len(set(leaders)) == 1

        within(START_LIMIT, whole, "all members follow one leader")

    def stop(self) -> None:
        """No member runs."""
        for member in self.members:
            member.thaw()
            member.kill()

    def _make(self, directory: Path) -> None:
        ports = _free_ports(2 * self.size)
        pairs = zip(ports[: self.size], ports[self.size :], strict=True)
        self._settle(directory, [("127.0.0.1", peer, client) for peer, client in pairs])

    def _settle(
        self, directory: Path, places: Sequence[tuple[str, int, int]], starters: Sequence[tuple[str, ...]] = ()
    ) -> None:
        """The members stand at these places: host, port for peers, port for clients. `starters`: what starts each."""
        peers = [f"m{n}=http://{host}:{port}" for n, (host, port, _) in enumerate(places)]
        self.members = []
        for n, (host, _, client) in enumerate(places):
            place = directory / f"m{n}"
            place.mkdir(parents=True)
            peer, url = peers[n].partition("=")[2], f"http://{host}:{client}"
            flags = {
                "--name": f"m{n}", "--data-dir": str(place / "data"), "--logger": "zap", "--log-level": "warn",
                "--listen-peer-urls": peer, "--initial-advertise-peer-urls": peer,
                "--listen-client-urls": ",".join(filter(None, (url, self.also))), "--advertise-client-urls": url,
                "--initial-cluster": ",".join(peers), "--initial-cluster-token": str(directory),
            }  # fmt: skip
            begun = starters[n] if starters else ()
            argv = (*begun, str(self.binary), *(part for flag in flags.items() for part in flag), *self.more)
            self.members.append(Member(client, argv, place, host))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class Way(ThreadingHTTPServer):
    """A way to one member over which answers, requests or everything can be lost. `writes`: those that came by.

    `lose`: how many answers to writes are lost from now on: the member has given each, and the connection ends. `hold`:
    the next write stays on the way until `release`. `cut`: nothing gets an answer any more, or reaches the member.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, member: Member) -> None:
        super().__init__(("127.0.0.1", 0), _OnTheWay)
        self.member, self.writes, self.lose, self.hold, self.cut = member, 0, 0, False, False
        self.held, self.release, self.arrived = threading.Event(), threading.Event(), threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no news."""


class _OnTheWay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Way

    def do_POST(self) -> None:
        way, body = self.server, self.rfile.read(int(self.headers["Content-Length"]))
        if way.cut:
            way.release.wait()
            return self._end()
        write = b"request_put" in body
        way.writes += write
        if write and way.hold:
            way.hold = False
            way.held.set()
            way.release.wait()
            self._forward(body)
            way.arrived.set()
            return self._end()
        status, answer = self._forward(body)
        if write and way.lose:
            way.lose -= 1
            return self._end()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        return None

    def _forward(self, body: bytes) -> tuple[int, bytes]:
        connection = HTTPConnection(self.server.member.address, timeout=20)
        connection.request("POST", self.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    def _end(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name is http.server's
        """Nothing: a test tells what it sees."""


@contextmanager
def way_to(member: Member) -> Iterator[Way]:
    """A way to the member that loses nothing yet."""
    way = Way(member)
    thread = threading.Thread(target=way.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield way
    finally:
        way.release.set()
        way.shutdown()
        way.server_close()
        thread.join()


@contextmanager
def cluster(
    binary: Path, directory: Path, size: int = 3, more: tuple[str, ...] = (), also: str = ""
) -> Iterator[Cluster]:
    """A cluster that serves, and is gone at the end."""
    found = Cluster(binary, directory, size, more, also)
    try:
        found.start()
        yield found
    finally:
        found.stop()
