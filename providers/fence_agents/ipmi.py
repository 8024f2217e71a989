"""The identity of a machine behind an IPMI controller: the GUID that the controller reports."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping

from orchestrator.domain.errors import Misconfigured, NotFound, Unreachable, WrongIdentity
from orchestrator.runtime import child
from providers.fence_agents import errors

_GUID = re.compile(r"GUID\s*:\s*([0-9a-fA-F-]{32,36})\s*$", re.MULTILINE)

# Options of fence_ipmilan, by their two names, and of ipmitool.
_ARGUMENTS = (
    (("ip", "ipaddr"), "-H"),
    (("ipport",), "-p"),
    (("username", "login"), "-U"),
    (("cipher",), "-C"),
    (("privlvl",), "-L"),
    (("target",), "-t"),
    (("ipmitool_timeout",), "-N"),
)


_LANPLUS = frozenset({"fence_ilo3", "fence_ilo4", "fence_ilo5", "fence_ipmilanplus"})
"""Agents that speak IPMI 2.0 unless they are told not to (fence_ipmilan.py of ClusterLabs' fence-agents)."""


def confirm_guid(agent: str, expected: str, options: Mapping[str, str], timeout: float, authority: str) -> str:
    """The controller's GUID, which is the expected one, asked for as `agent` would. Raises WrongIdentity where it is
    another."""
    path = shutil.which(options.get("ipmitool_path", "ipmitool"), path=child.search_path())
    if path is None:
        msg = "ipmitool is needed to compare `uuid` and is not on PATH: install it (Debian: apt-get install ipmitool)"
        raise Misconfigured(msg)
    # The password travels in the environment, which only the same user and root can read, and not in argv.
    password = options.get("password") or options.get("passwd") or ""
    try:
        ended = child.run(
            [path, *arguments(agent, options), "-E", "mc", "guid"],
            stdin="",
            timeout=timeout,
            environment=child.bare_environment(IPMI_PASSWORD=password),
        )
    except OSError as error:
        raise errors.not_started("ipmitool", error) from error
    if ended.code is None:
        msg = f"{authority} did not tell its GUID in time: check the network to it, or raise status_timeout"
        raise Unreachable(msg)
    found = _GUID.search(ended.stdout)
    if ended.code != 0 or found is None:
        said = errors.shown(ended, {"password": password})
        if ended.code == 0:
            msg = f"{authority} reports no GUID ({said}): put `unproven:`, how it is known, in the place of `uuid`"
            raise NotFound(msg)
        msg = f"{authority} did not tell its GUID ({said}): check address, user and password"
        raise Unreachable(msg)
    guid = found.group(1).lower()
    if guid.replace("-", "") != expected.lower().replace("-", ""):
        msg = f"{authority} is the controller of {guid} and not of {expected}: correct its address or `uuid`"
        raise WrongIdentity(msg)
    return guid


def arguments(agent: str, options: Mapping[str, str]) -> list[str]:
    """What the agent gives ipmitool for these options."""
    default = "1" if agent.rpartition("/")[2] in _LANPLUS else ""
    lanplus = options.get("lanplus", default).lower() in {"1", "yes", "on", "true"}
    argv = ["-I", "lanplus" if lanplus else "lan"]
    for names, flag in _ARGUMENTS:
        value = next((options[name] for name in names if options.get(name)), None)
        if value is not None:
            argv += [flag, value]
    return argv
