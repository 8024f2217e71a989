"""Runbooks for the tests of the domain, in the real language and with the real providers' types."""

from __future__ import annotations

from pathlib import Path

from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import parse, read
from orchestrator.domain.derivation import derive
from orchestrator.domain.plan import Plan, PlanMode
from orchestrator.domain.runbook import Runbook

FOLDER = Path(__file__).parents[2] / "runbooks"

_SITES = """
objectives: {rto: 5m, rpo: 10s}
sites:
  left: {provider: on-prem}
  right: {provider: on-prem}
failover: left -> right
"""


_KNOWN = "unproven: cables followed by hand"


def _fence(plug: int, *agents: str) -> str:
    return ", ".join(f"{{fence_agents: {{agent: {agent}, options: {{plug: n{plug}}}, {_KNOWN}}}}}" for agent in agents)


def _doors(plug: int) -> str:
    """Two agents that speak to one device, then one that speaks to another."""
    bmc, outlet = f"options: {{ip: 10.0.8.{plug}}}", f"options: {{ip: 10.0.9.1, plug: {plug}}}"
    doors = (("fence_redfish", bmc), ("fence_ipmilan", bmc), ("fence_apc_snmp", outlet))
    return ", ".join(f"{{fence_agents: {{agent: {agent}, {options}, {_KNOWN}}}}}" for agent, options in doors)


SHOP = f"""
runbook: shop
{_SITES}
components:
  db:
    type: postgresql
    user: postgres
    at:
      left: {{host: 10.0.1.10, data_directory: /data, fence: [{_fence(1, "fence_ipmilan")}]}}
      right: {{host: 10.0.2.10, data_directory: /data, fence: [{_fence(2, "fence_ipmilan")}]}}
  app:
    type: vm
    needs: [db]
    at:
      left: {{fence: [{_fence(3, "fence_ipmilan")}]}}
      right: {{fence: [{_fence(4, "fence_ipmilan")}]}}
  address:
    type: floating-ip
    needs: [db]
    address: 10.0.9.100/24
    at: {{left: {{interface: eth0}}, right: {{interface: eth0}}}}
  name:
    type: dns
    needs: [app]
    server: rfc2136
    credentials: dns-key
    primary: 10.0.3.1
    zone: shop.test
    record: db.shop.test
    ttl: 5s
    at: {{left: {{a: 192.0.2.1}}, right: {{a: 192.0.2.2}}}}
"""
"""Four components: one writer, a machine that acts, an early address, a name at the end."""

PAIR = f"""
runbook: pair
{_SITES}
components:
  ledger:
    type: postgresql
    user: postgres
    at:
      left: {{host: 10.0.1.10, data_directory: /data, fence: [{_fence(1, "fence_ipmilan", "fence_redfish")}]}}
      right: {{host: 10.0.2.10, data_directory: /data, fence: [{_fence(2, "fence_ipmilan", "fence_redfish")}]}}
  stock:
    type: postgresql
    user: postgres
    needs: [ledger]
    at:
      left: {{host: 10.0.1.11, data_directory: /data, fence: [{_fence(3, "fence_ipmilan", "fence_redfish")}]}}
      right: {{host: 10.0.2.11, data_directory: /data, fence: [{_fence(4, "fence_ipmilan", "fence_redfish")}]}}
gates:
  - {{before: promote, approvers: [ann], timeout: 2m, on_timeout: abort}}
"""
"""Two writers that need each other's order, two fence methods each, and a gate before the promotion."""

BARE = SHOP[: SHOP.index("  app:")].replace("runbook: shop", "runbook: bare")
"""One writer and nothing else."""

MACHINE = f"""
runbook: machine
{_SITES}
components:
  app:
    type: vm
    at:
      left: {{fence: [{_fence(3, "fence_ipmilan")}]}}
      right: {{fence: [{_fence(4, "fence_ipmilan")}]}}
"""
"""One machine that acts, and no data."""

STRONG = f"""
runbook: strong
{_SITES}
components:
  db:
    type: postgresql
    fencing: F3
    at:
      left: {{host: 10.0.1.10, data_directory: /data, fence: [{_doors(1)}]}}
      right: {{host: 10.0.2.10, data_directory: /data, fence: [{_doors(2)}]}}
"""
"""A writer whose fence needs two authorities; the first two of its three methods are doors to one device."""


STRONG_MACHINE = MACHINE.replace("runbook: machine", "runbook: strong-machine").replace(
    "    type: vm\n", "    type: vm\n    fencing: F3\n"
)
for _plug in (3, 4):
    STRONG_MACHINE = STRONG_MACHINE.replace(_fence(_plug, "fence_ipmilan"), _doors(_plug))
"""A machine that acts, and whose fence needs two authorities."""


TWO_FENCES = (
    SHOP[: SHOP.index("  address:")]
    .replace("runbook: shop", "runbook: two-fences")
    .replace(_fence(3, "fence_ipmilan"), _fence(3, "fence_ipmilan", "fence_redfish"))
    .replace(_fence(4, "fence_ipmilan"), _fence(4, "fence_ipmilan", "fence_redfish"))
)
"""A writer that can be fenced in one way, and a machine that acts and can be in two."""


def demo() -> Runbook:
    """The demo's own runbook."""
    return read(FOLDER / "demo.yaml", catalog()).valid()


def runbook(text: str) -> Runbook:
    """The runbook in `text`, which must be without a finding."""
    return parse(text, "test.yaml", catalog()).valid()


def planned(source: Runbook, mode: PlanMode, to: str) -> Plan:
    """The plan of this mode to this site."""
    return derive(source, catalog(), to, mode, "journal-of-the-tests")
