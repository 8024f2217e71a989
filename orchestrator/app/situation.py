"""How things stand with one protection group: the world as it is read now, the ledger, and what would be allowed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.checks import judge, writers
from orchestrator.domain.derivation import derive
from orchestrator.domain.engine import fold, start
from orchestrator.domain.ledger import Execution, GroupRecord
from orchestrator.domain.loss import Loss, would_lose
from orchestrator.domain.plan import Plan, PlanMode, ResourceSpec
from orchestrator.domain.resolving import resolve
from orchestrator.domain.resource_ids import instance
from orchestrator.domain.runbook import Runbook
from orchestrator.domain.state import Checked, ReadError
from orchestrator.domain.world import Reading
from orchestrator.runtime import looking
from orchestrator.runtime.adapters import Adapters

PATIENCE = 10.0
"""Seconds after which a resource that has not answered is shown as such."""


@dataclass(frozen=True)
class Move:
    """Something that could be started now. `blocked`: why it would be refused; empty where it would not."""

    mode: PlanMode
    to: str
    blocked: tuple[str, ...]


@dataclass(frozen=True)
class Situation:
    """What was read of a group, by resource ID, and what follows. `record` is None where there is no journal."""

    runbook: Runbook
    specs: dict[str, ResourceSpec]
    readings: dict[str, Reading]
    errors: dict[str, ReadError]
    read_at: float
    record: GroupRecord | None
    moves: tuple[Move, ...] = field(default=())

    def primaries(self, component: str) -> list[str]:
        """The sites whose server of this component says that it takes writes."""
        return [site for site in self.runbook.direction if self.role(component, site) == "primary"]

    def role(self, component: str, site: str) -> str | None:
        """The role that the server at this site was read in."""
        reading = self.readings.get(instance(component, site))
        return reading.role if reading else None

    def loss(self, component: str, site: str) -> Loss | None:
        """What would be lost if the other site were lost now and this one promoted; None where that cannot be."""
        mine, other = (self.readings.get(instance(component, s)) for s in (site, self.runbook.other(site)))
        return would_lose(other, mine, self.read_at) if mine and mine.role == "standby" else None


def look(runbook: Runbook, adapters: Adapters, record: GroupRecord | None, journal: str) -> Situation:
    """The situation now. Every resource of both sites is read at the same time, and nothing is changed."""
    resolution = resolve(runbook, adapters.catalog)
    specs = {name: spec for name, spec in resolution.specs.items() if name not in resolution.probes}
    readings, errors = _read(specs, adapters)
    found = Situation(runbook, specs, readings, errors, time.time(), record)
    moves = tuple(_moves(found, adapters.catalog, journal))
    return Situation(runbook, specs, readings, errors, found.read_at, record, moves)


def _read(specs: Mapping[str, ResourceSpec], adapters: Adapters) -> tuple[dict[str, Reading], dict[str, ReadError]]:
    """What answered within PATIENCE; a reader that hangs is left behind."""
    answers: SimpleQueue[tuple[str, Reading | ReadError]] = SimpleQueue()

    def one(spec: ResourceSpec) -> None:
        answers.put((spec.id, looking.read(lambda: adapters.open(spec))))

    for spec in specs.values():
        threading.Thread(target=one, args=(spec,), daemon=True).start()
    readings: dict[str, Reading] = {}
    errors = {name: ReadError(error="Unreachable", why=f"no answer in {PATIENCE:g}s", lasting=False) for name in specs}
    deadline = time.monotonic() + PATIENCE
    for _ in specs:
        try:
            name, answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        del errors[name]
        if isinstance(answer, Reading):
            readings[name] = answer
        else:
            errors[name] = answer
    return readings, errors


def _moves(found: Situation, catalog: Catalog, journal: str) -> list[Move]:
    """Each move that makes sense, judged by the very checks that an execution makes."""
    home, standby = found.runbook.direction
    moves = []
    for to in (standby, home):
        for mode in ("planned", "forced", "reprotect", "unfence"):
            plan = derive(found.runbook, catalog, to, mode, journal)
            if (writers(plan) or mode == "unfence") and not _pointless(found, plan):
                moves.append(Move(mode, to, _blocked(found, plan)))
    return moves


def _pointless(found: Situation, plan: Plan) -> bool:
    """True for a move to where the service is already, for rebuilding a standby that streams, for lifting no fence."""
    components = writers(plan)
    fenced = found.record is not None and plan.target in found.record.fenced.values()
    if plan.mode == "unfence":
        return not fenced
    if plan.mode == "reprotect":
        streams = [found.readings.get(instance(c, plan.target)) for c in components]
        return not fenced and all(r is not None and r.state("replicates_from") for r in streams)
    return all(found.role(component, plan.target) == "primary" for component in components)


def _blocked(found: Situation, plan: Plan) -> tuple[str, ...]:
    record = found.record or GroupRecord(group=plan.group)
    state = start(plan, Execution(id="", who="", plan=plan.digest, mode=plan.mode, target=plan.target, since=0), record)
    for step in plan.of_kind("check"):
        readings = {name: found.readings[name] for name in step.looks_at if name in found.readings}
        errors = {name: found.errors[name] for name in step.looks_at if name in found.errors}
        state = fold(plan, state, Checked(step=step.id, readings=readings, errors=errors, at=found.read_at))
    return tuple(str(finding) for finding in judge(plan, state) if finding.level == "blocks")
