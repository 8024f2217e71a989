"""What a runbook demands of every execution, whatever plan was derived from it: what a rehearsal is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.domain.component_types import TYPES
from orchestrator.domain.runbook import Runbook
from orchestrator.domain.world import Strength


@dataclass(frozen=True)
class Demands:
    """proof: component that acts on the world to the weakest evidence that it is cut off at the other site (I2).
    approvals: what a human has to approve, by the ID of the step, to those who may; empty: everybody (I7)."""

    proof: Mapping[str, Strength]
    approvals: Mapping[str, tuple[str, ...]]


def demanded(runbook: Runbook) -> Demands:
    """The demands of a runbook. A human approves whatever is changed; a gate says who may, and where another stands."""
    proof = {
        name: Strength[component.fencing]
        for name, component in runbook.components.items()
        if TYPES[component.type].fenced
    }
    gates = {gate.before: gate.approvers for gate in runbook.gates}
    approvals = {"approve": gates.get("fence", ())}
    return Demands(proof, approvals | ({"promotion": gates["promote"]} if "promote" in gates else {}))
