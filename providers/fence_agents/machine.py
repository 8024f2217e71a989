"""The power of one machine, switched and read through a fence agent.

The contract (ClusterLabs, FenceAgentAPI.md): options are lines `key=value` on stdin; exit 0 is done, or was already
so; for `status` 0 is on and 2 is off; anything else is a failure. Nothing is given in argv, where every user of this
host could read it. `reboot` is never asked for: it would bring back what was just fenced.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from orchestrator.domain.catalog import NoSettings
from orchestrator.domain.errors import Doubtful, Misconfigured, NotFound, WrongIdentity
from orchestrator.domain.world import Power, Reading, State
from orchestrator.ports import Binding, Call
from orchestrator.runtime import child
from providers.fence_agents import errors, ipmi
from providers.fence_agents.spec import MachinePlace

_IGNORED = re.compile(r"Ignoring unknown option '([^=']+)")

_STATUS = re.compile(r"\bstatus:?\s+(on|off)\b", re.IGNORECASE)
_ON, _OFF = 0, 2  # exit codes of `status`

_SEPARATOR = ","  # of what `list` prints, by default: plug, alias

Action = Literal["off", "on", "status", "list"]


class Machine:
    """A machine with a fencing device. States: Power."""

    def __init__(self, binding: Binding[NoSettings, MachinePlace]) -> None:
        self._place = binding.place
        self._secret: Mapping[str, str] = binding.secret
        self._options = {**self._place.options, **_checked(binding.resource, self._secret, self._place.options)}
        self.authority = _authority(self._place)

    def __repr__(self) -> str:
        return f"<Machine through {self.authority}>"

    def observe(self) -> Reading:
        """The power as the fencing device reads it; of the one with the `uuid` or `alias` that was declared."""
        with ThreadPoolExecutor(1) as beside:  # two questions to a device, each of which may take its time
            asked = beside.submit(self._identity, self._place.status_timeout)
            ended = self._agent("status", self._place.status_timeout)
            identity = asked.result()
        power = self._power(ended)
        return Reading(
            states=(Power(power=power),),
            authority=self.authority,
            authoritative=True,
            latched=power == "off" and self._place.latches,
            identity=identity,
            warnings=tuple(
                f"{self._place.agent} does not know the option {name!r} and ignores it: correct it under `options:`"
                for name in sorted(set(_IGNORED.findall(ended.stderr)))
            ),
            facts={"exit": str(ended.code)},
        )

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """The agent was asked once to switch. Any failure after its start proves nothing and is Doubtful."""
        if not isinstance(desired, Power):
            msg = f"{self.authority} sets power and cannot make it {desired}"
            raise Misconfigured(msg)
        if observed.identity is None:  # else it was confirmed a moment ago
            self._identity(min(self._place.status_timeout, call.remaining))
        path = self._path()
        timeout = min(self._place.timeout, call.remaining)
        call.guard()
        ended = self._agent(desired.power, timeout, path)
        if ended.code != 0:
            raise errors.switch_failed(self.authority, desired.power, ended, self._secret)

    def _identity(self, timeout: float) -> str | None:
        place, confirmed = self._place, list[str]()
        if place.alias:
            confirmed.append(self._confirmed_alias(place.alias, timeout))
        if place.uuid:
            confirmed.append(ipmi.confirm_guid(place.agent, place.uuid, self._options, timeout, self.authority))
        return " ".join(confirmed) or None

    def _confirmed_alias(self, expected: str, timeout: float) -> str:
        """What the device shows beside the plug, which is the expected. Raises WrongIdentity where it is another."""
        ended = self._agent("list", timeout)
        if ended.code != 0:
            raise errors.status_failed(self.authority, ended, self._secret)
        rows = (line.split(_SEPARATOR, 2) for line in ended.stdout.splitlines())
        shown = {row[0].strip(): row[1].strip() for row in rows if len(row) > 1}
        plug = self._place.plug or ""
        if plug not in shown:
            msg = f"{self.authority} shows no plug {plug!r} among {', '.join(shown) or 'none'}: correct it"
            raise NotFound(msg)
        if shown[plug] != expected:
            found = shown[plug] or "nothing"
            msg = f"{self.authority} shows {found} at the plug, and not {expected}: correct `plug` or `alias`"
            raise WrongIdentity(msg)
        return expected

    def _path(self) -> str:
        path = shutil.which(self._place.agent, path=child.search_path())
        if path is None:
            raise errors.not_found(self._place.agent, child.search_path())
        return path

    def _agent(self, action: Action, timeout: float, path: str | None = None) -> child.Ended:
        lines = "".join(f"{name}={value}\n" for name, value in {**self._options, "action": action}.items())
        try:
            return child.run([path or self._path()], stdin=lines, timeout=timeout, environment=child.bare_environment())
        except OSError as error:
            raise errors.not_started(self._place.agent, error) from error

    def _power(self, ended: child.Ended) -> Literal["on", "off"]:
        """What `status` says: off only where nothing speaks against it, since a promotion rests on it.

        Exit 2 is also how Python, a shell and most option parsers end when they cannot run or read a program at all;
        those complain on stderr and do not say "Status: OFF", as every agent on the fencing library does.
        """
        said = _STATUS.search(ended.stdout)
        claim = said.group(1).lower() if said else None
        if ended.code == _ON and claim != "off":
            return "on"
        if ended.code == _OFF and (claim == "off" or not (claim or ended.stderr.strip())):
            return "off"
        if claim and ended.code in {_ON, _OFF}:
            msg = f"{self.authority} contradicts itself: exit {ended.code}, but status {claim}: run the agent by hand"
            raise Doubtful(msg)
        raise errors.status_failed(self.authority, ended, self._secret)


def _checked(resource: str, secret: Mapping[str, str], options: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in secret.items():
        if name in options:
            msg = f"{resource}: {name!r} stands under `options:` and in the credential profile: keep one"
            raise Misconfigured(msg)
        if "\n" in value or value != value.strip() or name == "action":
            msg = f"{resource}: the field {name!r} of the credential profile cannot be given to an agent as a line"
            raise Misconfigured(msg)
    return secret


def _authority(place: MachinePlace) -> str:
    address = place.options.get("ip") or place.options.get("ipaddr")
    plug = place.plug
    name = place.agent.rpartition("/")[2]
    return f"{name}{f' on {address}' if address else ''}{f' (plug {plug})' if plug else ''}"
