"""Real authoritative name servers on loopback: Knot as primary and secondary, and a way to them that breaks.

Knot 3.2 tells a secondary of an update one second after it: measured, 1.0 s from the answer to the transfer.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update

ZONE, NAME = "shop.example.com.", "db.shop.example.com."
KEY_NAME, KEY = "tideover", "aHVzaC1jYW5hcnktb2YtdGhlLXRzaWcta2V5LTQ3MTE="
READER, READER_KEY = "reader", "cmVhZGVyLWtleS13aXRob3V0LXRoZS1yaWdodC10bw=="

_CONF = """
server:
    rundir: {directory}
    listen: {address}@{port}
    udp-workers: 1
    tcp-workers: 1
    tcp-idle-timeout: 60
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: {directory}
key:
  - id: {key_name}
    algorithm: hmac-sha256
    secret: {key}
  - id: {reader}
    algorithm: hmac-sha256
    secret: {reader_key}
remote:
  - id: other
    address: {other}@{port}
acl:
  - id: by-key
    key: {key_name}
    action: update
  - id: between-us
    address: 127.0.0.0/8
    action: [transfer, notify]
zone:
  - domain: {zone}
    file: {directory}/zone
    {role}: other
    acl: [by-key, between-us]
"""

_RECORDS = """$TTL 30
@ SOA ns.{zone} admin.{zone} 1 1 1 600 30
@ NS ns
ns A 127.0.0.1
db 30 A {a}
db 30 TXT "left alone"
"""


class Knot:
    """A name server at one loopback address; while inside it answers for the zone."""

    def __init__(self, directory: Path, address: str, port: int, other: str, *, primary: bool, a: str) -> None:
        self.address, self.port, self._directory = address, port, directory
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir()
        if primary:
            (directory / "zone").write_text(_RECORDS.format(zone=ZONE, a=a))
        (directory / "knot.conf").write_text(
            _CONF.format(
                directory=directory,
                address=address,
                port=port,
                other=other,
                zone=ZONE,
                key_name=KEY_NAME,
                key=KEY,
                reader=READER,
                reader_key=READER_KEY,
                role="notify" if primary else "master",
            )
        )

    def __enter__(self) -> Knot:
        assert shutil.which("knotd"), "knotd not found: apt-get install knot"
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["knotd", "-c", str(self._directory / "knot.conf")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 15
        while not self.answers():
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline, f"knotd does not answer: {(self._directory / 'log').read_text()}"
            time.sleep(0.02)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def answers(self) -> bool:
        """Whether it has the zone and says so within 0.5 s."""
        try:
            response = dns.query.udp(dns.message.make_query(ZONE, "SOA"), self.address, 0.5, self.port)
        except (dns.exception.Timeout, OSError):
            return False
        return bool(response.answer)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """While inside, the server is frozen: the kernel takes connections and nobody answers."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # a signal sent is not yet a process stopped
        try:
            assert not self.answers(), "the server still answers"
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def holds(self, kind: str) -> tuple[tuple[str, ...], int]:
        """The sorted values and the TTL of one type at the name; no values and 0 where there are none."""
        response = dns.query.tcp(dns.message.make_query(NAME, kind), self.address, 5, self.port)
        found = [rrset for rrset in response.answer if rrset.rdtype == dns.rdatatype.from_text(kind)]
        return (tuple(sorted(rdata.to_text() for rdata in found[0])), found[0].ttl) if found else ((), 0)

    def serial(self) -> int:
        """The zone's serial number: it rises with every change."""
        response = dns.query.tcp(dns.message.make_query(ZONE, "SOA"), self.address, 5, self.port)
        return int(response.answer[0][0].serial)

    def change(self, kind: str, *values: str, ttl: int = 30) -> None:
        """Someone else's change: the values of one type at the name are these afterwards."""
        update = dns.update.UpdateMessage(ZONE, keyring=dns.tsig.Key(KEY_NAME, KEY))
        update.delete(NAME, kind)
        for value in values:
            update.add(NAME, ttl, kind, value)
        response = dns.query.tcp(update, self.address, 5, self.port)
        assert response.rcode() == dns.rcode.NOERROR, response


class BreakingWay:
    """A TCP relay to a server, at another loopback address, that can lose, hold back or change what comes back."""

    def __init__(self, server: Knot, address: str) -> None:
        self.address, self._server = address, server
        self.lose_answers_to_updates = False
        self.strip_authority = False
        self.strip_signature = False
        self.updates = 0
        self._listener = socket.create_server((address, server.port))
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def __enter__(self) -> BreakingWay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, suppress(OSError, EOFError):
                self._relay(client)

    def _relay(self, client: socket.socket) -> None:
        with socket.create_connection((self._server.address, self._server.port), timeout=5) as upstream:
            while True:
                request = _read(client)
                update = dns.message.from_wire(request, keyring=False).opcode() == dns.opcode.UPDATE
                self.updates += update
                upstream.sendall(len(request).to_bytes(2, "big") + request)
                answer = _read(upstream)
                if update and self.lose_answers_to_updates:
                    return
                answer = self._changed(answer)
                client.sendall(len(answer).to_bytes(2, "big") + answer)

    def _changed(self, answer: bytes) -> bytes:
        if not (self.strip_authority or self.strip_signature):
            return answer
        message = dns.message.from_wire(answer, keyring=False)
        if self.strip_authority:
            message.flags &= ~dns.flags.AA
        message.tsig = None
        return message.to_wire()


def free_port() -> int:
    """A port that is free for UDP and TCP at every loopback address."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("0.0.0.0", 0))  # noqa: S104  bound for a moment and never listened on
            port: int = tcp.getsockname()[1]
            with suppress(OSError):
                udp.bind(("0.0.0.0", port))  # noqa: S104
                return port


def _read(connection: socket.socket) -> bytes:
    length = int.from_bytes(_exactly(connection, 2), "big")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return received
