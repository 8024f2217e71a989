"""What can be said of the world: the closed set of states, a reading of them, and the evidence a reading makes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, Literal

from pydantic import Field

from orchestrator.domain.base import Frozen


class Power(Frozen):
    """A machine has power, or has not."""

    kind: Literal["power"] = "power"
    power: Literal["on", "off"]

    def __str__(self) -> str:
        return f"power {self.power}"


class Role(Frozen):
    """What a database server is now. `stopped` is a server that was shut down cleanly and accepts no connection."""

    kind: Literal["role"] = "role"
    role: Literal["primary", "standby", "stopped"]

    def __str__(self) -> str:
        return f"role {self.role}"


class ReplicatesFrom(Frozen):
    """A standby streams from the server at this site, as the upstream itself confirms."""

    kind: Literal["replicates_from"] = "replicates_from"
    site: str

    def __str__(self) -> str:
        return f"replicates from {self.site}"


class Holder(Frozen):
    """The site that holds a shared address, pool or duty; None where none does."""

    kind: Literal["holder"] = "holder"
    site: str | None

    def __str__(self) -> str:
        return f"held by {self.site or 'nobody'}"


class Records(Frozen):
    """The answers for one DNS name: record type to its sorted values. `ttl` in seconds."""

    kind: Literal["records"] = "records"
    records: dict[str, tuple[str, ...]]
    ttl: int

    def __str__(self) -> str:
        values = "; ".join(f"{kind} {', '.join(values)}" for kind, values in sorted(self.records.items()))
        return f"records {values or 'none'} ttl {self.ttl}s"


class Running(Frozen):
    """A process or service runs, or does not."""

    kind: Literal["running"] = "running"
    running: bool

    def __str__(self) -> str:
        return "running" if self.running else "not running"


ON, OFF = Power(power="on"), Power(power="off")
PRIMARY, STANDBY, STOPPED = Role(role="primary"), Role(role="standby"), Role(role="stopped")

State = Annotated[Power | Role | ReplicatesFrom | Holder | Records | Running, Field(discriminator="kind")]


class Replication(Frozen):
    """Where a database server stands in its write-ahead log. Positions are byte offsets (in PostgreSQL the LSN).

    `written`: on a primary the end of its log; on a stopped server its shutdown checkpoint.
    `received`, `replayed`: on a standby, what it has safely on disk and what it has applied.
    `last_commit_at`: time of the newest transaction or checkpoint that the standby has applied, in seconds
        since the epoch.
    `last_contact_at`: when the standby last heard from its primary, where it still knows, seconds since the epoch.
    """

    timeline: int
    written: int | None = None
    received: int | None = None
    replayed: int | None = None
    last_commit_at: float | None = None
    last_contact_at: float | None = None
    streaming: bool = False


class Reading(Frozen):
    """What one `observe` found. `states` holds at most one state of a kind.

    `authority`: who said so ("fence_ipmilan at 10.9.0.11", "pg-a's control file"); shown as evidence.
    `authoritative`: the one speaking is the one that cuts: the BMC, hypervisor, cloud API, or the store itself.
    `latched`: the resource cannot come back writable by itself from this state.
    `identity`: UUID, instance ID or system identifier of what was read; compared with what the runbook's check saw.
    `warnings`: what a person should mend before it hurts; one line each, with the way out.
    `facts`: anything else worth keeping as evidence; never a secret (I14).
    """

    states: tuple[State, ...]
    authority: str
    authoritative: bool = False
    latched: bool = False
    identity: str | None = None
    replication: Replication | None = None
    warnings: tuple[str, ...] = ()
    facts: dict[str, str] = Field(default_factory=dict)

    def state(self, kind: str) -> State | None:
        """The state of this kind, if it was read."""
        return next((state for state in self.states if state.kind == kind), None)

    @property
    def role(self) -> str | None:
        """The role that a database server was read in; None where it was read in none."""
        role = self.state("role")
        return role.role if isinstance(role, Role) else None

    def satisfies(self, desired: State) -> bool:
        """True where the desired state is read exactly."""
        return self.state(desired.kind) == desired


class Strength(IntEnum):
    """How far evidence of a fence carries. FM and FH are ways around F2 that a runbook or a human must name."""

    F0 = 0  # requested
    F1 = 1  # accepted by the API
    F2 = 2  # the authority that cut it reads it off, by a request sent after the cut was accepted
    F3 = 3  # F2 from two authorities that share no controller, or a revocation that the target cannot undo


def share_no_controller(controllers: Iterable[str]) -> bool:
    """True where two of them are surely different: what F3 asks for. One that is not known ("") is none."""
    return len({controller for controller in controllers if controller}) > 1


class Evidence(Frozen):
    """A reading that shows a wanted state. Times are seconds since the epoch.

    `beside`: what other methods of the same step have confirmed before; `strength` is that of all together.

    `requested_at`: when the change that this confirms was accepted; None where nothing had to be changed.
    `attested_by`: set where humans say so (FH), with `reading.facts["reason"]`.
    """

    resource: str
    state: State
    reading: Reading
    strength: Strength
    read_at: float
    requested_at: float | None = None
    attested_by: tuple[str, ...] = ()
    beside: tuple[Evidence, ...] = ()

    @property
    def authorities(self) -> str:
        """Who says so, by name."""
        return " and ".join(dict.fromkeys(e.reading.authority for e in (*self.beside, self)))
