"""`probe.dns`: a name resolves as clients should see it."""

from __future__ import annotations

from ipaddress import ip_address

import dns.exception
import dns.resolver

from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.world import Reading, Running, State
from orchestrator.ports import Binding, Call
from providers.probe.spec import DnsProbeSettings, address_and_port

_SECONDS = 3.0
_TYPES = ("A", "AAAA", "CNAME")


class NameProbe:
    """Asks a resolver, caches and all, as a client would."""

    def __init__(self, binding: Binding[DnsProbeSettings, DnsProbeSettings]) -> None:
        self._settings = binding.settings

    def __repr__(self) -> str:
        return f"NameProbe({self._settings.dns})"

    def observe(self) -> Reading:
        """Running where the answer is among those that the resolver gives."""
        resolver = self._resolver()
        answers: list[str] = []
        for kind in _TYPES:
            try:
                found = resolver.resolve(self._settings.dns, kind, lifetime=_SECONDS, search=False)
            except dns.resolver.LifetimeTimeout:
                break  # it will not answer for the other types either
            except dns.exception.DNSException:
                continue  # no such answer from this resolver now: a probe can only fail to see
            answers += [str(record).rstrip(".") for record in found]
        return Reading(
            states=(Running(running=_same(self._settings.answer) in map(_same, answers)),),
            authority=f"the resolver {', '.join(str(server) for server in resolver.nameservers)}",
            facts={"answers": ", ".join(sorted(answers)) or "none"},
        )

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """Never: a probe only looks."""
        raise Misconfigured(f"{self._settings.dns}: a probe changes nothing")

    def _resolver(self) -> dns.resolver.Resolver:
        if self._settings.resolver is None:
            try:
                return dns.resolver.Resolver()
            except dns.resolver.NoResolverConfiguration as error:
                msg = f"{self._settings.dns}: this host has no resolver configured: name one with `resolver:`"
                raise Misconfigured(msg) from error
        resolver = dns.resolver.Resolver(configure=False)
        address, resolver.port = address_and_port(self._settings.resolver)
        resolver.nameservers = [address]
        return resolver


def _same(answer: str) -> str:
    """One spelling for each address and name: DNS ignores case, and IPv6 addresses have many texts."""
    try:
        return str(ip_address(answer))
    except ValueError:
        return answer.rstrip(".").lower()
