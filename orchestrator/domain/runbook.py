"""The runbook: what exists, where it stands and what it needs. How a failover goes is derived, never written."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from orchestrator.domain.base import Frozen
from orchestrator.domain.catalog import Site
from orchestrator.domain.durations import Seconds, Wait

Mode = Literal["planned", "forced"]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
VERIFICATION = re.compile(r"verify-\d+")
"""What a plan calls the items of `verify`, by their numbers: no component may be called so."""

_DIRECTION = re.compile(r"\s*(\S+)\s*->\s*(\S+)\s*")


class Objectives(Frozen):
    """What the business was promised: time until it is served again, and the largest loss of committed data."""

    rto: Seconds | None = None
    rpo: Seconds = 0.0


class Gate(Frozen):
    """A point where a human must agree. Before the first change one always stands; a gate says who and for how long."""

    before: Literal["fence", "promote"]
    approvers: tuple[str, ...] = ()
    timeout: Wait = 900.0
    on_timeout: Literal["abort", "escalate"] = "abort"


class Component(BaseModel):
    """One part of the service. Keys beside these belong to the resource type and are validated by its own model."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    needs: tuple[str, ...] = ()
    credentials: str | None = None
    server: str | None = None
    at: dict[str, dict[str, Any]] = Field(default_factory=dict)
    fencing: Literal["F2", "F3"] = Field(
        default="F2",
        description="How strong the proof of its fence must be before anything is promoted. F2: the device that cut it"
        " off reads it off. F3: two devices do that share no controller, so `fence:` names at least two.",
    )

    @property
    def own(self) -> dict[str, Any]:
        """The keys that belong to the resource type."""
        return dict(self.model_extra or {})


class Verification(BaseModel):
    """A probe from outside that must succeed at the end. The remaining keys (`sql:`, `tcp:`, `dns:`) choose it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    component: str | None = None
    within: Wait = 60.0

    @property
    def own(self) -> dict[str, Any]:
        """The keys that belong to the probe."""
        return dict(self.model_extra or {})


class Runbook(Frozen):
    """A protection group: one service, its two sites and the direction in which it fails over.

    `waiting`: how long, in seconds, an execution that is stuck waits for a human before it ends as NEEDS_HUMAN.
    """

    runbook: str
    owner: str | None = None
    description: str | None = None
    objectives: Objectives = Objectives()
    sites: dict[str, Site]
    failover: str
    waiting: Wait = 1800.0
    components: dict[str, Component]
    gates: tuple[Gate, ...] = ()
    verify: tuple[Verification, ...] = ()

    @field_validator("runbook")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            msg = f"{value!r} is no name: use a to z, 0 to 9 and '-', at most 41 characters"
            raise ValueError(msg)
        return value

    @field_validator("failover")
    @classmethod
    def _is_a_direction(cls, value: str) -> str:
        if not _DIRECTION.fullmatch(value):
            msg = f"{value!r} is no direction: write `site -> site`"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _has_something_to_move(self) -> Runbook:
        if not self.components:
            msg = "there is no component: name at least one"
            raise ValueError(msg)
        return self

    @property
    def direction(self) -> tuple[str, str]:
        """(home site, standby site) as written in `failover:`."""
        found = _DIRECTION.fullmatch(self.failover)
        assert found is not None  # noqa: S101 -- the validator above has matched it
        return found[1], found[2]

    def relied_on(self, name: str) -> frozenset[str]:
        """All that the component needs, and what that needs in turn."""
        found: set[str] = set()
        left = list(self.components[name].needs)
        while left:
            if (needed := left.pop()) not in found:
                found.add(needed)
                left += self.components[needed].needs
        return frozenset(found)

    def other(self, site: str) -> str:
        """The site that a move to `site` comes from."""
        home, standby = self.direction
        return home if site == standby else standby
