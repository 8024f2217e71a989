"""`probe.dns`: a name resolves as clients should see it."""

from __future__ import annotations

import dns.exception
import dns.resolver

from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.world import Reading, Running, State
from orchestrator.ports import Binding, Call
from providers.probe.spec import DnsProbeSettings

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
            except dns.exception.DNSException:
                continue  # no such answer from this resolver now: a probe can only fail to see
            answers += [str(record).rstrip(".") for record in found]
        return Reading(
            states=(Running(running=self._settings.answer.rstrip(".") in answers),),
            authority=f"the resolver {', '.join(str(server) for server in resolver.nameservers)}",
            facts={"answers": ", ".join(answers) or "none"},
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
        host, _, port = self._settings.resolver.partition(":")
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [host], int(port or 53)
        return resolver
