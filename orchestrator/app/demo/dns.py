"""Name servers for a Route 53 on loopback: moto has the API, and this answers DNS with what the API says.

Run as a program it is both until it is ended: it makes the hosted zone with one A record and answers DNS
over UDP and TCP. Each answer comes from Route 53's API over HTTP, at most `FRESH` seconds old, with the
record's own TTL; when the API does not answer, neither do we (SERVFAIL), for a stale address is worse than none.
"""

from __future__ import annotations

import argparse
import socketserver
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # it ships no types

from orchestrator.app.demo import route53
from orchestrator.app.demo.route53 import LOOPBACK

FRESH = 0.1

_NEGATIVE_TTL = 1
_SOA = "ns.demo.invalid. hostmaster.demo.invalid. 1 7200 900 1209600 1"
_OUR_OWN = {"NS", "SOA"}  # moto names servers of AWS, and an SOA that no parser takes

_Key = tuple[dns.name.Name, dns.rdatatype.RdataType]


@dataclass
class HostedZone:
    """One hosted zone as Route 53 has it."""

    client: Any
    zone_id: str
    name: dns.name.Name
    _records: dict[_Key, dns.rrset.RRset] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _reading: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def create(cls, client: Any, zone: str, record: str, address: str, ttl: int) -> HostedZone:
        """The zone exists and holds one A record."""
        made = client.create_hosted_zone(Name=zone, CallerReference=f"tideover-demo-{time.time_ns()}")
        zone_id = made["HostedZone"]["Id"]
        record_set = {"Name": record, "Type": "A", "TTL": ttl, "ResourceRecords": [{"Value": address}]}
        changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record_set}]}
        client.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=changes)
        return cls(client, zone_id, dns.name.from_text(zone))

    def records(self) -> dict[_Key, dns.rrset.RRset]:
        """All record sets, read no longer than FRESH seconds ago. Raises what boto3 raises."""
        with self._reading:
            if time.monotonic() - self._read_at > FRESH:
                began = time.monotonic()
                pages = self.client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=self.zone_id)
                sets = (_rrset(one) for page in pages for one in page["ResourceRecordSets"])
                self._records = {(s.name, s.rdtype): s for s in sets if s is not None}
                self._read_at = began
            return self._records

    def forget(self) -> None:
        """The next answer is read anew."""
        self._read_at = float("-inf")

    def soa(self) -> dns.rrset.RRset:
        """What a negative answer carries."""
        return dns.rrset.from_text(self.name, _NEGATIVE_TTL, "IN", "SOA", _SOA)


def _rrset(described: dict[str, Any]) -> dns.rrset.RRset | None:
    if described["Type"] in _OUR_OWN or "ResourceRecords" not in described:
        return None
    values = [one["Value"] for one in described["ResourceRecords"]]
    return dns.rrset.from_text(described["Name"], described["TTL"], "IN", described["Type"], *values)


def answer(query: dns.message.Message, zone: HostedZone) -> dns.message.Message:
    """The authoritative answer, as the zone is now."""
    reply = dns.message.make_response(query)
    question = query.question[0] if len(query.question) == 1 else None
    if question is None or question.rdclass != dns.rdataclass.IN or not question.name.is_subdomain(zone.name):
        reply.set_rcode(dns.rcode.REFUSED)
        return reply
    try:
        records = zone.records()
    except (BotoCoreError, ClientError, dns.exception.DNSException):
        reply.set_rcode(dns.rcode.SERVFAIL)
        return reply
    reply.flags |= dns.flags.AA
    if question.rdtype == dns.rdatatype.SOA and question.name == zone.name:
        reply.answer.append(zone.soa())
        return reply
    found = records.get((question.name, question.rdtype)) or records.get((question.name, dns.rdatatype.CNAME))
    if found:
        reply.answer.append(found)
        return reply
    reply.authority.append(zone.soa())
    if question.name != zone.name and not any(name.is_subdomain(question.name) for name, _ in records):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


def reply_to(wire: bytes, zone: HostedZone) -> bytes | None:
    """The answer to a query as it came; None where it is not one."""
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return None
    return None if query.flags & dns.flags.QR else answer(query, zone).to_wire()


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads, max_packet_size = True, 4096
    zone: HostedZone


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True
    zone: HostedZone


class _UdpHandler(socketserver.BaseRequestHandler):
    server: _Udp

    def handle(self) -> None:
        wire, socket = self.request
        if reply := reply_to(wire, self.server.zone):
            socket.sendto(reply, self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    server: _Tcp
    timeout = 5.0

    def handle(self) -> None:
        while len(length := self.rfile.read(2)) == 2:
            wire = self.rfile.read(struct.unpack("!H", length)[0])
            if not (reply := reply_to(wire, self.server.zone)):
                return
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


def serve(zone: HostedZone, port: int) -> None:
    """DNS is answered on this port of the loopback address, by threads that end with the process."""
    servers: tuple[_Udp | _Tcp, ...] = (_Udp((LOOPBACK, port), _UdpHandler), _Tcp((LOOPBACK, port), _TcpHandler))
    for server in servers:
        server.zone = zone
        threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> None:
    """Route 53 and its name servers run until stdin ends, which it does when whoever started us ends."""
    options = argparse.ArgumentParser(prog="tideover-demo-dns")
    for name, kind in (("zone", str), ("record", str), ("address", str), ("ttl", int), ("api", int), ("dns", int)):
        options.add_argument(f"--{name}", type=kind, required=True)
    given = options.parse_args()
    with route53.serving(given.api) as endpoint:
        zone = HostedZone.create(route53.connect(endpoint), given.zone, given.record, given.address, given.ttl)
        serve(zone, given.dns)
        sys.stdin.read()


if __name__ == "__main__":
    main()
