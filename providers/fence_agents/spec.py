"""What the fence agents can do: the power of a machine, through any agent on the ClusterLabs contract."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from orchestrator.domain.by_hand import ByHand
from orchestrator.domain.catalog import ResourceType, Settings, Site, Weakness
from orchestrator.domain.durations import Seconds
from orchestrator.domain.spelling import canonical

# The names under which ClusterLabs installs fence_ipmilan; all of them call ipmitool.
IPMI_AGENTS = frozenset(
    {"fence_ipmilan", "fence_ipmilanplus", "fence_idrac", "fence_ilo3", "fence_ilo4", "fence_ilo5", "fence_imm"}
)

# Agents that speak to a controller on the machine's own board, by their names in ClusterLabs' fence-agents.
_ON_BOARD = IPMI_AGENTS | {
    "fence_redfish", "fence_ilo", "fence_ilo2", "fence_ilo3_ssh", "fence_ilo4_ssh", "fence_ilo5_ssh", "fence_ilo_mp",
    "fence_ilo_ssh", "fence_drac", "fence_drac5", "fence_idrac", "fence_rsa", "fence_rsb", "fence_amt", "fence_amt_ws",
}  # fmt: skip

_ANOTHER = "add another method, such as a switched outlet, or say under `fault_domain:` what it has of its own"
_OURS = frozenset({"action", "option"})
_OLD_NAMES = {"ipaddr": "ip", "port": "plug"}  # fence-agents' lib/fencing.py: both are read, the new one is advertised
_NAMES_THE_MACHINE = ("ip", "ipport", "plug", "uuid", "nodename")
_SECRET = frozenset({"password", "passwd", "passphrase", "snmp_priv_passwd", "hexadecimal_kg"})


def _as_text(value: Any) -> Any:
    """YAML reads `plug: 3` as a number and `lanplus: true` as a truth; agents read text."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, int) else value


def _guid(value: str) -> str:
    if re.fullmatch(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", value.strip().lower()):
        return value.strip()
    msg = f"{value!r} is no GUID: write the 32 digits, 0 to 9 and a to f, that `ipmitool mc guid` prints"
    raise ValueError(msg)


OptionText = Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | int | bool)]


class MachinePlace(Settings):
    """How the machine at one site is cut off.

    agent: a fence agent's name, looked for on PATH and in the sbin folders, or its absolute path.
    options: the agent's own options (`ip`, `plug`, `lanplus`...); what is secret comes from `credentials:` instead.
    restores_power: true where the machine's power-restore policy, a scheduler or another controller may start it
        again by itself. It is then off but not latched, and off alone does not allow a promotion.
    uuid: for the IPMI agents, the GUID that `ipmitool mc guid` prints for this machine's controller. Where it is
        given, nothing is switched off or on unless the controller that answers has it.
    alias: for agents that know `list`, what that shows beside the `plug`: an outlet's label, a virtual machine's UUID.
        Where it is given, nothing is switched off or on unless the device shows it there.
    timeout, status_timeout: the agent is killed after this time; for `off` and `on` the outcome is then unknown.
    """

    agent: str = Field(min_length=1)
    options: dict[str, OptionText] = Field(default_factory=dict)
    restores_power: bool = False
    uuid: Annotated[str, AfterValidator(_guid)] | None = None
    alias: str | None = None
    timeout: Seconds = Field(default=40.0, gt=0)
    status_timeout: Seconds = Field(default=15.0, gt=0)

    @property
    def thing(self) -> str:
        """The device and the outlet: the agents have many names for one, and options that only say how to talk."""
        options = {_OLD_NAMES.get(name, name): value for name, value in self.options.items()}
        options |= {key: canonical(options[key]) for key in ("ip", "uuid") if key in options}
        named = [f"{key}={options[key]}" for key in _NAMES_THE_MACHINE if key in options]
        return ",".join(named) or super().thing

    @property
    def identity(self) -> str:
        """The GUID of its controller, with or without dashes (`ipmi.confirm_guid`)."""
        return f"uuid {canonical(self.uuid).replace('-', '')}" if self.uuid else ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the fencing device is reached."""
        return tuple(self.options[name] for name in ("ip", "ipaddr") if name in self.options)

    @property
    def controller(self) -> str | None:
        """The fencing device, whatever outlets it has and whichever agent speaks to it."""
        return next(iter(self.addresses), None)

    @property
    def latches(self) -> bool:
        """Off stays off, unless something else restores the power."""
        return not self.restores_power

    @property
    def unproven(self) -> str | None:
        """An address or a number on a strip may be another machine's."""
        if self.uuid or self.alias:
            return None
        if self.agent.rpartition("/")[2] in IPMI_AGENTS:
            return "give the `uuid:` that `ipmitool mc guid` prints"
        return "give as `alias:` what the agent's action `list` shows beside its plug, or use an agent that can tell"

    def weakness(self, site: Site) -> Weakness | None:
        """A controller on the machine's board has the machine's power."""
        if self.agent.rpartition("/")[2] not in _ON_BOARD:
            return None
        why = f"what {self.agent} speaks to is fed by the machine that it cuts off, and says nothing once that has none"
        return Weakness("power", why, _ANOTHER)

    @field_validator("options")
    @classmethod
    def _only_the_agents_own_options(cls, options: dict[str, str]) -> dict[str, str]:
        for name, value in options.items():
            plain = name.replace("-", "_").strip().lower()
            if plain in _OURS:
                msg = f"{name!r} is decided by the plan: remove it"
                raise ValueError(msg)
            if plain in _SECRET:
                msg = f"{name!r} is a secret: put it into the profile that `credentials:` names"
                raise ValueError(msg)
            if not plain or "=" in name or "\n" in name + value:
                msg = f"option {name!r} cannot be written as one line key=value"
                raise ValueError(msg)
        return options

    @model_validator(mode="after")
    def _identity_can_be_read(self) -> MachinePlace:
        if self.uuid and self.agent.rpartition("/")[2] not in IPMI_AGENTS:
            msg = f"uuid cannot be read through {self.agent}: remove it, or give `alias`, what its `list` shows"
            raise ValueError(msg)
        if self.alias and not self.plug:
            msg = "alias is what the device shows beside a plug: give that as well, under `options:`"
            raise ValueError(msg)
        return self

    @property
    def plug(self) -> str | None:
        """The outlet, or the machine's name, on the device."""
        return self.options.get("plug") or self.options.get("port")


LATE_EFFECT = 600.0
"""Seconds. An agent is killed at its time-out and its device is asked over one short session; ten minutes leave room
for devices that switch with a delay of their own. Do not use this adapter with one whose delay is longer."""

_CREDENTIALS = "before the bar add username=... and password=... of the profile {credentials:plain}"

RESOURCES: tuple[ResourceType, ...] = (
    ResourceType(
        name="fence_agents.machine",
        serves="machine",
        adapter="providers.fence_agents.machine:Machine",
        place=MachinePlace,
        selectors=frozenset({"on-prem"}),
        by_hand=ByHand(
            look=(
                "printf '%s\\n' action=status {options} | {agent}; echo $?    # 2: off, 0: on, else: not known",
                _CREDENTIALS,
                "its UUID must be {uuid:plain}",
                "printf '%s\\n' action=list {options} | {agent}    # must show {alias:plain} beside the plug",
            ),
            do={
                "power off": ("printf '%s\\n' action=off {options} | {agent}    # never reboot", _CREDENTIALS),
                "power on": ("printf '%s\\n' action=on {options} | {agent}", _CREDENTIALS),
            },
        ),
        # A controller may carry out a request after its answer was lost; no agent declares a bound.
        late_effect=LATE_EFFECT,
        stale_reads=True,  # a controller may answer from a sensor that it has read a while ago
    ),
)
