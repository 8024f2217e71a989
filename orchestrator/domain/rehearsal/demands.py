"""What a runbook demands of every execution, whatever plan was derived from it: what a rehearsal is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.component_types import TYPES
from orchestrator.domain.durations import parse
from orchestrator.domain.runbook import Runbook
from orchestrator.domain.world import Holder, Records, State, Strength


@dataclass(frozen=True)
class Demands:
    """proof: component that acts on the world to the weakest evidence that it is cut off at the other site (I2).
    approvals: what a human has to approve, by the ID of the step, to those who may; empty: everybody (I7).
    answers: component that the sites share, and site, to what a client is answered while the service is there (I10),
    and for how many seconds it may believe that. needs: component to those that have to be up before it, and to go down
    after it. leads_to: DNS name to the components that have to be up where it leads clients (I10).
    """

    proof: Mapping[str, Strength]
    approvals: Mapping[str, tuple[str, ...]]
    answers: Mapping[tuple[str, str], tuple[frozenset[str], float]]
    needs: Mapping[str, tuple[str, ...]]
    leads_to: Mapping[str, frozenset[str]]

    def answered(self, component: str, site: str, state: State | None) -> bool:
        """True where this state leads clients of the component to the site."""
        match state:
            case Holder(site=holder):
                return holder == site
            case Records(records=records, ttl=ttl):
                given = frozenset(text for texts in records.values() for text in texts)
                return (given, float(ttl)) == self.answers[component, site]
        return False


def demanded(runbook: Runbook) -> Demands:
    """The demands of a runbook. A human approves whatever is changed; a gate says who may, and where another stands."""
    proof = {
        name: Strength[component.fencing]
        for name, component in runbook.components.items()
        if TYPES[component.type].fenced
    }
    gates = {gate.before: gate.approvers for gate in runbook.gates}
    approvals = {"approve": gates.get("fence", ())}
    approvals |= {"promotion": gates["promote"]} if "promote" in gates else {}
    shared = [name for name, component in runbook.components.items() if TYPES[component.type].shared]
    answers = {(name, site): (_values(runbook.components[name].at.get(site, {})), _ttl(runbook.components[name].own))
               for name in shared for site in runbook.direction}  # fmt: skip
    needs = {name: component.needs for name, component in runbook.components.items()}
    names = [name for name in shared if runbook.components[name].type == "dns"]
    return Demands(proof, approvals, answers, needs, {name: _led_to(runbook, name) for name in names})


def _led_to(runbook: Runbook, name: str) -> frozenset[str]:
    """What stands behind the name, and every writer, but where a writer itself relies on the name."""
    fenced = frozenset(one for one in runbook.relied_on(name) if TYPES[runbook.components[one].type].fenced)
    writers = frozenset(one for one, component in runbook.components.items() if TYPES[component.type].writers == "one")
    return fenced if any(name in runbook.relied_on(writer) for writer in writers) else fenced | writers


def _ttl(keys: Mapping[str, Any]) -> float:
    """The seconds that stand there; 0 where none do."""
    given = keys.get("ttl", 0)
    return float(given) if isinstance(given, int | float) else parse(given)


def _values(place: Mapping[str, Any]) -> frozenset[str]:
    """Every address or name that stands there, however it is written."""
    given = (place.get(kind, ()) for kind in ("a", "aaaa", "cname"))
    return frozenset(str(text) for texts in given for text in ((texts,) if isinstance(texts, str) else texts or ()))
