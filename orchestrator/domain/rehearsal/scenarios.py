"""What is rehearsed of a runbook: each of its plans, from each way in which its source can be found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.derivation import derive
from orchestrator.domain.plan import NO_JOURNAL, PlanMode
from orchestrator.domain.rehearsal.driving import Mission, Rehearsal, begin
from orchestrator.domain.rehearsal.model import World, at_rest, crashed, cut_off, passed
from orchestrator.domain.runbook import Runbook

ACCEPTED = "60s"
"""The loss that the rehearsed human accepts by name in a forced failover."""

REACTIONS = ("retry", "abort")
"""What humans answer when an execution waits for them, in turn; then they let its deadline pass."""

LEAVES_OUT = (
    "data other than databases that stream: files, queues, caches, sessions",
    "more than one thing that happens in the same instant inside one step",
    "servers that the machine's boot starts by itself (checks and `tideover status` warn of them)",
    "a fence device, people or a store that lie; wrong credentials and settings",
    "clients that keep an old address longer than its time to live",
    "how long anything takes, but for time-outs, deadlines and late effects",
    "the journal lost or restored from an older copy",
)
"""What no rehearsal can find, since the model does not have it."""


@dataclass(frozen=True)
class Scenario:
    """A chain of executions, how the source is when the first begins, and how humans react."""

    name: str
    start: str
    origin: Rehearsal


def scenarios(runbook: Runbook, catalog: Catalog) -> Iterator[Scenario]:
    """Every scenario of the runbook, the shortest chains first."""
    home, standby = runbook.direction

    def mission(mode: PlanMode, to: str, max_loss: str | None = None) -> Mission:
        return Mission(derive(runbook, catalog, to, mode, NO_JOURNAL), max_loss)

    forced, planned = mission("forced", standby, ACCEPTED), mission("planned", standby)
    back = (mission("reprotect", home), mission("planned", home))
    for start, change in _STARTS.items():
        world = change(at_rest(forced.plan, home, standby), home)
        yield _scenario("forced, and forced again", start, (forced, forced), world, home)
        if start == "alive":
            yield _scenario("planned, then forced", start, (planned, forced), world, home)
        if start == "crashed":
            yield _scenario("forced, and back", start, (forced, *back), world, home)


def _scenario(name: str, start: str, missions: tuple[Mission, ...], world: World, home: str) -> Scenario:
    lawful = dict.fromkeys((component for component, _ in world.servers), home)
    return Scenario(name, start, begin(missions, world, lawful, REACTIONS))


def _dark(world: World, home: str) -> World:
    return replace(cut_off(world, home), dark=frozenset({home}))


_STARTS: dict[str, Callable[[World, str], World]] = {
    "alive": lambda world, _: world,
    "crashed": lambda world, home: passed(crashed(world, home), 5.0),
    "cut off": cut_off,
    "cut off with its fence devices": _dark,
}
"""How the source is when the first execution begins."""
