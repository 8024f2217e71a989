"""A resource in memory, with the failures that a test wants; and orders for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from orchestrator.domain.ensure import Goal
from orchestrator.domain.ledger import Attempt, Execution, Gone
from orchestrator.domain.plan import Plan, Want
from orchestrator.domain.world import Power, Reading, State
from orchestrator.ports import Call
from orchestrator.runtime.effect import Order
from tests.domain import runbooks

MACHINE = "db@left:fence_agents"
OFF, ON = Power(power="off"), Power(power="on")


@dataclass
class Switch:
    """A machine's power. `looks`: what each look raises before it answers; `around`: called for each request.

    `requests`: how many mutating requests one apply makes, each after its own guard; `sluggish`: looks for which an
    accepted change is not seen yet.
    """

    state: State | None = ON
    looks: Iterator[Exception | None] = field(default_factory=lambda: iter(()))
    before_guard: Callable[[], None] = lambda: None
    after_guard: Callable[[], None] = lambda: None
    after_effect: Callable[[], None] = lambda: None
    requests: int = 1
    sluggish: int = 0
    effective: bool = True
    identity: str | None = None
    applied: int = 0
    looked: int = 0
    calls: list[Call] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)

    def resume(self, token: str) -> None:
        assert not self.looked, "told after the first look"
        self.resumed.append(token)

    def observe(self) -> Reading:
        self.looked += 1
        trouble = next(self.looks, None)
        if trouble is not None:
            raise trouble
        state = self.state
        if self.applied and self.sluggish:
            self.sluggish -= 1
            state = ON
        states = (state,) if state else ()
        return Reading(states=states, authority="the test", authoritative=True, latched=True, identity=self.identity)

    def apply(self, desired: State, observed: Reading, call: Call) -> None:  # noqa: ARG002 -- the port names it
        self.calls.append(call)
        self.before_guard()
        for _ in range(self.requests):
            call.guard()
            self.after_guard()
            self.applied += 1
            if self.effective:
                self.state = desired
        self.after_effect()


def plan(journal: str = "journal-of-the-tests") -> Plan:
    """The demo's forced plan, made for this journal."""
    return runbooks.planned(runbooks.demo(), "forced", "right").model_copy(update={"journal": journal})


def execution(number: int, of: Plan) -> Execution:
    """The `number`th execution of the plan."""
    return Execution(id=f"e{number}", who="ann", plan=of.digest, mode="forced", target="right", since=0.0)


def gone(number: int) -> Gone:
    """The `number`th execution runs no more."""
    return Gone(execution=f"e{number}", why="it was terminated")


def order(of: Plan, n: int = 1, desired: State = OFF, epoch: int = 1, **more: object) -> Order:
    """An attempt to fence the demo's source. `more`: what is not as usual."""
    want = Want(resource=MACHINE, component="db", site="left", desired=desired)
    goal = Goal(
        resource=MACHINE,
        desired=desired,
        may_be_there=bool(more.pop("may_be_there", False)),
        identity=more.pop("identity", None),
        patience=float(more.pop("patience", 0.3)),  # type: ignore[arg-type]
    )
    given = {"before": ON, "plan": of.digest, "who": "ann", "timeout": 5.0, "first": n == 1, **more}
    return Order(attempt=Attempt(epoch=epoch, step="db.fence", method=0, n=n), want=want, goal=goal, **given)  # type: ignore[arg-type]
