"""The address records of one name, changed by a signed UPDATE that holds only for the records that were read."""

from __future__ import annotations

import binascii
from collections.abc import Mapping

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update

from orchestrator.domain.catalog import DnsPlace
from orchestrator.domain.durations import show
from orchestrator.domain.errors import Misconfigured, ProviderError
from orchestrator.domain.world import Reading, Records, State
from orchestrator.ports import Binding, Call
from providers.rfc2136 import errors
from providers.rfc2136.authorities import KINDS, Answer, Question, agreed, ask_all
from providers.rfc2136.conversation import connected
from providers.rfc2136.spec import SECRET, RecordSettings


class Record:
    """One name in a zone that takes dynamic updates. States: Records of the types A, AAAA and CNAME.

    Other types at the name are left alone. The primary is asked with the key, so that a wrong key, a wrong zone and
    a clock that is off are found by the check, before anything has to be changed.
    """

    def __init__(self, binding: Binding[RecordSettings, DnsPlace]) -> None:
        self._settings = binding.settings
        self._key = _key(binding.resource, binding.secret)
        self._zone = _name(binding.settings.zone)
        self._name = _name(binding.settings.record)
        values = [
            (kind, text)
            for place in binding.places.values()
            for kind, texts in place.records(binding.settings.ttl).records.items()
            for text in texts
        ]
        self._question = Question(
            zone=self._zone,
            name=self._name,
            ttl_of_nothing=int(binding.settings.ttl),
            spelling={_rdata(kind, text): text for kind, text in values},
        )

    def __repr__(self) -> str:
        return f"<Record {self._name} at {self._settings.primary}>"

    def observe(self) -> Reading:
        """What every authority answers for the name: read only where the primary does, and all that answer agree."""
        said = ask_all(self._settings.servers, self._ask)
        answer = agreed(self._name, said)
        answering = [server for server, each in said.items() if isinstance(each, Answer)]
        return Reading(
            states=(answer.records,),
            authority=f"{' and '.join(answering)} for the zone {self._zone}",
            authoritative=True,
            warnings=self._warnings(said, answer),
            facts={"serial": str(answer.serial), **{f"at {server}": str(each) for server, each in said.items()}},
        )

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """The primary has replaced exactly the records that were read. Raises Conflict where it holds others."""
        before = observed.state("records")
        if not isinstance(desired, Records) or not isinstance(before, Records):
            msg = f"{self._name} takes records and cannot be made {desired}"
            raise Misconfigured(msg)
        update = self._update(before, desired)
        server = self._settings.primary
        timeout = min(self._settings.timeout, call.remaining)
        with connected(server, self._settings.port, timeout, self._key) as conversation:
            wire = conversation.prepare(update)
            call.guard()
            response = conversation.exchange(update, wire, within=min(self._settings.timeout, call.remaining))
        if response.rcode() != dns.rcode.NOERROR:
            raise errors.from_code(server, response.rcode())

    def _ask(self, server: str) -> Answer:
        # Secondaries need not know the key that may change the primary.
        key = self._key if server == self._settings.primary else None
        with connected(server, self._settings.port, self._settings.timeout, key) as conversation:
            return self._question.ask(server, conversation)

    def _update(self, before: Records, desired: Records) -> dns.update.UpdateMessage:
        """Exactly `before` must be there (RFC 2136, 2.4.2 and 2.4.3); then `desired` is, in one transaction."""
        unknown = sorted((set(desired.records) | set(before.records)) - set(KINDS))
        if unknown or ("CNAME" in desired.records and len(desired.records) > 1):
            msg = f"{self._name} cannot be made {desired}: A and AAAA, or one CNAME, can be set"
            raise Misconfigured(msg)
        update = dns.update.UpdateMessage(self._zone)
        for kind in KINDS:
            if kind in before.records:
                update.present(self._name, *(_rdata(kind, text) for text in before.records[kind]))
            else:
                update.absent(self._name, kind)
        # Deletions first: a CNAME is silently not added beside other records, nor they beside it (RFC 2136, 3.4.2.2).
        for kind in before.records:
            update.delete(self._name, kind)
        for kind, texts in desired.records.items():
            update.add(self._name, desired.ttl, *(_rdata(kind, text) for text in texts))
        return update

    def _warnings(self, said: Mapping[str, Answer | ProviderError], answer: Answer) -> tuple[str, ...]:
        silent = [f"secondary: {each}" for each in said.values() if isinstance(each, ProviderError)]
        if answer.records.records and answer.records.ttl > self._settings.ttl:
            silent.append(
                f"{self._name} has a TTL of {show(answer.records.ttl)} and the runbook one of "
                f"{show(self._settings.ttl)}: clients keep an old answer that long; lower it before it is needed"
            )
        return tuple(silent)


def _key(resource: str, secret: Mapping[str, str]) -> dns.tsig.Key:
    missing = [field for field in SECRET if not secret.get(field)]
    if missing:
        msg = f"{resource}: the credential profile has no {' and no '.join(missing)}: updates must be signed (TSIG)"
        raise Misconfigured(msg)
    algorithm = secret.get("algorithm") or "hmac-sha256"
    known = {name.to_text(omit_final_dot=True).lower() for name in dns.tsig.mac_sizes}
    if algorithm.rstrip(".").lower() not in known:
        msg = f"{resource}: TSIG algorithm {algorithm!r} is unknown: use one of {', '.join(sorted(known))}"
        raise Misconfigured(msg)
    try:
        return dns.tsig.Key(secret["key_name"], secret["key"], algorithm)
    except (binascii.Error, ValueError, dns.exception.DNSException):
        # Not chained: the error of the decoder may quote the secret.
        msg = f"{resource}: the key of the credential profile is not Base64, or its key_name is no DNS name"
        raise Misconfigured(msg) from None


def _name(text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(text)
    except dns.exception.DNSException as error:
        msg = f"{text!r} is no DNS name ({error}): correct it in the runbook"
        raise Misconfigured(msg) from error


def _rdata(kind: str, text: str) -> dns.rdata.Rdata:
    try:
        return dns.rdata.from_text(
            dns.rdataclass.IN, dns.rdatatype.from_text(kind), text, origin=dns.name.root, relativize=False
        )
    except dns.exception.DNSException as error:
        msg = f"{text!r} is no value of a record of type {kind}: correct it in the runbook"
        raise Misconfigured(msg) from error
