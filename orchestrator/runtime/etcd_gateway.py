"""Requests to an etcd cluster, over the HTTP/JSON gateway that every member has: bounded in time, whoever is lost.

https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/ describes the gateway. A request goes to one member after another
until one answers. So it must be one that does no harm when it arrives twice or late: reads, and transactions that
compare versions first. `Gateway.ask` tells whether an earlier member may have carried it out.

The standard library's client is used because it connects and sends in two calls: what failed in the first was surely
not sent, and no pool or retry of its own comes between.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

from orchestrator.domain.errors import JournalUnavailable
from orchestrator.runtime.lookup import Lookup

PATIENCE = 8.0
"""Seconds for one request at all members together; electing a new leader takes etcd one or two."""
TRY = 0.5
"""Seconds for one member, connecting included, before the next one is asked; half as long again in each round. A
member passes a write on to the leader once, and says nothing where that is lost: only asking again helps."""
IDLE = 30.0
"""Seconds after which an unused connection is not trusted any more."""
PAUSE = 0.1
"""Seconds before the members are asked again after each of them failed."""

_FINAL = frozenset({3, 5, 7, 8, 9, 11, 12})
"""gRPC codes (https://grpc.io/docs/guides/status-codes/) by which etcd has decided: another member says the same."""
_TOKEN_IS_OLD = ("invalid auth token", "revision of auth store is old")

_MAY_LAND = "; what was asked for may still be carried out"

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Access:
    """What etcd is shown, and how it is spoken to: `tls` is None for plain HTTP; no `user` where it asks for none."""

    tls: ssl.SSLContext | None = None
    user: str = ""
    password: str = field(default="", repr=False)


class _Failed(Exception):
    """One member gave no answer. `sent`: it may have carried the request out, or may do so yet."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class Gateway:
    """The members of one cluster, `host:port` each; the one that answered last is asked first. Safe in threads."""

    def __init__(self, members: Sequence[str], access: Access) -> None:
        self.members = tuple(members)
        self._access = access
        self._first = 0
        self._token = ""
        self._lookup = Lookup()
        self._idle: dict[str, deque[tuple[float, HTTPConnection]]] = {member: deque() for member in self.members}

    def __str__(self) -> str:
        return f"etcd at {', '.join(self.members)}"

    def ask(self, path: str, message: Body, *, writes: bool = False) -> tuple[Any, bool]:
        """The first answer, and whether another member may have carried the request out before, or may do so yet.

        Raises JournalUnavailable where no member answers in time, or one refuses.
        """
        deadline, said, doubtful = time.monotonic() + PATIENCE, dict.fromkeys(self.members, "was not asked"), False
        each = TRY
        while True:
            for number in self._order():
                member = self.members[number]
                left = deadline - time.monotonic()
                if left <= 0:
                    raise JournalUnavailable(self._nobody(said, doubtful and writes))
                try:
                    answer = self.ask_one(member, path, message, min(left, each))
                except _Failed as failed:
                    said[member], doubtful = str(failed), doubtful or failed.sent
                    self._token = ""  # a gateway that drops the connection may mean that it does not like the token
                    continue
                except JournalUnavailable as refused:
                    raise JournalUnavailable(f"{refused}{_MAY_LAND if doubtful and writes else ''}") from refused
                self._first = number
                return answer, doubtful
            each *= 1.5
            time.sleep(PAUSE)

    def trouble(self, path: str, message: Body) -> dict[str, str]:
        """Why each member does not answer; empty text where it does."""
        found = dict.fromkeys(self.members, "")
        for member in self.members:
            try:
                self.ask_one(member, path, message, PATIENCE / 4)
            except (_Failed, JournalUnavailable) as error:
                found[member] = str(error)
        return found

    def ask_one(self, member: str, path: str, message: Body, timeout: float) -> Any:
        """The member's answer. Raises _Failed where another one may know better, JournalUnavailable where not."""
        deadline = time.monotonic() + timeout
        connection = self._connection(member, deadline)
        try:
            answer = _exchange(connection, path, message, self._headers(connection, member, deadline), deadline)
        except BaseException:
            connection.close()
            raise
        self._idle[member].append((time.monotonic(), connection))
        return answer

    def _order(self) -> list[int]:
        size = len(self.members)
        return [(self._first + step) % size for step in range(size)]

    def _connection(self, member: str, deadline: float) -> HTTPConnection:
        """One that was left by an earlier request and still stands, else a new one. Nothing was sent if it raises."""
        idle = self._idle[member]
        while idle:
            since, connection = idle.pop()
            if time.monotonic() - since < IDLE and _stands(connection):
                return connection
            connection.close()
        made = _Connection(member, self._access.tls, self._lookup, deadline)
        try:
            made.connect()
        except (OSError, ValueError) as error:
            made.close()
            raise _Failed(_why("cannot be reached", error), sent=False) from error
        return made

    def _headers(self, connection: HTTPConnection, member: str, deadline: float) -> dict[str, str]:
        if not self._access.user:
            return {}
        if not self._token:
            credentials = {"name": self._access.user, "password": self._access.password}
            try:
                answer = _exchange(connection, "/v3/auth/authenticate", credentials, {}, deadline)
            except _Failed as failed:
                raise _Failed(str(failed), sent=False) from failed
            except JournalUnavailable as refused:
                who = f"user {self._access.user!r} (its credential profile is named by TIDEOVER_JOURNAL_CREDENTIALS)"
                raise JournalUnavailable(f"etcd at {member} does not let in {who}: {refused}") from None
            self._token = str(answer.get("token", "")) if isinstance(answer, dict) else ""
        return {"Authorization": self._token}

    def _nobody(self, said: Mapping[str, str], doubtful: bool) -> str:
        each = "; ".join(f"{member} {why}" for member, why in said.items())
        landed = _MAY_LAND if doubtful else ""
        return (
            f"the journal's etcd did not answer within {PATIENCE:g} s: {each}{landed}. "
            f"More than half of its members must run and reach each other: start them, or mend the network"
        )


class _Connection(HTTPConnection):
    """One whose connecting ends by the deadline: looking up the name, and agreeing on TLS, included."""

    def __init__(self, member: str, tls: ssl.SSLContext | None, lookup: Lookup, deadline: float) -> None:
        super().__init__(member)
        self._tls, self._lookup, self._deadline = tls, lookup, deadline

    def connect(self) -> None:
        """It stands, with the first of the host's addresses that answers. Raises OSError, or ValueError for no name."""
        addresses = self._lookup.addresses(self.host, self._left)
        for number, address in enumerate(addresses, start=1):
            try:
                made = socket.create_connection((address, self.port), self._left)
            except OSError:
                if number == len(addresses):
                    raise
            else:
                break
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(self._left)
        self.sock = self._tls.wrap_socket(made, server_hostname=self.host) if self._tls else made

    @property
    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.001)


def _exchange(connection: HTTPConnection, path: str, message: Body, headers: Mapping[str, str], deadline: float) -> Any:
    """The answer to one request on a connection that stands. Raises _Failed, and JournalUnavailable for a refusal."""
    try:
        _allow(connection, deadline)
        connection.request("POST", path, json.dumps(message).encode(), {"Content-Type": "application/json", **headers})
        with closing(connection.getresponse()) as response:
            parts = []
            while part := response.read1(1 << 20):
                parts.append(part)
                _allow(connection, deadline)
        text = b"".join(parts)
    except (OSError, HTTPException) as error:
        raise _Failed(_why("did not answer", error), sent=True) from error
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if response.status == 200 and answer is not None:
        return answer
    raise _refusal(response.status, answer if isinstance(answer, dict) else {}, text)


def _refusal(status: int, answer: Body, text: bytes) -> Exception:
    """What an error page means. A member without a leader, or one that is stopping, may have passed the request on."""
    why = " ".join(str(answer.get("message") or text.decode(errors="replace")).split())[:300]
    code, old_token = answer.get("code"), any(old in why for old in _TOKEN_IS_OLD)
    if code in _FINAL and not old_token:
        way_out = next((way for said, way in _WAYS_OUT.items() if said in why), "")
        return JournalUnavailable(f"etcd refuses: {why}{way_out}")
    turned_away = old_token or (code is None and 400 <= status < 500)
    return _Failed(f"answered {status}: {why or 'nothing'}", sent=not turned_away)


_NOBODY = ": TIDEOVER_JOURNAL_CREDENTIALS names the profile of a user who may readwrite the prefix"
_WAYS_OUT: Mapping[str, str] = {
    "too large": ": raise --max-request-bytes of its members",
    "larger than max": ": raise --max-request-bytes of its members",
    "too many operations": ": raise --max-txn-ops of its members",
    "permission denied": _NOBODY,
    "user name is empty": _NOBODY,
    "space exceeded": ": compact and defragment it, and disarm its alarm",
    "compacted": ": it was compacted while it was read; try again",
}


def _allow(connection: HTTPConnection, deadline: float) -> None:
    """The next wait on the socket ends by the deadline."""
    if connection.sock is not None:  # http.client lets go of it when the answer ends the connection
        left = deadline - time.monotonic()
        if left <= 0:
            msg = "the time is up"
            raise TimeoutError(msg)
        connection.sock.settimeout(left)


def _stands(connection: HTTPConnection) -> bool:
    """The other end has neither closed the connection nor said anything unasked."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


def _why(what: str, error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"{what} in time"
    return f"{what}: {' '.join(str(error).split()) or type(error).__name__}"
