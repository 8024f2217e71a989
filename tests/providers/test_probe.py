"""The probes against real listeners and a real responder on loopback: what they see, and that they only look."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import dns.flags
import dns.message
import dns.rrset
import pytest
from pydantic import ValidationError

from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.world import Reading, Running, State
from orchestrator.ports import Binding, Resource
from providers.probe.name import NameProbe
from providers.probe.spec import DnsProbeSettings, TcpSettings, address_and_port
from providers.probe.tcp import TcpProbe
from tests.providers.contract import RecordedCall
from tests.ssh import free_port

RUNNING, NOT_RUNNING = Running(running=True), Running(running=False)


def binding(settings: TcpSettings | DnsProbeSettings) -> Binding[TcpSettings | DnsProbeSettings, TcpSettings]:
    return Binding(resource="verify-1", component="verify-1", site="az-b", settings=settings, places={}, sites={})


def tcp(target: str) -> TcpProbe:
    return TcpProbe(binding(TcpSettings(tcp=target)))  # type: ignore[arg-type]  # one helper for both


def name(asked: str, answer: str, resolver: str | None) -> NameProbe:
    return NameProbe(binding(DnsProbeSettings(dns=asked, answer=answer, resolver=resolver)))  # type: ignore[arg-type]


@contextmanager
def listener(family: socket.AddressFamily = socket.AF_INET) -> Iterator[socket.socket]:
    """A socket that accepts connections on loopback."""
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        listening.listen()
        yield listening


@contextmanager
def responder(records: Mapping[tuple[str, str], tuple[str, ...]]) -> Iterator[str]:
    """A name server that answers with `records`, and is silent where there is the type "SILENT". Gives address:port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    wire, client = server.recvfrom(4096)
                    answer = _answer(wire, records)
                    if answer is not None:
                        server.sendto(answer, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            host, port = server.getsockname()
            yield f"{host}:{port}"
        finally:
            over.set()
            thread.join()


def _answer(wire: bytes, records: Mapping[tuple[str, str], tuple[str, ...]]) -> bytes | None:
    query = dns.message.from_wire(wire)
    question = query.question[0]
    asked = question.name.to_text(omit_final_dot=True)
    if (asked, "SILENT") in records:
        return None
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    kind = dns.rdatatype.to_text(question.rdtype)
    if values := records.get((asked, kind)):
        response.answer.append(dns.rrset.from_text(question.name, 1, "IN", kind, *values))
    elif not any(known == asked for known, _ in records):
        response.set_rcode(dns.rcode.NXDOMAIN)
    return response.to_wire()


# ---- a TCP connection


def test_a_port_that_accepts_is_running() -> None:
    with listener() as listening:
        target = f"127.0.0.1:{listening.getsockname()[1]}"
        reading = tcp(target).observe()
    assert reading.states == (RUNNING,)
    assert reading.authority == f"a connection to {target}"


def test_an_ipv6_address_stands_in_brackets() -> None:
    with listener(socket.AF_INET6) as listening:
        assert tcp(f"[::1]:{listening.getsockname()[1]}").observe().states == (RUNNING,)


def test_a_port_that_refuses_is_a_reading_that_says_why() -> None:
    reading = tcp(f"127.0.0.1:{free_port()}").observe()
    assert reading.states == (NOT_RUNNING,)
    assert "refused" in reading.facts["said"]


def test_a_name_that_does_not_resolve_is_a_reading() -> None:
    reading = tcp("nobody.invalid:443").observe()
    assert reading.states == (NOT_RUNNING,)
    assert reading.facts["said"]


def test_a_name_whose_servers_are_lost_is_a_reading_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def asked(host: Any, *more: Any, **others: Any) -> Any:
        if not others.get("flags"):
            time.sleep(15)  # as the system's resolver does when no name server answers
        return real(host, *more, **others)

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    begun = time.monotonic()
    reading = tcp("shop.test:443").observe()
    assert reading.states == (NOT_RUNNING,)
    assert reading.facts["said"] == "shop.test could not be looked up in time"
    assert time.monotonic() - begun < 10


def test_a_target_that_answers_nothing_is_a_reading_within_its_time() -> None:
    """A full backlog drops what comes, as a machine without power does."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        for connection in (first, second):
            connection.setblocking(False)
            with suppress(BlockingIOError):
                connection.connect(address)
        begun = time.monotonic()
        reading = tcp(f"127.0.0.1:{address[1]}").observe()
        assert reading.states == (NOT_RUNNING,)
        assert reading.facts["said"] == "timed out"
        assert 2.5 < time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "target", ["shop.example.com", "shop.example.com:", "a b:80", ":80", "a:port", "a:65536", "a:0"]
)
def test_what_is_no_host_and_port_is_refused_at_review(target: str) -> None:
    with pytest.raises(ValidationError):
        TcpSettings(tcp=target)


# ---- a name

RECORDS = {
    ("db.shop.test", "A"): ("192.0.2.1", "192.0.2.2"),
    ("six.shop.test", "AAAA"): ("2001:db8::1",),
    ("www.shop.test", "CNAME"): ("db.shop.test.",),
    ("dead.shop.test", "SILENT"): (),
}


@pytest.fixture(scope="module")
def resolver() -> Iterator[str]:
    with responder(RECORDS) as address:
        yield address


@pytest.mark.parametrize(
    ("asked", "answer", "running"),
    [
        ("db.shop.test", "192.0.2.2", True),
        ("db.shop.test", "192.0.2.3", False),
        ("six.shop.test", "2001:db8::1", True),
        ("six.shop.test", "2001:DB8:0::1", True),
        ("www.shop.test", "db.shop.test", True),
        ("www.shop.test", "DB.shop.test.", True),
        ("nobody.shop.test", "192.0.2.1", False),
    ],
)
def test_a_name_is_as_the_resolver_says(asked: str, answer: str, running: bool, resolver: str) -> None:
    reading = name(asked, answer, resolver).observe()
    assert reading.states == (Running(running=running),)
    assert reading.authority == f"the resolver {resolver.partition(':')[0]}"


def test_the_answers_are_kept_as_facts(resolver: str) -> None:
    assert name("db.shop.test", "192.0.2.1", resolver).observe().facts == {"answers": "192.0.2.1, 192.0.2.2"}
    assert name("nobody.shop.test", "192.0.2.1", resolver).observe().facts == {"answers": "none"}


def test_a_resolver_that_is_silent_is_a_reading_within_its_time(resolver: str) -> None:
    begun = time.monotonic()
    assert name("dead.shop.test", "192.0.2.1", resolver).observe().states == (NOT_RUNNING,)
    assert time.monotonic() - begun < 5, "it is not asked again for each type"


@pytest.mark.parametrize("resolver", ["ns.shop.test", "ns.shop.test:53", "192.0.2.53:0", "192.0.2.53:dns", "", "[::1"])
def test_a_resolver_that_is_no_address_is_refused_at_review(resolver: str) -> None:
    with pytest.raises(ValidationError, match="is no resolver: write its address"):
        DnsProbeSettings(dns="db.shop.test", answer="192.0.2.1", resolver=resolver)


@pytest.mark.parametrize(
    ("resolver", "parts"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_a_resolver_has_an_address_and_maybe_a_port(resolver: str, parts: tuple[str, int]) -> None:
    assert address_and_port(resolver) == parts


# ---- a probe only looks


@pytest.mark.parametrize(
    "probe", [tcp("127.0.0.1:1"), name("db.shop.test", "192.0.2.1", "127.0.0.1:1")], ids=["tcp", "dns"]
)
@pytest.mark.parametrize("desired", [RUNNING, NOT_RUNNING])
def test_apply_is_refused_before_the_guard(probe: Resource, desired: State) -> None:
    call = RecordedCall()
    with pytest.raises(Misconfigured, match="a probe changes nothing"):
        probe.apply(desired, Reading(states=(), authority="nobody"), call)
    assert call.guards == 0


def test_what_a_probe_sees_is_never_proof_that_anything_is_cut_off() -> None:
    """A failing probe is a reading without authority and without a latch: no fence is confirmed by it (I2)."""
    with listener() as listening:
        seen = tcp(f"127.0.0.1:{listening.getsockname()[1]}").observe()
    for reading in (
        seen,
        tcp(f"127.0.0.1:{free_port()}").observe(),
        name("x.test", "192.0.2.1", "127.0.0.1:1").observe(),
    ):
        assert not reading.authoritative
        assert not reading.latched
        assert reading.state("power") is None
        assert reading.state("role") is None
