"""The language of runbooks: each way to get one wrong and the line that says so; no text ever raises; durations."""

from __future__ import annotations

from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import parse

VALID = """\
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
      right: {host: 10.0.2.1, fence: [{fence_agents: {agent: fence_ipmilan}}]}
  name:
    type: dns
    needs: [db]
    server: rfc2136
    primary: 10.0.3.1
    zone: shop.test
    record: db.shop.test
    ttl: 5s
    at: {left: {a: 192.0.2.1}, right: {a: 192.0.2.2}}
verify:
  - {sql: select 1, component: db, within: 60s}
"""


def changed(*replacements: tuple[str, str]) -> str:
    """The valid runbook with texts replaced, each of which stands in it exactly once."""
    text = VALID
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the valid runbook"
        text = text.replace(old, new)
    return text


def findings(text: str) -> list[str]:
    return [str(finding) for finding in parse(text, "shop.yaml", catalog()).findings]


def test_what_the_table_changes_is_valid() -> None:
    assert findings(VALID) == []


CIRCLE = VALID.replace("    type: postgresql\n", "    type: postgresql\n    needs: [name]\n")

BROKEN: dict[str, tuple[str, list[str]]] = {
    "unknown key suggests the near one": (changed(("objectives", "objektives")), []),
    "unknown key of a component": (changed(("zone: shop.test", "zone: shop.test\n    colour: red")), []),
    "unknown nested key": (changed(("rpo: 10s", "rop: 10s")), []),
    "unknown key of a place": (changed(("host: 10.0.1.1", "host: 10.0.1.1, prot: 5433")), []),
    "unknown key of a fence": (
        changed(
            (
                "fence: [{fence_agents: {agent: fence_ipmilan}}]}\n      right",
                "fence: [{fence_agents: {agent: fence_ipmilan, optoins: {}}}]}\n      right",
            )
        ),
        [],
    ),
    "missing key, a near one given": (changed(("components:", "componets:")), []),
    "missing key of a component": (changed(("    zone: shop.test\n", "")), []),
    "missing key of a place": (changed(("host: 10.0.1.1, ", "")), []),
    "duplicate key": (changed(("failover: left -> right", "failover: left -> right\nfailover: right -> left")), []),
    "duplicate component": (changed(("  name:\n", "  db:\n")), []),
    "anchor": (changed(("left: {provider: on-prem}", "left: &here {provider: on-prem}")), []),
    "alias": (changed(("right: {provider: on-prem}", "right: *here")), []),
    "tag": (changed(("zone: shop.test", "zone: !secret shop.test")), []),
    "python tag": (changed(("zone: shop.test", "zone: !!python/object/apply:os.system [id]")), []),
    "not YAML": (changed(("sites:", "sites: [")), []),
    "tab": (changed(("  left: {provider: on-prem}", "\tleft: {provider: on-prem}")), []),
    "control character": (changed(("select 1", "select \x07")), []),
    "two documents": (VALID + "---\n" + VALID, []),
    "list instead of a mapping": ("- runbook: shop\n", []),
    "empty text": ("", []),
    "only a comment": ("# nothing yet\n", []),
    "a word": ("shop\n", []),
    "list where a mapping belongs": (
        changed(("  left: {provider: on-prem}\n  right: {provider: on-prem}\n", "  - left\n  - right\n")),
        [],
    ),
    "null where a mapping belongs": (VALID.partition("components:")[0] + "components:\n", []),
    "no component": (VALID.partition("components:")[0] + "components: {}\n", []),
    "no name": (changed(("runbook: shop", "runbook: My Shop")), []),
    "no place at a site": (
        changed(("      right: {host: 10.0.2.1, fence: [{fence_agents: {agent: fence_ipmilan}}]}\n", "")),
        [],
    ),
    "no fence": (
        changed(("{host: 10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]}", "{host: 10.0.1.1}")),
        [],
    ),
    "empty list of fences": (
        changed(("10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]", "10.0.1.1, fence: []")),
        [],
    ),
    "fence that is no list": (
        changed(("10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]", "10.0.1.1, fence: fence_agents")),
        [],
    ),
    "unknown fence method": (changed(("10.0.1.1, fence: [{fence_agents:", "10.0.1.1, fence: [{fence_agent:")), []),
    "two providers in one fence method": (
        changed(
            ("10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]", "10.0.1.1, fence: [{aws: {}, linux: {}}]")
        ),
        [],
    ),
    "cycle": (CIRCLE, []),
    "needs itself": (changed(("needs: [db]", "needs: [name]")), []),
    "unknown site in the direction": (changed(("left -> right", "left -> rigth")), []),
    "unknown site of a place": (changed(("      left: {host", "      middle: {host: h}\n      left: {host")), []),
    "unknown component needed": (changed(("needs: [db]", "needs: [bd]")), []),
    "unknown component type": (changed(("type: postgresql", "type: postgres")), []),
    "unknown provider of a site": (changed(("left: {provider: on-prem}", "left: {provider: on-perm}")), []),
    "duration without a unit": (changed(("rto: 5m", "rto: 5")), []),
    "duration of nothing known": (changed(("rto: 5m", "rto: 5 minutes")), []),
    "true is no duration": (changed(("rto: 5m", "rto: true")), []),
    "bad direction": (changed(("left -> right", "left to right")), []),
    "two equal sites": (changed(("left -> right", "left -> left")), []),
    "dns without a server": (changed(("    server: rfc2136\n    primary: 10.0.3.1\n", "")), []),
    "dns with an unknown server": (changed(("server: rfc2136", "server: bind")), []),
    "dns without an answer": (changed((", right: {a: 192.0.2.2}", "")), []),
    "verification without a telling key": (changed(("sql: select 1, ", "")), []),
    "verification with two telling keys": (changed(("sql: select 1", 'sql: select 1, tcp: "10.0.1.1:5432"')), []),
    "verification of an unknown component": (changed(("component: db", "component: dp")), []),
    "verification of a server that is not named": (changed(("component: db, ", "")), []),
    "verification's unknown key": (changed(("within: 60s", "wihtin: 60s")), []),
    "gate before something else": (VALID + "gates:\n  - {before: coffee}\n", []),
    "gate with a list of one text": (VALID + "gates:\n  - {before: fence, approvers: ann}\n", []),
}
