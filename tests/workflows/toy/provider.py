"""A provider for `World`: a server with roles and replication, a machine with power, a shared address, a record."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from orchestrator.domain import errors
from orchestrator.domain.catalog import Catalog, DnsPlace, DnsSettings, ResourceType, Settings
from orchestrator.domain.world import Holder, Power, Reading, Records, ReplicatesFrom, Replication, Role, State
from orchestrator.ports import Binding, Call
from tests.workflows.toy.world import VARIABLE, Things, World

HANGS_AT_MOST = 120.0
LATEST = 3.0
"""Seconds by which a request to a server may take effect late."""


class MachinePlace(Settings):
    """`machine`: its name."""

    machine: str


class AddressPlace(Settings):
    """`machine`: the one that holds it, inherited from the component that the address belongs to."""

    machine: str


CATALOG = Catalog(
    types=(
        ResourceType("toy.address", "floating-ip", f"{__name__}:Address", place=AddressPlace, shared=True),
        ResourceType("toy.machine", "machine", f"{__name__}:Machine", place=MachinePlace, selectors=frozenset({"toy"})),
        ResourceType(
            "toy.record",
            "dns",
            f"{__name__}:Record",
            DnsSettings,
            DnsPlace,
            frozenset({"toy"}),
            True,
            compare_and_set=True,
        ),
        ResourceType("toy.server", "postgresql", f"{__name__}:Server", late_effect=LATEST),
    )
)


class _Resource(ABC):
    """What all of them share: faults at four points, and the guard where it belongs."""

    def __init__(self, binding: Binding[Any, Any]) -> None:
        self.world, self.name, self.site = World(Path(os.environ[VARIABLE])), binding.resource, binding.site
        self.secret = binding.secret.get("password", "")

    @abstractmethod
    def read(self, things: Things) -> Reading:
        """What there is."""

    def observe(self) -> Reading:
        """What there is, unless a fault hides it."""
        self._meet("observe")
        return self.read(self.world.things())

    def apply(self, desired: State, observed: Reading, call: Call) -> None:  # noqa: ARG002 -- the port's signature
        """The world is asked once."""
        self._meet("before")
        if refused := self.refuses(desired):
            raise errors.Rejected(f"{self.name} {refused}")
        call.guard()
        met = self._meet("sent")
        if met.startswith("late:"):
            self.world.set_late(self.name, desired, float(met.removeprefix("late:")))
            raise errors.Doubtful(f"{self.name} did not answer in time")
        if met != "ignore":
            self.world.set(self.name, desired)
        self._meet("done")

    def refuses(self, desired: State) -> str | None:  # noqa: ARG002 -- for those that refuse nothing
        """Why the state is refused; None where it is not."""
        return None

    def _meet(self, point: str) -> str:
        does, deadline = self.world.reach(self.name, point), time.monotonic() + HANGS_AT_MOST
        while does == "hang" and time.monotonic() < deadline:
            time.sleep(0.05)
            does = self.world.fault(self.name, point)
        if does == "leak":
            raise ValueError(f"cannot log in to {self.name} with password={self.secret}")
        if error := getattr(errors, does, None):
            raise error(f"{self.name}: {does} at {point}")
        return does


class Server(_Resource):
    """A database server: nothing is known of it while its machine is off."""

    def read(self, things: Things) -> Reading:
        mine = things[self.name]
        if things[f"{self.name}:toy"]["power"] == "off":
            raise errors.Unreachable(f"{self.name}: no route to host")
        if not self.secret:
            raise errors.AuthenticationFailed(f"{self.name}: no password given")
        states: tuple[State, ...] = (Role(role=mine["role"]),) if mine["up"] or mine["role"] == "stopped" else ()
        replication = Replication(timeline=1, written=mine["wal"])
        if mine["role"] == "standby":
            upstream = things[f"db@{mine['upstream']}"]
            streaming = bool(mine["up"] and upstream["up"] and upstream["role"] == "primary")
            states += (ReplicatesFrom(site=mine["upstream"]),) if streaming else ()
            replication = _standby(upstream, mine["lag"], streaming)
        return Reading(
            states=states, authority=f"{self.name} itself", authoritative=True, latched=mine["role"] != "primary",
            identity="toy-1", replication=replication,
        )  # fmt: skip

    def refuses(self, desired: State) -> str | None:
        mine = self.world.things()[self.name]
        running_primary = mine["up"] and mine["role"] == "primary"
        return (
            "is a running primary: stop it first" if running_primary and isinstance(desired, ReplicatesFrom) else None
        )


class Machine(_Resource):
    """A machine, switched by its power controller."""

    def read(self, things: Things) -> Reading:
        power = things[self.name]["power"]
        return Reading(
            states=(Power(power=power),), authority=f"the power controller at {self.site}", authoritative=True,
            latched=power == "off", identity=f"machine-{self.site}",
        )  # fmt: skip


class Address(_Resource):
    """An address that one of the sites holds."""

    def read(self, things: Things) -> Reading:
        return Reading(states=(Holder(site=things[self.name]["holder"]),), authority="the network", authoritative=True)


class Record(_Resource):
    """A DNS name."""

    def read(self, things: Things) -> Reading:
        records = {kind: tuple(values) for kind, values in things[self.name]["records"].items()}
        state = Records(records=records, ttl=things[self.name]["ttl"])
        return Reading(states=(state,), authority="the name server", authoritative=True)


def _standby(upstream: dict[str, Any], lag: float, streaming: bool) -> Replication:
    """A streaming standby has replayed past all that was written; without its upstream it stays where it was."""
    heard = time.time() if streaming else upstream["died"]
    position = upstream["wal"] + (-1000 if lag else 1)
    return Replication(
        timeline=1, received=position, replayed=position, last_commit_at=heard and heard - lag, last_contact_at=heard,
        streaming=streaming and not lag,
    )  # fmt: skip
