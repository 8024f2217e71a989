"""The one map from what an agent does wrong to our errors.

Agents on ClusterLabs' fencing library exit 1 whatever went wrong and say what it was on stderr. The texts are those
of `fail` and `fail_usage` in fencing.py (fence-agents 4.12). They are believed for `status` alone, which changes
nothing. For `off` and `on` every failure of an agent that was started is Doubtful: the library looks at the plug,
switches it and waits for it, and the same text may come from before or after the switch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.domain.errors import (
    AuthenticationFailed,
    Doubtful,
    Misconfigured,
    NotFound,
    ProviderError,
    Unreachable,
)
from orchestrator.runtime.child import Ended, redacted

PACKAGE = "fence-agents"

# In this order: the first phrase that is found decides.
STATUS_TEXTS: tuple[tuple[str, type[ProviderError], str], ...] = (
    ("You have to", Misconfigured, "give that option under `options:` or in the credential profile"),
    ("Unrecognised action", Misconfigured, "this agent cannot read the power status: use another agent"),
    ("not found or not accessible", Misconfigured, "install the tool that the agent needs"),
    ("Please use '-h' for usage", Misconfigured, "compare `options:` with the agent's manual page"),
    ("does not have the correct privileges", AuthenticationFailed, "give that user the right to switch power"),
    ("Can not find VM UUID", NotFound, "compare `plug` with what `action=list` shows"),
    # Login refused and no connection at all have this one text in the library: neither can be told from the other.
    ("Unable to connect/login", Unreachable, "check the address, then the user and password, of the fencing device"),
    ("Connection lost", Unreachable, "check the network to the fencing device"),
    ("Connection timed out", Unreachable, "check the address of and the network to the fencing device"),
    # fence_ipmilan also says this for a wrong password.
    ("Unable to obtain correct plug status", Doubtful, "check `plug`, user and password of the fencing device"),
    ("Either unable to obtain correct plug status", Doubtful, "check the partition's name and the HMC's version"),
)

_LOGGED = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL): (.+)$", re.MULTILINE)


def not_started(agent: str, error: OSError) -> Misconfigured:
    """The agent is not there or cannot be run: surely not sent."""
    reason = error.strerror or type(error).__name__
    return Misconfigured(f"{agent} cannot be run ({reason}): install it (Debian: apt-get install {PACKAGE})")


def not_found(agent: str, path: str) -> Misconfigured:
    """No such agent: names where it was looked for and what brings it."""
    return Misconfigured(f"{agent} is not on PATH ({path}): install it (Debian: apt-get install {PACKAGE})")


def status_failed(authority: str, ended: Ended, secret: Mapping[str, str]) -> ProviderError:
    """What a `status` that gave no status means."""
    if ended.code is None:
        return Unreachable(f"{authority} gave no status in time: check the network to it, or raise status_timeout")
    for phrase, meaning, advice in STATUS_TEXTS:
        if phrase in ended.stderr:
            return meaning(f"{authority} gave no status ({shown(ended, secret)}): {advice}")
    return Doubtful(f"{authority} gave no status (exit {ended.code}: {shown(ended, secret)}): run the agent by hand")


def switch_failed(authority: str, action: str, ended: Ended, secret: Mapping[str, str]) -> Doubtful:
    """What an `off` or `on` that did not succeed means: nothing is known."""
    if ended.code is None:
        how = "was killed when its time was up"
    else:
        how = f"ended with exit {ended.code} ({shown(ended, secret)})"
    return Doubtful(f"{authority}: {action} {how}; it may still take effect: read the status")


def shown(ended: Ended, secret: Mapping[str, str]) -> str:
    """The agent's own error on one line, without any secret: agents echo lines that they do not understand."""
    said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
    logged = _LOGGED.findall(ended.stderr) or [line for line in said if line.strip()][-1:]
    return redacted("; ".join(logged), secret) or "nothing was said"
