"""A valid runbook of two components, a way to change its text, and what is found in the text."""

from __future__ import annotations

import re

from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import parse

_TEXT = """\
runbook: shop
objectives: {rto: 5m, rpo: 10s}
sites:
  left: {provider: on-prem}
  right: {provider: on-prem}
failover: left -> right
components:
  db:
    type: postgresql
    at:
      left: {host: 10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]}
      right: {host: 10.0.2.1, fence: [{fence_agents: {agent: fence_ilo4}}]}
  name:
    type: dns
    needs: [db]
    server: rfc2136
    primary: 10.0.3.1
    zone: shop.test
    record: db.shop.test
    ttl: 5s
    at: {left: {a: 192.0.2.1}, right: {a: 192.0.2.2}}
    credentials: dns-key
verify:
  - {sql: select 1, component: db, within: 60s}
"""

_METHOD = re.compile(r"fence_agents: \{(?:[^{}\n]|\{[^{}\n]*\}|\{\{[^{}\n]*\}\})*(?=\})")
WORD = "traced by hand"


def vouched(text: str) -> str:
    """The text with a word for each fence method of which nothing else proves what it cuts off, as its last key."""
    return _METHOD.sub(lambda m: m[0] if re.search("uuid|alias", m[0]) else f"{m[0]}, unproven: {WORD}", text)


VALID = vouched(_TEXT)

AWS = """\
runbook: shop
sites:
  left: {provider: aws, region: eu-west-1%s}
  right: {provider: aws, region: eu-west-2, zone: eu-west-2a}
failover: left -> right
components:
  db:
    type: vm
    at: {left: {machine: i-0a1b2c3d}, right: {machine: i-0a1b2c3e}}
"""
"""In two regions of AWS; `% ", zone: ..."` puts left into a zone."""


def changed(*replacements: tuple[str, str]) -> str:
    """The valid runbook with texts replaced, each of which stands in it exactly once; and then `vouched`."""
    return vouched(written(*replacements))


def written(*replacements: tuple[str, str]) -> str:
    """As `changed`, with nobody's word for any fence."""
    text = _TEXT
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the valid runbook"
        text = text.replace(old, new)
    return text


def findings(text: str) -> list[str]:
    return [str(finding) for finding in parse(text, "shop.yaml", catalog()).findings]
