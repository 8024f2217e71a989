"""Each way to get a runbook wrong, and the one line that says so: what and where."""

from __future__ import annotations

import pytest

from orchestrator.domain.findings import CODES
from tests.domain.fences_in_runbooks import BROKEN_FENCES, UNPROVEN
from tests.domain.valid_runbook import AWS, VALID, changed, findings

PASSWORD = "'password' is a secret: put it into the profile that `credentials:` names"
BEFORE_IT_SERVES = "to a site before it serves them: turn that around, or let name need what it leads to"
NO_TIME = "0s is over at once: write how long it may take, such as 15m, or leave the key out"
NAMES = "use letters, digits, '-' and '_', at most 41 of them, and a letter or digit first"

CIRCLE = VALID.replace("    type: postgresql\n", "    type: postgresql\n    needs: [name]\n")

ADDRESS = (
    changed(("right: {provider: on-prem}", "right: {provider: aws, region: eu-west-1}")).partition("  name:")[0]
    + "  address: {type: floating-ip, needs: [db], address: 10.0.9.1/24}\n"
)

BY_ITSELF = VALID.replace(
    "  name:\n",
    "  address:\n    type: floating-ip\n    address: 10.0.9.1/24\n"
    "    at: {left: {interface: eth0}, right: {interface: eth0}}\n  name:\n",
)
AS_MAPPING = "write key: value, without a - before it"
ONE_HOST = "13:3: SAME-MACHINE address would be held by one host at both sites,"
OWN_HOST = "name each site's own by `ssh:` under `at:`"

IN_TWO_REGIONS = AWS % "" + "  address: {type: floating-ip, needs: [db], allocation: eipalloc-0a1b2c3d}\n"

COPY = """\
  copy:
    type: dns
    needs: [db]
    server: rfc2136
    primary: 10.0.3.1
    zone: shop.test
    record: DB.shop.test.
    ttl: 60s
    at: {left: {a: 192.0.2.3}, right: {a: 192.0.2.4}}
    credentials: dns-key
verify:
"""
ROUTE53 = {
    part: f"  {part}: {{type: dns, server: route53, hosted_zone: Z{part.upper()}, zone: w.test, record: w.test,"
    " ttl: 60s, at: {left: {a: 192.0.2.3}, right: {a: 192.0.2.4}}}\n"
    for part in ("inside", "outside")
}
OVERWRITES = "each would overwrite what the other sets; name it once, or mend the copy"

TWICE = """\
  vip: {type: floating-ip, address: 10.0.9.1/24, at: {left: {interface: e, ssh: a}, right: {interface: e, ssh: b}}}
  vip2: {type: floating-ip, address: 10.0.9.1/16, at: {left: {interface: e, ssh: c}, right: {interface: e, ssh: d}}}
verify:
"""

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
    "an instance that nothing cuts off": (
        AWS.replace("left: {machine: i-0a1b2c3d}", "left: {}") % "",
        ["9:10: NO-FENCE db at left writes or acts and cannot be fenced: name its `machine:` or give a `fence:` list"],
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
    "nested without an end": (
        VALID + f"owner: {'[' * 20_000}",
        ["25:57: YAML nesting of more than 50 levels is not part of the language: write the value out"],
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
        [f"3:1: VALUE a mapping belongs here, and a list stands here: {AS_MAPPING}"],
    ),
    "null where a mapping belongs": (
        VALID.partition("components:")[0] + "components:\n",
        [f"7:1: VALUE a mapping belongs here, and nothing stands here: {AS_MAPPING}"],
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
    "cycle": (CIRCLE, ["7:1: CYCLE components need each other: db -> name -> db"]),
    "writer that relies on its own name": (
        changed(("    needs: [db]\n", ""), ("    type: postgresql\n", "    type: postgresql\n    needs: [name]\n")),
        [f"14:3: ORDER db relies on name, and so clients would be led {BEFORE_IT_SERVES}"],
    ),
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
    "a place at a site to which nothing moves": (
        changed(
            ("failover: left", "  far: {provider: on-prem}\nfailover: left"),
            ("      left: {host", "      far: {hots: 1, fance: []}\n      left: {host"),
        ),
        [
            (
                "12:7: UNKNOWN-KEY nothing moves to far, so nothing reads what db has there: remove it, or name the "
                "site in `failover:`"
            )
        ],
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
        ["26:21: VALUE a list belongs here, and the text 'ann' stands here: write [ann]"],
    ),
    "what is needed is one text": (
        changed(("needs: [db]", "needs: db")),
        ["15:5: VALUE a list belongs here, and the text 'db' stands here: write [db]"],
    ),
    "verification that is no list": (
        changed(("  - {sql: select 1, component: db, within: 60s}", "  {sql: select 1, component: db, within: 60s}")),
        ["23:1: VALUE a list belongs here, and a mapping stands here: write - before each item"],
    ),
    "a component of nothing": (
        VALID.partition("    type: postgresql")[0],
        [f"8:3: VALUE a mapping belongs here, and nothing stands here: {AS_MAPPING}"],
    ),
    "a number for a name": (
        changed(("runbook: shop", "runbook: 2024")),
        ['1:1: VALUE a text belongs here, and 2024 stands here: write "2024"'],
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
    "an address that nobody said where to hold": (
        BY_ITSELF,
        [f"{ONE_HOST} this machine, where the worker runs: {OWN_HOST}"],
    ),
    "an address that one host holds at both sites": (
        BY_ITSELF.replace("{left: {interface: eth0}, right: {", "{left: {ssh: a@h, interface: eth0}, right: {ssh: h, "),
        [f"{ONE_HOST} h: {OWN_HOST}"],
    ),
    "an address beside a database with one host for both sites": (
        BY_ITSELF.replace("interface: eth0}", "ssh: h, interface: eth0}").replace(
            "10.0.9.1/24\n", "10.0.9.1/24\n    needs: [db]\n"
        ),
        [f"{ONE_HOST} h: {OWN_HOST}"],
    ),
    "site provider that nobody has heard of": (
        ADDRESS.replace("aws, region: eu-west-1", "on-perm"),
        ["5:11: REFERENCE there is no site provider 'on-perm'; did you mean 'on-prem'?"],
    ),
    "provider of a site to which nothing moves": (
        changed(("failover: left", "  far: {provider: azure}\nfailover: left")),
        ["6:9: REFERENCE there is no site provider 'azure': there is aws, on-prem"],
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
    "an approval, a human and a verification that are waited for no time": (
        changed(("failover:", "waiting: 0s\nfailover:"), ("within: 60s", "within: 0m"))
        + "gates:\n  - {before: fence, timeout: 0.0004s}\n",
        [f"{line}: VALUE {NO_TIME}" for line in ("6:1", "25:36", "27:21")],
    ),
    "a duration that nobody means": (
        changed(("ttl: 5s", "ttl: 99999999h")),
        ["20:5: VALUE longer than ten years: write what was meant"],
    ),
    "a name that two components set": (
        changed(("verify:\n", COPY)),
        [f"23:3: SAME-MACHINE copy is the very thing that name is: {OVERWRITES}"],
    ),
    "a name that two components set in one hosted zone": (
        changed(("verify:\n", "".join(ROUTE53.values()).replace("hosted_zone: ZINSIDE,", "") + "verify:\n")),
        [f"24:3: SAME-MACHINE outside is the very thing that inside is: {OVERWRITES}"],
    ),
    "an address that two components set": (
        changed(("verify:\n", TWICE)),
        [
            f"24:3: SAME-MACHINE vip2 is the very thing that vip is: {OVERWRITES}",
        ],
    ),
    **BROKEN_FENCES,
}


def test_what_the_table_changes_is_valid() -> None:
    assert findings(VALID) == []


def test_a_name_that_two_servers_or_two_hosted_zones_keep_may_be_named_twice() -> None:
    assert findings(changed(("verify:\n", COPY.replace("10.0.3.1", "10.0.4.1")))) == []
    assert findings(changed(("verify:\n", "".join(ROUTE53.values()) + "verify:\n"))) == []


def test_an_address_with_hosts_of_its_own_or_beside_a_database_is_valid() -> None:
    assert findings(BY_ITSELF.replace("right: {interface", "right: {ssh: root@h, interface")) == []
    assert findings(BY_ITSELF.replace("10.0.9.1/24\n", "10.0.9.1/24\n    needs: [db]\n")) == []


@pytest.mark.parametrize(("text", "told"), BROKEN.values(), ids=[name.replace(" ", "-") for name in BROKEN])
def test_each_mistake_is_one_line_that_says_where_and_what(text: str, told: list[str]) -> None:
    assert findings(text) == [f"shop.yaml:{line}" for line in told]


def test_every_code_is_met_in_the_table() -> None:
    met = {line.split(" ")[1] for _, told in BROKEN.values() for line in told} | {UNPROVEN.split(" ")[0]}
    assert met == CODES.keys()
