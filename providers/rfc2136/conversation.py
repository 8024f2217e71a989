"""A TCP connection to one name server, on which each request is sent once and its answer is verified."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dns.exception
import dns.message
import dns.opcode
import dns.rcode
import dns.tsig

from orchestrator.domain.errors import Doubtful, Unreachable
from providers.rfc2136 import errors
from providers.rfc2136.spec import FUDGE

_TIME_OCTETS = 6


@contextmanager
def connected(server: str, port: int, timeout: float, key: dns.tsig.Key | None) -> Iterator[Conversation]:
    """A conversation that is over after `timeout` seconds, come what may. Raises Unreachable: nothing was sent."""
    deadline = time.monotonic() + timeout
    try:
        connection = socket.create_connection((server, port), timeout=max(0.001, timeout))
    except OSError as error:
        reason = error.strerror or "no answer in time"
        msg = f"{server} port {port} cannot be reached by TCP ({reason}): check the server and the firewalls"
        raise Unreachable(msg) from error
    with connection:
        yield Conversation(server, connection, deadline, key)


class Conversation:
    """An open connection. With a key every request is signed and every answer must be."""

    def __init__(self, server: str, connection: socket.socket, deadline: float, key: dns.tsig.Key | None) -> None:
        self._server, self._connection, self._deadline, self._key = server, connection, deadline, key

    def prepare(self, request: dns.message.Message) -> bytes:
        """The request as it will be sent, signed with the time of now."""
        if self._key:
            request.use_tsig(self._key, fudge=FUDGE)
        return request.to_wire()

    def exchange(self, request: dns.message.Message, wire: bytes, within: float | None = None) -> dns.message.Message:
        """The verified answer, whatever its code, to `wire`, which was sent once. Raises ProviderError.

        `within`: seconds that it has from now on, whatever was spent before; else what is left of the conversation.
        """
        if within is not None:
            self._deadline = time.monotonic() + within
        try:
            self._send(wire)
            response = self._verified(self._receive(), request)
        except (OSError, dns.exception.DNSException) as error:
            raise errors.from_exception(self._server, error) from error
        if not request.is_response(response):
            msg = f"{self._server} answered something else than was asked: look at its log"
            raise Doubtful(msg)
        return response

    def ask(self, query: dns.message.Message) -> dns.message.Message:
        """The verified answer to a query."""
        return self.exchange(query, self.prepare(query))

    def _verified(self, answer: bytes, request: dns.message.Message) -> dns.message.Message:
        if self._key is None:
            return dns.message.from_wire(answer)
        try:
            return dns.message.from_wire(answer, keyring=self._key, request_mac=request.mac)
        except dns.tsig.PeerBadTime:
            unverified = dns.message.from_wire(answer, keyring=False)
            servers_time = unverified.tsig[0].other if unverified.tsig else b""
            if len(servers_time) != _TIME_OCTETS:  # RFC 8945, 5.2.3
                raise
            skew = int.from_bytes(servers_time, "big") - int(time.time())
            raise errors.clock_skew(self._server, skew, FUDGE) from None
        except dns.exception.FormError:
            unverified = dns.message.from_wire(answer, keyring=False)
            if unverified.had_tsig or unverified.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
                raise
            changing = request.opcode() == dns.opcode.UPDATE
            raise errors.unsigned(self._server, unverified.rcode(), changing) from None

    def _send(self, wire: bytes) -> None:
        self._connection.settimeout(self._left())
        self._connection.sendall(len(wire).to_bytes(2, "big") + wire)

    def _receive(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(2), "big"))

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            self._connection.settimeout(self._left())
            part = self._connection.recv(count - len(received))
            if not part:
                raise ConnectionResetError
            received += part
        return received

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
