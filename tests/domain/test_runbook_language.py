"""The language of runbooks: each way to get one wrong and the line that says so; no text ever raises; durations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import MAX_BYTES, RunbookText, parse, read
from orchestrator.domain import durations
from orchestrator.domain.errors import NotFoundLocally, RunbookInvalid
from orchestrator.domain.findings import CODES
from orchestrator.domain.lint import lint
from tests.domain.runbooks import FOLDER, PAIR, SHOP

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


def changed(*replacements: tuple[str, str]) -> str:
    """The valid runbook with texts replaced, each of which stands in it exactly once."""
    text = VALID
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the valid runbook"
        text = text.replace(old, new)
    return text


def fenced(method: str, place: str = "", site: str = "") -> str:
    """The valid runbook with more keys for the fence of db at left, for its place, and for its site."""
    return changed(
        ("left: {provider: on-prem}", f"left: {{{', '.join(filter(None, ('provider: on-prem', site)))}}}"),
        ("left: {host: 10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]}",
         f"left: {{host: 10.0.1.1, fence: [{{fence_agents: {{agent: fence_wti, {method}}}}}]{place and ', '}{place}}}"),
    )  # fmt: skip


def with_fences(more: str, keys: str = "") -> str:
    """The valid runbook with more methods after the first for db at left, and more keys for that one; right is safe."""
    agent = "fence: [{fence_agents: {agent: fence_ipmilan"
    return changed(
        (f"1.1, {agent}}}}}", f"1.1, {agent}{', ' if keys else ''}{keys}}}}}{', ' if more else ''}{more}"),
        ("2.1, fence: [{fence_agents: {agent: fence_ilo4", "2.1, fence: [{fence_agents: {agent: fence_wti"),
    )


def strong(*methods: str) -> str:
    """The valid runbook with F3 asked for db, these methods at left, and two good ones at right."""
    agent = "fence: [{fence_agents: {agent: fence_ipmilan}}]"
    good = ", ".join(f"{{fence_agents: {{agent: fence_wti, options: {{ip: 10.0.9.{n}}}}}}}" for n in (1, 2))
    return changed(
        ("    type: postgresql\n", "    type: postgresql\n    fencing: F3\n"),
        (f"1.1, {agent}", f"1.1, fence: [{', '.join(methods)}]"),
        (f"2.1, {agent.replace('ipmilan', 'ilo4')}", f"2.1, fence: [{good}]"),
    )


ADD = ": when that is lost it confirms nothing; add a method that depends on nothing there"
ASKS = "10:5: FENCE-STRENGTH db asks for F3, but"
ALONE_FOR_F3 = "alone can confirm it when left is lost: name a second one that shares no controller"
PASSWORD = "'password' is a secret: put it into the profile that `credentials:` names"
NAMES = "use letters, digits, '-' and '_', at most 41 of them, and a letter or digit first"
MAY_COME_BACK = (
    "11:39: FENCE-STRENGTH db at left may come back by itself after fence_agents, and then nothing can be promoted: "
    "add a method that keeps it off, or end what restores its power"
)
MACHINE = """\
  app:
    type: vm
    at:
      left: {fence: [{fence_agents: {agent: fence_ipmilan}}]}
      right: {fence: [{fence_agents: {agent: fence_wti}}]}
"""
SAME_SITE = (
    "16:7: SAME-MACHINE app@left:fence_agents is the very thing that db@left:fence_agents is: "
    "to switch it off for one component takes the other down with it"
)
BOTH_SITES = (
    "12:7: SAME-MACHINE db@right:fence_agents is the very thing that db@left:fence_agents is: "
    "what cuts off one site would cut off the other"
)
SHARES = "the fence of db at left through fence_agents shares its"


def findings(text: str) -> list[str]:
    return [str(finding) for finding in parse(text, "shop.yaml", catalog()).findings]


def test_what_the_table_changes_is_valid() -> None:
    assert findings(VALID) == []


CIRCLE = VALID.replace("    type: postgresql\n", "    type: postgresql\n    needs: [name]\n")

ADDRESS = (
    changed(("right: {provider: on-prem}", "right: {provider: aws, region: eu-west-1}")).partition("  name:")[0]
    + "  address: {type: floating-ip, needs: [db], address: 10.0.9.1/24}\n"
)

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

IN_TWO_REGIONS = AWS % "" + "  address: {type: floating-ip, needs: [db], allocation: eipalloc-0a1b2c3d}\n"

BROKEN: dict[str, tuple[str, list[str]]] = {
    "an instance in no region": (
        (AWS % "").replace(", region: eu-west-1", ""),
        ["3:3: MISSING aws.ec2_instance there needs its `region:`"],
    ),
    "an address in two regions": (
        IN_TWO_REGIONS,
        [
            (
                "10:3: NO-TYPE aws.elastic_ip exists in one region only, and its sites are in eu-west-1, eu-west-2: "
                "use `dns` between regions"
            )
        ],
    ),
    "an answer that is no address": (
        changed(("{a: 192.0.2.1}", "{a: 192.0.2.256}")),
        ["21:17: VALUE '192.0.2.256' is no such address: write it as 192.0.2.1"],
    ),
    "an answer of the other kind": (
        changed(("{a: 192.0.2.1}", "{aaaa: [192.0.2.1]}")),
        ["21:17: VALUE '192.0.2.1' is no such address: write it as 2001:db8::1"],
    ),
    "a name and addresses": (
        changed(("{a: 192.0.2.1}", "{a: 192.0.2.1, cname: db.left.test}")),
        ["21:10: VALUE a name that has a cname answers with nothing else: give cname, or a and aaaa"],
    ),
    "half a second to live": (
        changed(("ttl: 5s", "ttl: 0.5s")),
        ["20:5: VALUE a time to live is counted in whole seconds, not 0.5s"],
    ),
    "unknown key suggests the near one": (
        changed(("objectives", "objektives")),
        ["2:1: UNKNOWN-KEY unknown key 'objektives'; did you mean 'objectives'?"],
    ),
    "unknown key of a component": (
        changed(("zone: shop.test", "zone: shop.test\n    colour: red")),
        [
            (
                "19:5: UNKNOWN-KEY unknown key 'colour'; known here: at, authorities, credentials, needs, "
                "port, primary, record, server, timeout, ttl, type, zone"
            )
        ],
    ),
    "unknown nested key": (
        changed(("rpo: 10s", "rop: 10s")),
        ["2:23: UNKNOWN-KEY unknown key 'rop'; did you mean 'rto'?"],
    ),
    "unknown key of a place": (
        changed(("host: 10.0.1.1", "host: 10.0.1.1, prot: 5433")),
        ["11:30: UNKNOWN-KEY unknown key 'prot'; did you mean 'port'?"],
    ),
    "unknown key of a fence": (
        changed(
            (
                "fence: [{fence_agents: {agent: fence_ipmilan}}]}\n      right",
                "fence: [{fence_agents: {agent: fence_ipmilan, optoins: {}}}]}\n      right",
            )
        ),
        ["11:76: UNKNOWN-KEY unknown key 'optoins'; did you mean 'options'?"],
    ),
    "missing key, a near one given": (
        changed(("components:", "componets:")),
        [
            "7:1: MISSING the key 'components' is missing; did you mean it by 'componets'?",
            "7:1: UNKNOWN-KEY unknown key 'componets'; did you mean 'components'?",
        ],
    ),
    "missing key of a component": (changed(("    zone: shop.test\n", "")), ["13:3: MISSING the key 'zone' is missing"]),
    "missing key of a place": (changed(("host: 10.0.1.1, ", "")), ["11:7: MISSING the key 'host' is missing"]),
    "duplicate key": (
        changed(("failover: left -> right", "failover: left -> right\nfailover: right -> left")),
        ['7:1: DUPLICATE the key stands twice: "failover"'],
    ),
    "duplicate component": (changed(("  name:\n", "  db:\n")), ['13:3: DUPLICATE the key stands twice: "db"']),
    "anchor": (
        changed(("left: {provider: on-prem}", "left: &here {provider: on-prem}")),
        ["4:9: YAML an anchor or alias is not part of the language: write the value out"],
    ),
    "alias": (
        changed(("right: {provider: on-prem}", "right: *here")),
        ["5:10: YAML an anchor or alias is not part of the language: write the value out"],
    ),
    "tag": (
        changed(("zone: shop.test", "zone: !secret shop.test")),
        ["18:11: YAML the tag !secret is not part of the language: write the value out"],
    ),
    "python tag": (
        changed(("zone: shop.test", "zone: !!python/object/apply:os.system [id]")),
        [
            (
                "18:11: YAML the tag tag:yaml.org,2002:python/object/apply:os.system is not part "
                "of the language: write the value out"
            )
        ],
    ),
    "not YAML": (changed(("sites:", "sites: [")), ["5:3: YAML expected ',' or ']', but got '<scalar>'"]),
    "tab": (
        changed(("  left: {provider: on-prem}", "\tleft: {provider: on-prem}")),
        ["4:1: YAML found character '\\t' that cannot start any token"],
    ),
    "control character": (
        changed(("select 1", "select \x07")),
        ["1:1: YAML a value cannot be read: unacceptable character #x0007: special characters are not allowed"],
    ),
    "two documents": (VALID + "---\n" + VALID, ["25:1: YAML but found another document"]),
    "list instead of a mapping": (
        "- runbook: shop\n",
        ["1:1: YAML a runbook is a mapping: begin with `runbook: name`"],
    ),
    "empty text": ("", ["1:1: YAML a runbook is a mapping: begin with `runbook: name`"]),
    "only a comment": ("# nothing yet\n", ["1:1: YAML a runbook is a mapping: begin with `runbook: name`"]),
    "a word": ("shop\n", ["1:1: YAML a runbook is a mapping: begin with `runbook: name`"]),
    "list where a mapping belongs": (
        changed(("  left: {provider: on-prem}\n  right: {provider: on-prem}\n", "  - left\n  - right\n")),
        ["3:1: VALUE input should be a valid dictionary"],
    ),
    "null where a mapping belongs": (
        VALID.partition("components:")[0] + "components:\n",
        ["7:1: VALUE input should be a valid dictionary"],
    ),
    "no component": (
        VALID.partition("components:")[0] + "components: {}\n",
        ["1:1: VALUE there is no component: name at least one"],
    ),
    "no name": (
        changed(("runbook: shop", "runbook: My Shop")),
        ["1:1: VALUE 'My Shop' is no name: use a to z, 0 to 9 and '-', at most 41 characters"],
    ),
    "no place at a site": (
        changed(("      right: {host: 10.0.2.1, fence: [{fence_agents: {agent: fence_ilo4}}]}\n", "")),
        ["8:3: MISSING db has no place under `at:` for the site 'right'"],
    ),
    "no fence": (
        changed(("{host: 10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]}", "{host: 10.0.1.1}")),
        ["11:7: NO-FENCE db at left writes or acts and cannot be fenced: name its `machine:` or give a `fence:` list"],
    ),
    "empty list of fences": (
        changed(("10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]", "10.0.1.1, fence: []")),
        ["11:7: NO-FENCE db at left writes or acts and cannot be fenced: name its `machine:` or give a `fence:` list"],
    ),
    "fence that is no list": (
        changed(("10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]", "10.0.1.1, fence: fence_agents")),
        ["11:30: VALUE a fence is a list of methods: `- provider: {settings}`"],
    ),
    "unknown fence method": (
        changed(("10.0.1.1, fence: [{fence_agents:", "10.0.1.1, fence: [{fence_agent:")),
        ["11:39: NO-FENCE there is no fence method 'fence_agent'; did you mean 'fence_agents'?"],
    ),
    "two providers in one fence method": (
        changed(
            ("10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]", "10.0.1.1, fence: [{aws: {}, linux: {}}]")
        ),
        ["11:38: VALUE a method is a provider's name, or `provider: {settings}`"],
    ),
    "cycle": (CIRCLE, ["7:1: CYCLE components need each other: db -> name -> db"]),
    "needs itself": (
        changed(("needs: [db]", "needs: [name]")),
        ["7:1: CYCLE components need each other: name -> name"],
    ),
    "unknown site in the direction": (
        changed(("left -> right", "left -> rigth")),
        ["6:1: REFERENCE there is no site 'rigth'; did you mean 'right'?"],
    ),
    "unknown site of a place": (
        changed(("      left: {host", "      middle: {host: h}\n      left: {host")),
        ["11:7: REFERENCE there is no site 'middle': there is left, right"],
    ),
    "unknown component needed": (
        changed(("needs: [db]", "needs: [bd]")),
        ["15:13: REFERENCE there is no component 'bd': there is db, name"],
    ),
    "unknown component type": (
        changed(("type: postgresql", "type: postgres")),
        ["9:5: NO-TYPE there is no component type 'postgres'; did you mean 'postgresql'?"],
    ),
    "duration without a unit": (changed(("rto: 5m", "rto: 5")), ["2:14: VALUE 5 has no unit: write 5s or 5m"]),
    "duration of nothing known": (
        changed(("rto: 5m", "rto: 5 minutes")),
        ["2:14: VALUE '5 minutes' is no duration: write 90s, 5m or 1h30m"],
    ),
    "true is no duration": (
        changed(("rto: 5m", "rto: true")),
        ["2:14: VALUE true is no duration: write 90s, 5m or 1h30m"],
    ),
    "bad direction": (
        changed(("left -> right", "left to right")),
        ["6:1: VALUE 'left to right' is no direction: write `site -> site`"],
    ),
    "two equal sites": (changed(("left -> right", "left -> left")), ["6:1: REFERENCE the two sites are the same"]),
    "dns without a server": (
        changed(("    server: rfc2136\n    primary: 10.0.3.1\n", "")),
        ["13:3: NO-TYPE `server:` says who serves the zone: rfc2136, route53; found None"],
    ),
    "dns with an unknown server": (
        changed(("server: rfc2136", "server: bind")),
        ["16:5: NO-TYPE `server:` says who serves the zone: rfc2136, route53; found 'bind'"],
    ),
    "dns without an answer": (
        changed((", right: {a: 192.0.2.2}", "")),
        ["13:3: MISSING name has no answer for the site 'right': give a, aaaa or cname under `at:`"],
    ),
    "verification without a telling key": (
        changed(("sql: select 1, ", "")),
        ["24:5: VALUE a verification has exactly one of the keys dns, sql, tcp"],
    ),
    "verification with two telling keys": (
        changed(("sql: select 1", 'sql: select 1, tcp: "10.0.1.1:5432"')),
        ["24:5: VALUE a verification has exactly one of the keys dns, sql, tcp"],
    ),
    "verification of an unknown component": (
        changed(("component: db", "component: dp")),
        ["24:21: REFERENCE there is no component 'dp': there is db, name"],
    ),
    "verification of a server that is not named": (
        changed(("component: db, ", "")),
        ["24:5: MISSING `sql:` needs `component:`, the one at whose place it asks"],
    ),
    "verification's unknown key": (
        changed(("within: 60s", "wihtin: 60s")),
        ["24:36: UNKNOWN-KEY unknown key 'wihtin'; did you mean 'within'?"],
    ),
    "gate before something else": (
        VALID + "gates:\n  - {before: coffee}\n",
        ["26:6: VALUE input should be 'fence' or 'promote'"],
    ),
    "gate with a list of one text": (
        VALID + "gates:\n  - {before: fence, approvers: ann}\n",
        ["26:21: VALUE input should be a valid tuple"],
    ),
    "!!str is a tag as well": (
        changed(("zone: shop.test", "zone: !!str shop.test")),
        ["18:11: YAML the tag tag:yaml.org,2002:str is not part of the language: write the value out"],
    ),
    "merge key": (
        VALID + "<<: {owner: ann}\n",
        ["25:1: YAML a merge key is not part of the language: write the value out"],
    ),
    "number that YAML cannot read": (
        VALID + "owner: 0x_\n",
        ["1:1: YAML a value cannot be read: string index out of range"],
    ),
    "date that does not exist": (
        VALID + "owner: 2024-13-01\n",
        ["1:1: YAML a value cannot be read: month must be in 1..12"],
    ),
    "verification of a component without a server": (
        changed(("component: db", "component: name")),
        ["24:21: REFERENCE `sql:` cannot ask 'name': its place has no host"],
    ),
    "address shared between different providers": (
        ADDRESS,
        ["13:3: NO-TYPE floating-ip cannot be shared between left (linux.floating_ip) and right (aws.elastic_ip)"],
    ),
    "site provider that nobody has heard of": (
        ADDRESS.replace("aws, region: eu-west-1", "on-perm"),
        ["5:11: REFERENCE there is no site provider 'on-perm'; did you mean 'on-prem'?"],
    ),
    "provider of a site to which nothing moves": (
        changed(("failover: left", "  far: {provider: azure}\nfailover: left")),
        ["6:9: REFERENCE there is no site provider 'azure': there is aws, on-prem"],
    ),
    "fence from the site that is lost": (
        fenced("site: left"),
        ["11:72: FENCE-PATH the fence of db at left through fence_agents lives in left itself" + ADD],
    ),
    "fence from a site that is not there": (
        fenced("site: middel"),
        ["11:72: REFERENCE there is no site 'middel': there is left, right"],
    ),
    "fence with the power of what it cuts off": (
        fenced("fault_domain: {power: feed-a, network: oob}", "fault_domain: {power: feed-a}"),
        [f"11:87: FENCE-PATH {SHARES} power 'feed-a' with what it cuts off{ADD}"],
    ),
    "fence with the controller and network of its site": (
        fenced(
            "fault_domain: {controller: vc-1, network: mgmt}", site="fault_domain: {controller: vc-1, network: mgmt}"
        ),
        [
            f"11:87: FENCE-PATH {SHARES} controller 'vc-1' with what it cuts off{ADD}",
            f"11:105: FENCE-PATH {SHARES} network 'mgmt' with what it cuts off{ADD}",
        ],
    ),
    "fence in the one fault domain of its site": (
        fenced("fault_domain: hall-1", site="fault_domain: hall-1"),
        [f"11:72: FENCE-PATH {SHARES} power, controller, network 'hall-1' with what it cuts off{ADD}"],
    ),
    "fence with an address in its site's own network": (
        fenced("options: {ip: 10.0.1.200}", site="networks: [10.0.1.0/24]"),
        [f"11:39: FENCE-PATH {SHARES[:-11]} is reached at 10.0.1.200, in the network 10.0.1.0/24 of left itself{ADD}"],
    ),
    "F3 with one method": (
        strong("{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.1, plug: 1}}}"),
        [f"{ASKS} fence_agents {ALONE_FOR_F3}"],
    ),
    "F3 with a method that is lost with its site": (
        strong(
            "{fence_agents: {agent: fence_wti, site: left, options: {ip: 10.0.8.1}}}",
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.2}}}",
        ),
        [
            f"{ASKS} fence_agents-2 {ALONE_FOR_F3}",
        ],
    ),
    "a fence after which the machine may come back": (
        fenced("restores_power: true"),
        [MAY_COME_BACK],
    ),
    "the same machine at both sites": (
        changed(("fence_ilo4", "fence_ipmilan")),
        [BOTH_SITES],
    ),
    "a machine that is another component's": (
        changed(
            (
                "  name:\n",
                f"{MACHINE}  name:\n",
            )
        ),
        [SAME_SITE],
    ),
    "two gates before one thing": (
        VALID + "gates:\n  - {before: fence, approvers: [ann]}\n  - {before: fence, approvers: [bob]}\n",
        ["27:6: VALUE there is a gate before `fence` already"],
    ),
    "a component named as a verification is": (
        changed(("  name:\n", "  verify-1:\n")),
        ["13:3: VALUE 'verify-1' is what a verification is called"],
    ),
    "a component with a name that is none": (
        changed(("  name:\n", "  na:me:\n")),
        [f"13:3: VALUE 'na:me' is no name: {NAMES}"],
    ),
    "a password in the runbook": (
        changed(("    type: postgresql\n", "    type: postgresql\n    connect: {password: hunter2}\n")),
        [f"{line}: VALUE {PASSWORD}" for line in ("10:5", "25:5")],
    ),
    "a name that nobody may change": (
        changed(("    credentials: dns-key\n", "")),
        ["13:3: MISSING rfc2136.record needs `credentials:`, the name of a profile with key_name and key"],
    ),
    "a duration that nobody means": (
        changed(("ttl: 5s", "ttl: 99999999h")),
        ["20:5: VALUE longer than ten years: write what was meant"],
    ),
    "F3 with two doors to one device": (
        strong(
            "{fence_agents: {agent: fence_ipmilan, options: {ip: 10.0.8.1}}}",
            "{fence_agents: {agent: fence_wti, options: {ipaddr: 10.0.8.1}}}",
        ),
        [f"{ASKS} fence_agents and fence_agents-2 at left share the controller '10.0.8.1'"],
    ),
    "F3 with the controller that was declared": (
        strong(
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.1}, fault_domain: {controller: pdu}}}",
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.2}, fault_domain: {controller: pdu}}}",
        ),
        [f"{ASKS} fence_agents and fence_agents-2 at left share the controller 'pdu'"],
    ),
    "F3 with a controller that nobody knows": (
        strong("{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.1}}}", "{fence_agents: {agent: fence_mine}}"),
        [f"{ASKS} what controls fence_agents-2 at left is not known: say so by `fault_domain: {{controller: ...}}`"],
    ),
    "F3 of what is not fenced": (
        changed(("    needs: [db]\n", "    needs: [db]\n    fencing: F3\n")),
        ["16:5: VALUE a dns is not fenced: only postgresql, vm are"],
    ),
    "strength that is none": (
        changed(("    type: postgresql\n", "    type: postgresql\n    fencing: F4\n")),
        ["10:5: VALUE input should be 'F2' or 'F3'"],
    ),
    "network that is none": (
        fenced("site: right", site="networks: [10.0.1.0/33]"),
        ["4:40: VALUE '10.0.1.0/33' does not appear to be an IPv4 or IPv6 network: write it as 10.1.0.0/16"],
    ),
    "key of a fault domain that is none": (
        fenced("fault_domain: {pwer: feed-a}"),
        ["11:87: UNKNOWN-KEY unknown key 'pwer'; did you mean 'power'?"],
    ),
}


@pytest.mark.parametrize(("text", "told"), BROKEN.values(), ids=[name.replace(" ", "-") for name in BROKEN])
def test_each_mistake_is_one_line_that_says_where_and_what(text: str, told: list[str]) -> None:
    assert findings(text) == [f"shop.yaml:{line}" for line in told]


WARNS = "FENCE-PATH warning:"
ALONE = f"{WARNS} the fence of db at left has no way that is independent: "
BOARD = (
    f"{ALONE}what fence_ipmilan speaks to is fed by the machine that it cuts off, and says nothing once that has none"
)
BOARD_AT_RIGHT = BOARD.replace("left", "right").replace("fence_ipmilan", "fence_ilo4")
OUTLET = "{fence_agents: {agent: fence_wti, options: {plug: 4}, site: right}}"
IN_LEFT = "{fence_agents: {agent: fence_wti, options: {plug: 5}, site: left}}"
THIRD, SECOND = "the fence of db at left through fence_agents-3", "fence_agents-2"
WARNED: dict[str, tuple[str, list[str]]] = {
    "a controller on the board alone": (changed(), [f"11:39: {BOARD}", f"12:40: {BOARD_AT_RIGHT}"]),
    "another way beside it": (with_fences(OUTLET), []),
    "a controller on the board that has its own power": (with_fences("", "fault_domain: {power: standby-rail}"), []),
    "a way from the lost site beside one from elsewhere": (
        with_fences(f"{OUTLET}, {IN_LEFT}"),
        [
            f"11:201: {WARNS} {THIRD} lives in left itself: tried all the same, but {SECOND} has to do it then",
        ],
    ),
    "the API of a region beside a zone of it": (AWS % ", zone: eu-west-1a", []),
    "the API of the region that is the site": (
        AWS % "",
        [f"9:17: {ALONE}EC2's API in eu-west-1 may be lost together with a site that is all of eu-west-1"],
    ),
}


@pytest.mark.parametrize(("text", "told"), WARNED.values(), ids=[name.replace(" ", "-") for name in WARNED])
def test_a_weakness_is_a_warning_and_the_runbook_can_be_used(text: str, told: list[str]) -> None:
    found = parse(text, "shop.yaml", catalog())
    assert found.valid()
    paths = [str(warning) for warning in found.warnings if warning.finding.code == "FENCE-PATH"]
    assert [warning.partition("; add a second")[0] for warning in paths] == [f"shop.yaml:{t}" for t in told]


def test_a_server_whose_files_are_not_told_is_a_warning() -> None:
    text = changed(("{host: 10.0.2.1,", "{host: 10.0.2.1, data_directory: /var/lib/postgresql/15/main,"))
    found = parse(text, "shop.yaml", catalog())
    assert found.valid()
    [told] = [str(warning) for warning in found.warnings if warning.finding.code == "MISSING"]
    assert told.startswith("shop.yaml:11:7: MISSING warning: without `data_directory:` this server can be promoted")


UNPROVEN = "11:39: FENCE-IDENTITY warning: nothing proves that fence_agents cuts off the machine of db at left: "


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("agent: fence_ipmilan", ["give the `uuid:` that `ipmitool mc guid` prints"]),
        ("agent: fence_ipmilan, uuid: 0f2c1d6e-4b7a-4c39-9d52-6a1e8b3f7c10", []),
        (
            "agent: fence_wti, options: {plug: 4}",
            ["give as `alias:` what the agent's action `list` shows beside its plug, or use an agent that can tell"],
        ),
        ("agent: fence_wti, options: {plug: 4}, alias: pg-a", []),
    ],
)
def test_a_fence_that_cannot_tell_what_it_cuts_off_is_a_warning(method: str, told: list[str]) -> None:
    text = changed(("1.1, fence: [{fence_agents: {agent: fence_ipmilan", f"1.1, fence: [{{fence_agents: {{{method}"))
    warnings = [str(warning) for warning in parse(text, "shop.yaml", catalog()).warnings]
    ours = [warning for warning in warnings if "FENCE-IDENTITY" in warning and "left" in warning]
    assert ours == [f"shop.yaml:{UNPROVEN}{one}" for one in told]


def test_a_method_from_the_lost_site_is_an_error_where_the_other_has_only_the_power_of_its_machine() -> None:
    [told] = findings(with_fences(IN_LEFT))
    assert "through fence_agents-2 lives in left itself" in told


def test_every_code_is_met_in_the_table() -> None:
    met = {line.split(" ")[1] for _, told in BROKEN.values() for line in told} | {UNPROVEN.split(" ")[1]}
    assert met == CODES.keys()


def test_a_file_that_is_not_utf8_is_a_finding_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_bytes(b"runbook: shop\nowner: J\xfcrgen\n")
    found = read(file, catalog())
    told = f"{file}:2:1: YAML not UTF-8 at byte 22: invalid start byte"
    assert [str(finding) for finding in found.findings] == [told]
    with pytest.raises(RunbookInvalid, match="not UTF-8 at byte 22"):
        found.valid()


def test_a_file_too_large_for_a_runbook_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "image.yaml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(NotFoundLocally, match="is no runbook"):
        read(file, catalog())


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_runbook_in_the_repository_is_without_findings(file: Path) -> None:
    assert read(file, catalog()).valid().runbook == file.stem


# ---- no text ever raises

NESTED = YAML(typ="safe")
DOCUMENTS = [NESTED.load(text) for text in (VALID, SHOP, PAIR, *(f.read_text() for f in sorted(FOLDER.glob("*.yaml"))))]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    "",
    "left",
    "5m",
    [],
    ["left"],
    [[]],
    {},
    {"left": {}},
    {"1": 2},
]
PARTS = [
    "runbook: a",
    "\n",
    " ",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&a",
    "*a",
    "!!set",
    "!x",
    "<<",
    "'",
    '"',
    "|",
    "\t",
]


def assert_well_told(found: RunbookText, text: str) -> None:
    lines = text.count("\n") + 2
    assert found.runbook is not None or found.findings, "a runbook, or a reason why there is none"
    for finding in found.findings:
        assert 1 <= finding.line <= lines
        assert finding.column >= 1
        assert finding.finding.code in CODES
        assert "\n" not in str(finding)


@given(st.one_of(st.text(), st.lists(st.sampled_from(PARTS)).map("".join)))
@example("a: 0x_")
@example("? {a: b}\n: 1")
@example("[" * 500)
@example("a: !!timestamp x")
@settings(deadline=None)
def test_any_text_has_findings_and_never_raises(text: str) -> None:
    found = parse(text, "any.yaml", catalog())
    assert found.runbook is None, "no text that is made at random is a runbook"
    assert_well_told(found, text)


@given(st.sampled_from([VALID, SHOP, PAIR]), st.data())
@settings(deadline=None, max_examples=50)
def test_a_runbook_with_characters_lost_or_added_never_raises(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = start + data.draw(st.integers(0, 12))
    broken = text[:start] + data.draw(st.one_of(st.sampled_from(PARTS), st.text(max_size=3))) + text[end:]
    assert_well_told(parse(broken, "any.yaml", catalog()), broken)


Place = tuple[dict[Any, Any] | list[Any], Any]


def places(node: Any) -> list[Place]:
    """Each (container, key or position) of a nested document."""
    if not isinstance(node, dict | list):
        return []
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    return [(node, key) for key in keys] + [place for key in keys for place in places(node[key])]


def drop(container: Any, key: Any, _: Any) -> None:
    del container[key]


def rename(container: Any, key: Any, value: Any) -> None:
    if isinstance(container, dict):
        container[value if isinstance(value, str) else f"{key}s"] = container.pop(key)


def retype(container: Any, key: Any, value: Any) -> None:
    container[key] = copy.deepcopy(value)


Mutation = Callable[[Any, Any, Any], None]


@given(
    st.sampled_from(DOCUMENTS),
    st.lists(
        st.tuples(st.sampled_from([drop, rename, retype]), st.integers(0, 200), st.sampled_from(VALUES)),
        min_size=1,
        max_size=3,
    ),
)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_runbook_has_a_verdict_and_never_raises(
    document: dict[str, Any], mutations: list[tuple[Mutation, int, Any]]
) -> None:
    mutated = copy.deepcopy(document)
    for mutate, at, value in mutations:
        if found := places(mutated):
            mutate(*found[at % len(found)], value)
    runbook, told = lint(mutated, catalog())
    assert runbook is not None or told
    assert {finding.code for finding in told} <= CODES.keys()


# ---- durations


@given(st.integers(0, 10**9))
def test_a_duration_that_is_shown_is_read_back_to_the_millisecond(millis: int) -> None:
    assert durations.parse(durations.show(millis / 1000)) == pytest.approx(millis / 1000, abs=0.0005)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_hours_minutes_and_seconds_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert durations.parse(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (90, "90s"),
        (119, "119s"),
        (120, "2m"),
        (300, "5m"),
        (5400, "1h30m"),
        (3601, "1h1s"),
        (1000.5, "1000.500s"),
    ],
)
def test_durations_are_shown_as_people_write_them(seconds: float, text: str) -> None:
    assert durations.show(seconds) == text
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "5", "s", "5 m", "5min", "-5m", "1m1h", "5m5m", "1.5h", "1e3s", "inf", "5s\n5s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: write 90s, 5m or 1h30m"):
        durations.parse(text)
