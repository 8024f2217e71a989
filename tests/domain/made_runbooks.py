"""Valid runbooks made up by hypothesis: all component types, either provider, any needs, fences and gates."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import parse
from orchestrator.domain.runbook import Runbook

_SITES = ("left", "right")
_TYPES = ("postgresql", "vm", "floating-ip", "dns", "command")
_GATE = st.fixed_dictionaries(
    {
        "approvers": st.sampled_from([["ann"], ["ann", "bob"]]),
        "timeout": st.just("1m"),
        "on_timeout": st.sampled_from(["abort", "escalate"]),
    }
)


@st.composite
def made_runbooks(draw: st.DrawFn) -> Runbook:
    """Of one to three components, one of which at least has to be fenced. On-prem, in AWS, or half of each."""
    on_prem = draw(st.sampled_from([_SITES, (), _SITES[:1], _SITES[1:]]))
    types = draw(st.lists(st.sampled_from(_TYPES), min_size=1, max_size=3))
    if not {"postgresql", "vm"} & set(types):
        types[0] = draw(st.sampled_from(["postgresql", "vm"]))
    components: dict[str, Any] = {}
    for number, kind in enumerate(types):
        mixed = len(on_prem) == 1 and kind == "floating-ip"  # an address is of one world
        made = _component(draw, number, "dns" if mixed else kind, on_prem)
        needs = [name for name in components if draw(st.booleans())]
        components[f"c{number}"] = {"needs": needs} | made if needs else made
    gated = ("fence", "promote") if "postgresql" in types else ("fence",)
    gates = [{"before": step} | draw(_GATE) for step in gated if draw(st.booleans())]
    asked = [name for name, made in components.items() if made["type"] == "postgresql" and draw(st.booleans())]
    text = json.dumps(
        {
            "runbook": "made",
            "objectives": {"rto": "5m", "rpo": draw(st.sampled_from(["0s", "10s"]))},
            "sites": {site: _site(site, on_prem) for site in _SITES},
            "failover": "left -> right",
            "components": dict(draw(st.permutations(list(components.items())))),
            "gates": gates,
            "verify": [{"sql": "select 1", "component": name, "within": "30s"} for name in asked],
        }
    )
    found = parse(text, "made.yaml", catalog())
    assume("error" not in {line.finding.level for line in found.findings})
    return found.valid()


def _site(site: str, on_prem: tuple[str, ...]) -> dict[str, str]:
    if site in on_prem:
        return {"provider": "on-prem"}
    return {"provider": "aws", "region": "eu-west-1", "zone": f"eu-west-1{'ab'[_SITES.index(site)]}"}


def _component(draw: st.DrawFn, number: int, kind: str, on_prem: tuple[str, ...]) -> dict[str, Any]:
    match kind:
        case "command":
            return {"type": kind, "observe": ["/bin/true"], "apply": ["/bin/true"]}
        case "floating-ip" if on_prem:
            at = {site: {"interface": "eth0", "ssh": f"root@{site}{number}"} for site in _SITES}
            return {"type": kind, "address": f"10.0.9.{number}/24", "at": at}
        case "floating-ip":
            at = {site: {"machine": f"i-{number}{'ab'[_SITES.index(site)]}0001ab"} for site in _SITES}
            return {"type": kind, "allocation": f"eipalloc-0123456789abcdef{number}", "at": at}
        case "dns":
            server = {"server": "rfc2136", "primary": "10.0.3.1", "credentials": "dns-key"}
            at = {site: {"a": f"192.0.2.{2 * number + _SITES.index(site)}"} for site in _SITES}
            name = {"zone": "x.test", "record": f"c{number}.x.test", "ttl": "5s", "at": at}
            return {"type": kind} | (server if on_prem else {"server": "route53"}) | name
    return _fenced(draw, number, kind, on_prem)


def _fenced(draw: st.DrawFn, number: int, kind: str, on_prem: tuple[str, ...]) -> dict[str, Any]:
    """A database, or a machine that acts. Its first two doors on-prem are one device, its third is another."""
    doors = draw(st.sampled_from([(0,), (0, 1), (0, 2), (2, 0), (0, 1, 2)]))
    strong = len(on_prem) == 2 and 2 in doors and len(doors) > 1 and draw(st.booleans())
    at: dict[str, Any] = {}
    for site in _SITES:
        index = _SITES.index(site) + 1
        bmc = {"ip": f"10.8.{index}.{number}"}
        methods = [
            {"agent": "fence_ipmilan", "options": bmc, "uuid": f"{index:08x}-0000-0000-0000-{number:012x}"},
            {"agent": "fence_redfish", "options": bmc, "unproven": "traced by hand"},
            {
                "agent": "fence_apc_snmp",
                "options": {"ip": f"10.9.9.{index}", "plug": number},
                "alias": f"{kind}-{number}",
            },
        ]
        on_it = {"fence": [{"fence_agents": methods[door]} for door in doors]}
        at[site] = on_it if site in on_prem else {"machine": f"i-{number}{'ab'[index - 1]}0000ab"}
        if kind == "postgresql":
            at[site] |= {"host": f"10.0.{index}.{10 + number}", "data_directory": f"/data{number}"}
    return {"type": kind} | ({"fencing": "F3"} if strong else {}) | {"at": at}
