"""`linux.floating_ip`: an IPv4 address that one host of several holds, made known by gratuitous ARP."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.errors import Doubtful, Misconfigured, ProviderError, Unreachable
from orchestrator.domain.world import Holder, Reading, State
from orchestrator.ports import Binding, Call
from orchestrator.runtime.host import Host
from providers.linux.errors import complained
from providers.linux.spec import FloatingIpPlace, FloatingIpSettings

_READ_SECONDS = 5.0
_CHANGE_SECONDS = 5.0
_HOLDS, _FREE, _UNABLE = "holds it", "does not hold it", "does not hold it and has no arping"
_DARK_SECONDS = 0.5
"""A host whose SSH port does not answer in that time is taken as dark; ssh itself would take 2 s to say so."""

# $1 the interface. The second line says whether the host could announce an address.
_LOOK = 'ip -j -4 address show && ip link show dev "$1" >/dev/null && { command -v arping || echo "no arping"; }'

# $1 address with prefix length, $2 interface. The first word of it: the old holder is about to give the address up.
_TAKE = """
command -v arping >/dev/null || { echo 'arping is missing' >&2; exit 1; }
ip address replace "$1" dev "$2" || exit 1
timeout -s INT 0.1 arping -U -c 1 -I "$2" "${1%/*}" >/dev/null 2>&1
exit 0
"""

# The same words. Both forms of gratuitous ARP, because stacks heed one or the other (RFC 5227, section 3). arping sends
# at once and then waits a second for nothing, so it is interrupted.
_ANNOUNCE = """
for form in -U -A; do timeout -s INT 0.3 arping "$form" -c 2 -I "$2" "${1%/*}" & done | grep -c 'Sent [1-9]' |
    grep -qx 2 || { echo 'the address is set, but arping did not announce it' >&2; exit 1; }
"""

# $1 address without prefix length. Without promote_secondaries the kernel takes every other address of the same subnet
# along when the one that came first goes: that may be the host's own (ip-sysctl, "promote_secondaries").
_RELEASE = """
ip -o -4 address show to "$1/32" | while read -r _ interface _ found _; do
    knob=/proc/sys/net/ipv4/conf/$interface/promote_secondaries
    before=$(cat "$knob")
    echo 1 > "$knob"
    ip address delete "$found" dev "$interface"
    code=$?
    echo "$before" > "$knob"
    [ "$code" = 0 ] || exit "$code"
done
"""


@dataclass(frozen=True)
class _Look:
    """What one site's host said: whether it holds the address, or why that is not known."""

    holds: bool = False
    announces: bool = True
    error: ProviderError | None = None

    @property
    def said(self) -> str:
        """The same in words, as the reading keeps it."""
        if self.error:
            return str(self.error)
        return _HOLDS if self.holds else _FREE if self.announces else _UNABLE


class FloatingIp:
    """The address, and the hosts that may hold it."""

    def __init__(self, binding: Binding[FloatingIpSettings, FloatingIpPlace]) -> None:
        self._address, self._places = binding.settings.address, binding.places
        self._hosts = {site: Host(place.ssh, run_as="root") for site, place in self._places.items()}

    def __repr__(self) -> str:
        return f"FloatingIp({self._address})"

    def observe(self) -> Reading:
        """Who holds the address, by what each reachable host says; raises where none can be asked."""
        looks = self._at_all_sites(self._look)
        errors = {site: look.error for site, look in looks.items() if look.error}
        if len(errors) == len(looks):
            raise next(iter(errors.values()))
        holders = [site for site, look in looks.items() if look.holds]
        warnings = [
            f"{self._hosts[s]}: the address cannot be announced from there: install iputils-arping"
            for s, look in looks.items()
            if not look.announces
        ]
        if len(holders) > 1:
            warnings.append(
                f"{self._address.ip} is held by {' and '.join(holders)} at once: it has to leave all but one"
            )
        return Reading(
            states=_states(holders, bool(errors)),
            authority="; ".join(f"ip address on {self._hosts[site]}" for site in looks if site not in errors),
            authoritative=not errors,
            warnings=tuple(warnings),
            facts={site: look.said for site, look in looks.items()},
        )

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """The address is set at the wanted host, leaves every other that was read to hold it, and is announced.

        In this order, since a client whose first packet falls between two holders tries again after a whole second.
        A host that could not be read is passed over: the reading after this one tells if it held the address after all.
        """
        if not isinstance(desired, Holder) or (desired.site and desired.site not in self._hosts):
            raise Misconfigured(f"{self._address.ip}: no host is known for {desired}")
        target = desired.site
        if target is not None:
            self._refuse_a_target_that_cannot(target, observed.facts.get(target, "was not read"))
            words = [str(self._address), self._places[target].interface]
            self._change(target, f"take {self._address.ip}", _TAKE, words, call)
        doubts = [
            self._release(site, call, may_be_dark=target is not None)
            for site in self._hosts
            if site != target and observed.facts.get(site) == _HOLDS
        ]
        if target is not None:
            self._change(target, f"announce {self._address.ip}", _ANNOUNCE, words, call)
        for doubt in filter(None, doubts):
            raise doubt

    def _refuse_a_target_that_cannot(self, site: str, said: str) -> None:
        if said == _UNABLE:
            raise Misconfigured(f"{self._hosts[site]}: {said}: install iputils-arping there; nothing was changed")
        if said not in (_HOLDS, _FREE):
            raise Unreachable(f"{said}; nothing was changed")

    def _release(self, site: str, call: Call, *, may_be_dark: bool) -> Doubtful | None:
        """The doubt that is left, where the host went dark over it: no reason to leave the address where nobody reaches
        it, but it may yet give it up, after it was moved back."""
        try:
            self._change(site, f"give up {self._address.ip}", _RELEASE, [str(self._address.ip)], call)
        except (Unreachable, Doubtful) as error:
            if not may_be_dark:
                raise
            return error if isinstance(error, Doubtful) else None
        return None

    def _change(self, site: str, what: str, script: str, words: list[str], call: Call) -> None:
        host = self._hosts[site]
        limit = min(_CHANGE_SECONDS, call.remaining)
        done = host.run(["sh", "-c", script, "sh", *words], timeout=limit, guard=call.guard)
        if done.code:
            raise complained(host, what, done)
        call.accepted()

    def _look(self, site: str) -> _Look:
        host, interface = self._hosts[site], self._places[site].interface
        if not host.answers(_DARK_SECONDS):
            return _Look(error=Unreachable(f"{host}: does not answer"))
        try:
            done = host.run(["sh", "-c", _LOOK, "sh", interface], timeout=_READ_SECONDS)
        except ProviderError as error:
            return _Look(error=error)
        if done.code:
            return _Look(error=complained(host, "look at its addresses", done))
        links, _, arping = done.stdout.partition("\n")
        return _Look(self._is_among(json.loads(links)), announces="no arping" not in arping)

    def _is_among(self, links: list[dict[str, Any]]) -> bool:
        addresses = [found["local"] for link in links for found in link.get("addr_info", ()) if "local" in found]
        return str(self._address.ip) in addresses

    def _at_all_sites(self, ask: Callable[[str], _Look]) -> dict[str, _Look]:
        with ThreadPoolExecutor(len(self._hosts)) as pool:
            return dict(zip(self._hosts, pool.map(ask, self._hosts), strict=True))


def _states(holders: list[str], some_are_dark: bool) -> tuple[State, ...]:
    """One holder is a fact; none is one only where every host was asked; two are no state at all."""
    if len(holders) == 1:
        return (Holder(site=holders[0]),)
    return () if holders or some_are_dark else (Holder(site=None),)
