"""What every server that answers for a zone says about one name, and whether they agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from orchestrator.domain.errors import Doubtful, NotFound, ProviderError
from orchestrator.domain.world import Records
from providers.rfc2136 import errors
from providers.rfc2136.conversation import Conversation

KINDS = ("A", "AAAA", "CNAME")
"""The record types that are ours at the name; all others are left alone."""


@dataclass(frozen=True)
class Answer:
    """What one server holds."""

    server: str
    serial: int
    records: Records

    def __str__(self) -> str:
        return f"{self.records} (serial {self.serial})"


@dataclass(frozen=True)
class Question:
    """The name that is asked for. `spelling` tells how the runbook writes a value that it knows."""

    zone: dns.name.Name
    name: dns.name.Name
    ttl_of_nothing: int
    spelling: Mapping[dns.rdata.Rdata, str]

    def ask(self, server: str, conversation: Conversation) -> Answer:
        """The server's own answer, without recursion. Raises ProviderError."""
        soa = self._answer(server, conversation, self.zone, "SOA")
        if soa is None:
            msg = f"{server} does not serve the zone {self.zone}: correct `zone` or the server's configuration"
            raise NotFound(msg)
        found = {kind: self._answer(server, conversation, self.name, kind) for kind in KINDS}
        return Answer(server, soa[0].serial, self._records([rrset for rrset in found.values() if rrset]))

    def _answer(
        self, server: str, conversation: Conversation, name: dns.name.Name, kind: str
    ) -> dns.rrset.RRset | None:
        query = dns.message.make_query(name, kind, flags=0)  # no RD: what the server itself knows
        response = conversation.ask(query)
        if response.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            raise errors.from_code(server, response.rcode())
        if not response.flags & dns.flags.AA:
            msg = f"{server} does not speak with authority for {name}: name the servers of the zone {self.zone}"
            raise NotFound(msg)
        return response.get_rrset(response.answer, name, dns.rdataclass.IN, dns.rdatatype.from_text(kind))

    def _records(self, rrsets: Sequence[dns.rrset.RRset]) -> Records:
        values = {
            dns.rdatatype.to_text(rrset.rdtype): tuple(sorted(self._spelled(rdata) for rdata in rrset))
            for rrset in rrsets
        }
        # One reading has one TTL. Where the types differ the longest counts: so long clients may keep an answer.
        return Records(records=values, ttl=max((rrset.ttl for rrset in rrsets), default=self.ttl_of_nothing))

    def _spelled(self, rdata: dns.rdata.Rdata) -> str:
        return self.spelling.get(rdata) or rdata.to_text()


def ask_all(servers: Sequence[str], ask: Callable[[str], Answer]) -> dict[str, Answer | ProviderError]:
    """Each server's answer or error, in the order of `servers`; all are asked at the same time."""

    def one(server: str) -> Answer | ProviderError:
        try:
            return ask(server)
        except ProviderError as error:
            return error

    with ThreadPoolExecutor(max_workers=len(servers)) as pool:
        return dict(zip(servers, pool.map(one, servers), strict=True))


def agreed(name: dns.name.Name, said: Mapping[str, Answer | ProviderError]) -> Answer:
    """The answer of the primary, the first, with which every server that answers agrees.

    A secondary that does not answer is passed over: it may stand in the lost site, and clients ask the next. One that
    answers something else sends clients to the wrong place: the change has not arrived everywhere yet.
    """
    first = next(iter(said.values()))
    if isinstance(first, ProviderError):
        raise first
    answers = [answer for answer in said.values() if isinstance(answer, Answer)]
    if any(answer.records != first.records for answer in answers):
        each = ", ".join(f"{answer.server} says {answer}" for answer in answers)
        msg = f"the name servers do not agree on {name} yet: {each}; wait, or check the transfer from the primary"
        raise Doubtful(msg)
    return first
