"""The lab's DNS: a knot primary that takes TSIG-signed updates, a knot secondary, and a client's resolver."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from tests.e2e.lab.network import LabBroken, inside

ZONE = "shop.test"
RECORD = f"db.{ZONE}"
TTL = 2
UPDATE_KEY, TRANSFER_KEY = "tideover-update", "lab-transfer"
UPDATE_SECRET = "Y2FuYXJ5LWRucy11cGRhdGUtM2I4MS0wMDAwMDAwMDA="
_TRANSFER_SECRET = "bGFiLXRyYW5zZmVyLTAwMDAwMDAwMDAwMDAwMDAwMDA="

_ZONE_FILE = """\
$ORIGIN {zone}.
$TTL 60
@ SOA ns1 hostmaster 1 60 5 3600 5
@ NS ns1
@ NS ns2
ns1 A {primary}
ns2 A {secondary}
db {ttl} A {holder}
"""

_COMMON = """\
server:
    rundir: "{directory}"
    listen: {own}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{directory}"
    journal-db-max-size: 16M
    kasp-db-max-size: 8M
    timer-db-max-size: 8M
    catalog-db-max-size: 8M
key:
  - id: lab-transfer
    algorithm: hmac-sha256
    secret: {transfer_secret}
  - id: tideover-update
    algorithm: hmac-sha256
    secret: {update_secret}
remote:
  - id: other
    address: {other}@53
    key: lab-transfer
"""

_PRIMARY = """\
acl:
  - id: update
    key: tideover-update
    action: update
  - id: transfer
    key: lab-transfer
    action: transfer
zone:
  - domain: {zone}
    storage: "{directory}"
    file: zone
    zonefile-sync: -1
    acl: [update, transfer]
    notify: other
"""

_SECONDARY = """\
acl:
  - id: notify
    key: lab-transfer
    action: notify
zone:
  - domain: {zone}
    storage: "{directory}"
    zonefile-sync: -1
    master: other
    acl: notify
"""


def start_server(namespace: str, directory: Path, own: str, other: str, holder: str | None) -> subprocess.Popen[bytes]:
    """A server of the zone starts: the primary where `holder`, the record's first address, is given."""
    directory.mkdir()
    text = (_COMMON + (_PRIMARY if holder else _SECONDARY)).format(
        directory=directory,
        own=own,
        other=other,
        zone=ZONE,
        transfer_secret=_TRANSFER_SECRET,
        update_secret=UPDATE_SECRET,
    )
    (directory / "knot.conf").write_text(text)
    if holder:
        zone = _ZONE_FILE.format(zone=ZONE, primary=own, secondary=other, ttl=TTL, holder=holder)
        (directory / "zone").write_text(zone)
    with (directory / "log").open("ab") as log:
        return subprocess.Popen(
            ["ip", "netns", "exec", namespace, "knotd", "-c", str(directory / "knot.conf")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def lookup(server: str, name: str = RECORD, timeout: float = 1.0) -> tuple[tuple[str, ...], int]:
    """The A records that this server has for the name, sorted, and their TTL. Raises OSError or DNSException."""
    answer = dns.query.udp(dns.message.make_query(name, "A"), server, timeout=timeout)
    if answer.rcode() != dns.rcode.NOERROR:
        msg = f"{server} answers {dns.rcode.to_text(answer.rcode())} for {name}"
        raise OSError(msg)
    found = [rrset for rrset in answer.answer if rrset.rdtype == dns.rdatatype.A]
    return tuple(sorted(item.to_text() for rrset in found for item in rrset)), found[0].ttl if found else 0


def wait_for(server: str, addresses: Sequence[str], within: float = 60.0) -> None:
    """The server answers with exactly these addresses."""
    deadline, last = time.monotonic() + within, ""
    while time.monotonic() < deadline:
        try:
            found, _ = lookup(server, timeout=0.2)
        except (OSError, dns.exception.DNSException) as error:
            last = repr(error)
        else:
            if found == tuple(sorted(addresses)):
                return
            last = str(found)
        time.sleep(0.01)
    msg = f"{server} did not answer {list(addresses)} within {within} s; last: {last}"
    raise LabBroken(msg)


class Resolver:
    """A client's resolver: asks the servers in turn and keeps an answer for its TTL, in one network namespace."""

    def __init__(self, servers: Sequence[str], namespace: str | None = None) -> None:
        self.servers, self.namespace = tuple(servers), namespace
        self._kept: tuple[str, float] | None = None

    def address(self) -> str:
        """The name's first address, at most a TTL old. Raises LookupError where no server has one."""
        if self._kept and time.monotonic() < self._kept[1]:
            return self._kept[0]
        for server in self.servers:
            try:
                found, ttl = self._ask(server)
            except (OSError, dns.exception.DNSException):
                continue
            if found:
                self._kept = (found[0], time.monotonic() + ttl)
                return found[0]
        msg = f"no server of {self.servers} has an address for {RECORD}"
        raise LookupError(msg)

    def _ask(self, server: str) -> tuple[tuple[str, ...], int]:
        if self.namespace is None:
            return lookup(server, timeout=0.5)
        with inside(self.namespace):
            return lookup(server, timeout=0.5)
