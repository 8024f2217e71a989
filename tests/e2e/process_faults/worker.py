"""The product's own worker, which stands still where a stop is set; beyond that it is `tideover worker`.

`python -m tests.e2e.process_faults.worker`, with the settings in the environment. The stops are wrapped around what the
composition root puts together; nothing in the product knows of them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.connection import when_it_answers
from orchestrator.app.settings import Settings
from orchestrator.app.worker import Composition, build_worker
from orchestrator.domain.ledger import Execution, Gone, GroupRecord
from orchestrator.domain.outcome import Outcome
from orchestrator.domain.plan import Kind, Plan, PlanMode, ResourceSpec
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.state import Condition, Perform, ReadError
from orchestrator.domain.world import Reading, State
from orchestrator.ports import Call, Glanced, Inspected, Resource, Resumed
from orchestrator.runtime.actor import Actor, Cancelled, Closed, Mandate, Seen
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.effect import never_cancelled
from tests.e2e.process_faults.stops import FOLDER, Visit

Reach = Callable[[str], None]


@dataclass
class StoppingCall:
    """A call whose guard, once it has passed, may stand still: the request is in the ledger, and not sent."""

    inner: Call
    reach: Reach
    passed: bool = False

    def guard(self) -> None:
        self.inner.guard()
        self.reach("guarded-again" if self.passed else "guarded")
        self.passed = True

    def accepted(self) -> None:
        self.inner.accepted()

    def checkpoint(self, token: str) -> None:
        self.inner.checkpoint(token)

    @property
    def remaining(self) -> float:
        return self.inner.remaining


@dataclass(frozen=True)
class StoppingResource:
    """A resource at which one may stand still after a look, and after a request."""

    inner: Resource
    reach: Reach

    def observe(self) -> Reading:
        reading = self.inner.observe()
        self.reach("looked")
        return reading

    def glance(self) -> Reading:
        """Of a server that was just fenced nothing is read, and that is the look as well."""
        try:
            return self.inner.glance() if isinstance(self.inner, Glanced) else self.inner.observe()
        finally:
            self.reach("looked")

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        self.inner.apply(desired, observed, StoppingCall(call, self.reach))
        self.reach("asked")

    def resume(self, token: str) -> None:
        if isinstance(self.inner, Resumed):
            self.inner.resume(token)

    def hazards(self) -> tuple[str, ...]:
        return self.inner.hazards() if isinstance(self.inner, Inspected) else ()


class StoppingAdapters(Adapters):
    """Adapters of one visit to a step."""

    def __init__(self, inner: Adapters, reach: Reach) -> None:
        super().__init__(inner.catalog, inner.credentials)
        self._reach = reach

    def open(self, spec: ResourceSpec) -> Resource:
        return StoppingResource(super().open(spec), self._reach)


@dataclass(frozen=True)
class StoppingActor(Actor):
    """An actor that may stand still at the boundaries of every step."""

    stops: Path

    def planned(self, runbook: str, to: str, mode: PlanMode) -> tuple[Plan, GroupRecord]:
        with Visit.to(self.stops, "plan"):
            return super().planned(runbook, to, mode)

    def checked(self, specs: Mapping[str, ResourceSpec]) -> tuple[dict[str, Reading], dict[str, ReadError]]:
        component = next(iter(specs.values())).component
        with Visit.to(self.stops, f"{component}.check") as visit:
            return self._during(visit).checked(specs)

    def claimed(
        self, plan: Plan, execution: Execution, gone: Gone | None, asked_at: dict[str, float], seen: int
    ) -> GroupRecord | str:
        with Visit.to(self.stops, "approve"):
            return super().claimed(plan, execution, gone, asked_at, seen)

    def performed(self, spec: ResourceSpec, asked: Perform, mandate: Mandate, cancelled: Cancelled) -> Outcome:
        step = f"{asked.attempt.step}.undo" if asked.attempt.undo else asked.attempt.step
        with Visit.to(self.stops, step) as visit:
            return self._during(visit).performed(spec, asked, mandate, cancelled)

    def looked(
        self, kind: Kind, spec: ResourceSpec, until: tuple[Condition, float], mandate: Mandate,
        cancelled: Cancelled = never_cancelled,
    ) -> Seen:  # fmt: skip
        step = spec.id if spec.id.startswith("verify-") else f"{spec.component}.{kind}"  # a probe's step has its name
        with Visit.to(self.stops, step) as visit:
            return self._during(visit).looked(kind, spec, until, mandate, cancelled)

    def closed(self, record: ExecutionRecord, epoch: int | None) -> Closed:
        with Visit.to(self.stops, "close"):
            return super().closed(record, epoch)

    def _during(self, visit: Visit) -> Actor:
        return Actor(self.runbooks, StoppingAdapters(self.adapters, visit.at), self.journal)


@dataclass(frozen=True)
class StoppingComposition(Composition):
    """What `tideover worker` is made of, with that actor."""

    @property
    def actor(self) -> Actor:
        return StoppingActor(self.library, self.adapters, self.journal, Path(os.environ[FOLDER]))


async def main() -> None:
    """Works until it is ended."""
    logging.basicConfig(level=logging.INFO)
    composition = StoppingComposition.of(Settings())
    _, worker = await when_it_answers(lambda: build_worker(composition), logging.warning)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
