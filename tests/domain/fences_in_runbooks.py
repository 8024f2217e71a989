"""Fences in the valid runbook, written wrongly or weakly, and what is said of them."""

from __future__ import annotations

from tests.domain.valid_runbook import changed


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
    "to switch it off for one takes the other down; give each its own, or leave the vm out"
)
UUID = "0f2c1d6e-4b7a-4c39-9d52-6a1e8b3f7c10"
BOTH_SITES = (
    "12:7: SAME-MACHINE db@right:fence_agents is the very thing that db@left:fence_agents is: "
    "what cuts off one site would cut off the other; name the one that each site has"
)
SHARES = "the fence of db at left through fence_agents shares its"
IN_CLOSET = "the fence of db at left through fence_agents stands in closet, which shares its"
UNPROVEN = "FENCE-IDENTITY nothing proves that fence_agents cuts off the machine of db at left"


def name_server_in(site: str) -> str:
    """What is said of the valid runbook's name server where it stands in the networks of a site."""
    told = f"RECOVERY-PATH name is changed at 10.0.3.1, in the network 10.0.3.0/24 of {site}"
    return f"{told}, and cannot be when {site} is lost: name a server that stands in neither site"


BROKEN_FENCES: dict[str, tuple[str, list[str]]] = {
    "unknown key of a fence": (
        changed(
            (
                "fence: [{fence_agents: {agent: fence_ipmilan}}]}\n      right",
                "fence: [{fence_agents: {agent: fence_ipmilan, optoins: {}}}]}\n      right",
            )
        ),
        ["11:76: UNKNOWN-KEY unknown key 'optoins'; did you mean 'options'?"],
    ),
    "name server in the site that is lost": (
        changed(("left: {provider", "left: {networks: [10.0.3.0/24], provider")),
        [f"13:3: {name_server_in('left')}"],
    ),
    "no fence": (
        changed(("{host: 10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]}", "{host: 10.0.1.1}")),
        ["11:7: NO-FENCE db at left writes or acts and cannot be fenced: give a `fence:` list"],
    ),
    "empty list of fences": (
        changed(("10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]", "10.0.1.1, fence: []")),
        ["11:7: NO-FENCE db at left writes or acts and cannot be fenced: give a `fence:` list"],
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
    "fence from the site that is lost": (
        fenced("site: left"),
        ["11:72: FENCE-PATH the fence of db at left through fence_agents lives in left itself" + ADD],
    ),
    "fence from a site that is not there": (
        fenced("site: middel"),
        ["11:72: REFERENCE there is no site 'middel': there is left, right"],
    ),
    "fence in a third site with the power and network of the lost one": (
        fenced(
            "site: closet",
            site="fault_domain: {power: feed-a, network: lan}}\n"
            "  closet: {provider: on-prem, networks: [10.3.0.0/16], fault_domain: {power: feed-a, network: lan}",
        ),
        [
            f"12:72: FENCE-PATH {IN_CLOSET} power 'feed-a' with what it cuts off{ADD}",
            f"12:72: FENCE-PATH {IN_CLOSET} network 'lan' with what it cuts off{ADD}",
        ],
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
    "fence with labels of its site in another spelling": (
        fenced(
            'fault_domain: {power: Feed-A, network: "dc-lan "}', site="fault_domain: {power: feed-a, network: DC-LAN}"
        ),
        [
            f"11:87: FENCE-PATH {SHARES} power 'Feed-A' with what it cuts off{ADD}",
            f"11:102: FENCE-PATH {SHARES} network 'dc-lan ' with what it cuts off{ADD}",
        ],
    ),
    "F3 with a controller whose name is blank": (
        strong(
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.1}}}",
            '{fence_agents: {agent: fence_mine, fault_domain: {controller: " "}}}',
        ),
        [f"{ASKS} what controls fence_agents-2 at left is not known: say so by `fault_domain: {{controller: ...}}`"],
    ),
    "network of IPv4 addresses within IPv6": (
        fenced("site: right", site='networks: ["::ffff:10.0.1.0/120"]'),
        ["4:40: VALUE '::ffff:10.0.1.0/120' is a network of IPv4 addresses: write it as 10.1.0.0/16"],
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
    "F3 with a second one after which the machine may come back": (
        strong(
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.1}}}",
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.2}, restores_power: true}}",
        ),
        [f"{ASKS} fence_agents {ALONE_FOR_F3}; after fence_agents-2 it may come back by itself"],
    ),
    "F3 with nothing after which the machine stays off": (
        strong("{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.1}, restores_power: true}}"),
        [MAY_COME_BACK.replace("11:39", "12:39")],
    ),
    "a fence after which the machine may come back": (
        fenced("restores_power: true"),
        [MAY_COME_BACK],
    ),
    "the same machine at both sites": (
        changed(("fence_ilo4", "fence_ipmilan")),
        [BOTH_SITES],
    ),
    "the same outlet at both sites in two spellings": (
        changed(
            ("agent: fence_ipmilan", "agent: fence_wti, options: {ip: PDU.mgmt.test, plug: 1}"),
            ("agent: fence_ilo4", "agent: fence_wti, options: {ipaddr: pdu.mgmt.test., plug: 1}"),
        ),
        [BOTH_SITES],
    ),
    "the same server at both sites in two spellings": (
        changed(("host: 10.0.1.1", "host: DB.shop.test"), ("host: 10.0.2.1", 'host: "db.shop.test "')),
        [BOTH_SITES.replace(":fence_agents", "")],
    ),
    "the same machine at both sites by its UUID": (
        changed(
            ("agent: fence_ipmilan", f"agent: fence_ipmilan, options: {{ip: 10.0.8.1}}, uuid: {UUID}"),
            ("agent: fence_ilo4", f"agent: fence_ilo4, options: {{ip: 10.0.8.2}}, uuid: {UUID.upper()}"),
        ),
        [BOTH_SITES.replace(" is: what", f" is by its uuid {UUID.replace('-', '')}: what")],
    ),
    "a machine that is another component's by its UUID": (
        changed(
            ("agent: fence_ipmilan", f"agent: fence_ipmilan, options: {{ip: 10.0.8.1}}, uuid: {UUID}"),
            (
                "  name:\n",
                MACHINE.replace("fence_ipmilan", f"fence_ilo4, options: {{ip: 10.0.8.2}}, uuid: {UUID}") + "  name:\n",
            ),
        ),
        [SAME_SITE.replace(" is: to", f" is by its uuid {UUID.replace('-', '')}: to")],
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
    "F3 with a name for the device at one of its two doors": (
        strong(
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.1, plug: 1}, fault_domain: {controller: pdu}}}",
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.1, plug: 2}}}",
        ),
        [f"{ASKS} fence_agents and fence_agents-2 at left share the controller '10.0.8.1'"],
    ),
    "F3 with one device in two spellings": (
        strong(
            "{fence_agents: {agent: fence_wti, options: {ip: PDU-1.mgmt.test}}}",
            "{fence_agents: {agent: fence_apc, options: {ip: pdu-1.mgmt.test.}}}",
        ),
        [f"{ASKS} fence_agents and fence_agents-2 at left share the controller 'pdu-1.mgmt.test.'"],
    ),
    "F3 with one address in two spellings": (
        strong(
            '{fence_agents: {agent: fence_wti, options: {ip: "2001:db8::1"}}}',
            '{fence_agents: {agent: fence_apc, options: {ip: "[2001:0db8:0::1]"}}}',
        ),
        [f"{ASKS} fence_agents and fence_agents-2 at left share the controller '[2001:0db8:0::1]'"],
    ),
    "F3 with two devices that a third shows to be one": (
        strong(
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.1}}}",
            "{fence_agents: {agent: fence_wti, options: {ip: 10.0.8.2}, fault_domain: {controller: PDU 1}}}",
            '{fence_agents: {agent: fence_apc, options: {ip: 10.0.8.1}, fault_domain: {controller: " pdu  1"}}}',
        ),
        [
            f"{ASKS} fence_agents and fence_agents-2 and fence_agents-3 at left share the controller ' pdu  1'",
        ],
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
    "a machine that its site cannot switch": (
        changed(("10.0.1.1, fence: [{fence_agents: {agent: fence_ipmilan}}]", "10.0.1.1, machine: pg-left")),
        ["11:30: NO-FENCE `machine:` is no way to fence at left (on-prem): give a `fence:` list there instead"],
    ),
    "address in the place of its network": (
        fenced("site: right", site="networks: [10.0.1.1/24]"),
        ["4:40: VALUE 10.0.1.1/24 has host bits set: write it as 10.0.1.0/24"],
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

BROKEN_FENCES |= {
    f"fence whose address in its site's own network is written {address!r}": (
        fenced(f'options: {{ip: "{address}"}}', site=f'networks: ["{network}"]'),
        [f"11:39: FENCE-PATH {SHARES[:-11]} is reached at {address}, in the network {network} of left itself{ADD}"],
    )
    for address, network in (
        ("::ffff:10.0.1.200", "10.0.1.0/24"),
        ("10.0.1.200 ", "10.0.1.0/24"),
        ("[2001:DB8:1::9]", "2001:db8:1::/48"),
    )
}
