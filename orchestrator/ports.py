"""The Protocols between the core and the world. Adapters implement them; the runtime drives them.

A provider is a folder `providers/<name>/` with a `spec.py` that lists its resource types (see
`orchestrator.domain.catalog`) and sibling modules that hold the adapters. Adapters are synchronous and run in
threads. They raise only the errors of `orchestrator.domain.errors`; they never retry a mutating request, sleep on a
lost answer or decide about order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from orchestrator.domain.catalog import Site
from orchestrator.domain.runbook import Runbook
from orchestrator.domain.world import Reading, State

S = TypeVar("S", bound=BaseModel)
P = TypeVar("P", bound=BaseModel)


class Call(Protocol):
    """What an adapter gets beside the desired state when it is asked to change the world."""

    def guard(self) -> None:
        """Return if the attempt may act now; raise GuardRefused if not. The last statement before each request."""

    def accepted(self) -> None:
        """Say that what was guarded last has changed the thing itself. From here on no error means that nothing was
        done: an adapter that asks for several things in one attempt says so after each."""

    def checkpoint(self, token: str) -> None:
        """Keep `token` durably: the next attempt gives it to the resource's `resume`."""

    @property
    def remaining(self) -> float:
        """Seconds until the attempt's deadline; never negative. Bound every wait by it."""


class Resource(Protocol):
    """One thing in the world that can be read and set."""

    def observe(self) -> Reading:
        """Read the world now: cheap, no side effect. Raises ProviderError."""

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """Ask the world to change. Returning means accepted, not done. Raises ProviderError or GuardRefused."""


@runtime_checkable
class Resumed(Protocol):
    """What a resource may have beside: it follows what an earlier attempt has asked for."""

    def resume(self, token: str) -> None:
        """From here on nothing is shown as done that the request which left this token may still be changing. No I/O.

        Called before the first look.
        """


@runtime_checkable
class Inspected(Protocol):
    """What a resource may have beside: a look for what a recovery will trip over later. Only checks ask for it."""

    def hazards(self) -> tuple[str, ...]:
        """What would make a later recovery unsafe and is too slow to read each time: one line each, with the way out.

        No side effect. Raises ProviderError where it cannot be looked at; the reading stands nevertheless.
        """


@runtime_checkable
class Glanced(Protocol):
    """What a resource may have beside: a reading of what is likely to be dark, such as a server just fenced."""

    def glance(self) -> Reading:
        """The same as `observe`, given up soon where nothing answers at all. Raises ProviderError."""


@dataclass(frozen=True)
class Binding(Generic[S, P]):
    """Everything an adapter is constructed with.

    `site` is the site whose instance this is; None for a resource that the sites share (an address, a record).
    `settings` are the component's own keys, `places` the keys under `at:`, by site: both validated by the models
    that the spec names. `sites` are the runbook's sites with their provider, region and zone. `secret` is the
    resolved credential profile: field name to secret text; empty where none is named.
    """

    resource: str
    component: str
    site: str | None
    settings: S
    places: Mapping[str, P]
    sites: Mapping[str, Site]
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> P:
        """The settings of this binding's own site."""
        if self.site is None:
            msg = f"{self.resource} is shared between sites and has no place of its own"
            raise LookupError(msg)
        return self.places[self.site]


class Adapter(Protocol):
    """The class that a spec names: constructed from a binding, without I/O."""

    def __call__(self, binding: Binding[Any, Any], /) -> Resource:
        """Build the resource. Raises Misconfigured where a tool or secret it needs is missing."""


class Credentials(Protocol):
    """Resolves the name of a credential profile where the effect happens, never earlier (I14)."""

    def resolve(self, profile: str) -> Mapping[str, str]:
        """The profile's fields. Raises NotFoundLocally naming the profile and the places that were tried."""


class Runbooks(Protocol):
    """Where runbooks are found by name."""

    def runbook(self, name: str) -> Runbook:
        """The runbook. Raises NotFoundLocally, or RunbookInvalid with every finding."""


class Journal(Protocol):
    """The durable store of safety state, outside Temporal: keys with versions, changed by compare-and-set."""

    @property
    def id(self) -> str:
        """The journal's identity; part of every plan's hash, so that a lost journal is not epoch 0."""

    def read(self, prefix: str) -> dict[str, tuple[str, int]]:
        """Every key that starts with `prefix`, with its value and version (1 and up). Raises JournalUnavailable."""

    def swap(self, *changes: tuple[str, str, int], durable: bool = True) -> bool:
        """Write all (key, value, version seen; 0 = must not exist) durably, or none and return False.

        With `durable=False` a power failure may undo the latest such swaps, the last first, and never one before a
        durable swap: for what may be forgotten on the safe side.
        """
