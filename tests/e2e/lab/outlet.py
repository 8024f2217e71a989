"""A second way to cut a machine's power, beside its controller: a switched outlet with a fence agent of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.lab.bmc import ROOT
from tests.e2e.lab.machine import Machine

# The fence agents' contract: options on stdin; `status` exits with 0 for on and 2 for off.
_AGENT = """\
#!/bin/sh
action=$(sed -n 's/^action=//p')
outlet() {{ cd {root} && {python} -m tests.e2e.lab.machine {disk} "$@"; }}
case $action in
on) outlet set power 1 ;;
off) outlet set power 0 ;;
status) if [ "$(outlet get power)" = power:1 ]; then echo "Status: ON"; else echo "Status: OFF" && exit 2; fi ;;
*) echo "this outlet knows no $action" >&2 && exit 1 ;;
esac
"""

# An agent that answers as if it had switched the outlet: its device is wired to another machine, or lies.
_LIAR = """\
#!/bin/sh
action=$(sed -n 's/^action=//p')
case $action in
on | off) echo "$action" > {says} ;;
status) if [ "$(cat {says} 2> /dev/null)" = off ]; then echo "Status: OFF" && exit 2; else echo "Status: ON"; fi ;;
*) exit 1 ;;
esac
"""


def lying(machine: Machine) -> Path:
    """An agent that reads off once it was asked to, while the machine runs on."""
    agent = machine.directory.parent / f"fence-liar-{machine.name}"
    agent.write_text(_LIAR.format(says=agent.with_suffix(".says")))
    agent.chmod(0o755)
    return agent


def install(machine: Machine) -> Path:
    """The outlet's fence agent; it needs no options."""
    agent = machine.directory.parent / f"fence-outlet-{machine.name}"
    agent.write_text(_AGENT.format(root=ROOT, python=sys.executable, disk=machine.directory))
    agent.chmod(0o755)
    return agent
