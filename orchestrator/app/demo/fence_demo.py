"""The fence agent of the demo's hosts: switches one off by killing all its processes, and proves them gone.

It keeps the fence agents' contract (ClusterLabs, FenceAgentAPI.md): options are lines `key=value` on stdin; exit 0 is
done or was already so, 1 is a failure; `status` exits with 0 for on and 2 for off. Options: `action` (off, on, status,
monitor, list, metadata), `plug` (a host's name) and `power_dir` (the directory that holds the hosts). `list` shows each
host with its directory. Like its siblings it tells what it read: "Status: OFF".
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.app.demo.host import Host, become_owner

OK, FAILED, IS_OFF = 0, 1, 2
_SWITCH_SECONDS = 10.0
_METADATA = """\
<?xml version="1.0" ?>
<resource-agent name="fence_demo" shortdesc="Fence agent for the hosts of Tideover's demo">
  <longdesc>Kills every process of a demo host and keeps new ones from starting. The hosts are directories.</longdesc>
  <parameters>
    <parameter name="action" required="1"><content type="string" default="off"/></parameter>
    <parameter name="plug" required="1"><content type="string"/><shortdesc>Name of the host</shortdesc></parameter>
    <parameter name="power_dir" required="1"><content type="string"/><shortdesc>Where hosts are</shortdesc></parameter>
  </parameters>
  <actions>
    <action name="on" automatic="0"/><action name="off"/><action name="status"/><action name="monitor"/>
    <action name="list"/><action name="metadata"/>
  </actions>
</resource-agent>
"""


def main() -> int:
    """What stdin asks for is done; the exit code tells the outcome."""
    options = _options(sys.stdin.read())
    action = options.pop("action", "off")
    if action == "metadata":
        print(_METADATA, end="")  # noqa: T201  what an agent prints is its answer
        return OK
    try:
        host = _host(options)
        return _list(host.directory.parent) if action == "list" else _act(action, host)
    except (OSError, ValueError) as error:
        print(f"fence_demo: {action} failed: {error}", file=sys.stderr)  # noqa: T201
        return FAILED


def _act(action: str, host: Host) -> int:
    become_owner(host.directory)
    if action == "off":
        host.power_off(_SWITCH_SECONDS)
    elif action == "on":
        host.power_on()
    elif action not in ("status", "monitor"):
        raise ValueError(f"no such action: use off, on, status, monitor, list or metadata, not {action!r}")
    power = host.power
    if action in ("off", "on") and power != action:
        raise OSError(f"{host.name} was switched {action} but reads {power}")
    print(f"Status: {power.upper()}")  # noqa: T201
    return IS_OFF if action == "status" and power == "off" else OK


def _list(power_dir: Path) -> int:
    for switch in sorted(power_dir.glob("*/power")):
        print(f"{switch.parent.name},{switch.parent}")  # noqa: T201
    return OK


def _host(options: dict[str, str]) -> Host:
    """The host that is meant. Raises ValueError where there is none: never another one by accident."""
    plug, power_dir = options.pop("plug", ""), options.pop("power_dir", "")
    for name in options:
        print(f"Ignoring unknown option '{name}'", file=sys.stderr)  # noqa: T201
    if not plug or not Path(power_dir).is_absolute():
        raise ValueError("give plug=<name of the host> and power_dir=<absolute path of the directory of the hosts>")
    host = Host(Path(power_dir, plug))
    if Path(plug).name != plug or not host.switch.is_file():
        raise ValueError(f"there is no host {plug!r} in {power_dir}")
    return host


def _options(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


if __name__ == "__main__":
    sys.exit(main())
