"""What is rehearsed of a runbook: each of its plans, from each way in which its source can be found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.derivation import derive
from orchestrator.domain.plan import NO_JOURNAL, PlanMode
from orchestrator.domain.rehearsal.demands import demanded
from orchestrator.domain.rehearsal.driving import begin
from orchestrator.domain.rehearsal.model import World, at_rest, passed
from orchestrator.domain.rehearsal.nature import crashed, cut_off, darkened
from orchestrator.domain.rehearsal.search import Search
from orchestrator.domain.rehearsal.values import Mission, Rehearsal
from orchestrator.domain.runbook import Runbook

ACCEPTED = "60s"
"""The loss that the rehearsed human accepts by name in a forced failover."""

LEAVES_OUT = (
    "data other than databases that stream: files, queues, caches, sessions",
    "two things at the very same moment, and orders that no call could tell apart",
    "two executions that check at the same time, and more than two moves in a row",
    "steps that a human skips",
    "a machine with several switches: all of its fence methods are one",
    "an attempt that asks for several things, as a rebuild does: it is one request",
    "servers that the machine's boot starts by itself (checks and `tideover status` warn of them)",
    "somebody who powers a fenced machine on again by hand, or starts a server there",
    "fence devices, people or a store that lie; a device that takes what it has accepted out of order",
    "a worker that freezes between its guard and its request for longer than a request of that kind can be late",
    "wrong credentials and settings, other than as something that cannot be read",
    "clients that keep an old address longer than its time to live",
    "how long anything takes, but for time-outs, deadlines and late effects",
    "the journal lost or restored from an older copy, and runs that were reset in Temporal",
)
"""What no rehearsal can find, since the model does not have it."""


@dataclass(frozen=True)
class Scenario:
    """An execution with all that may follow it, how the source is when it begins, and how humans react.

    `succeeds`: without a fault it has to, or else it must not. `returns`: without a fault the way back has to, too.
    """

    name: str
    start: str
    origin: Rehearsal
    succeeds: bool = True
    returns: bool = False

    def search(self, faults: int) -> Search:
        """The search through it, which also finds where it does not end as it has to without a fault."""
        return Search(self.origin, faults, self.succeeds, self.returns)

    def __str__(self) -> str:
        return f"{self.name}, source {self.start}"


def scenarios(runbook: Runbook, catalog: Catalog) -> Iterator[Scenario]:
    """Every scenario of the runbook: a planned move, and a forced one from each way in which its source can be.

    Whatever ends, or is terminated, is followed by what an operator could start then: the same again, a move in the
    other direction, or the way back.
    """
    (home, standby), demands = runbook.direction, demanded(runbook)

    def mission(mode: PlanMode, to: str, max_loss: str | None = None, then: tuple[Mission, ...] = ()) -> Mission:
        return Mission(derive(runbook, catalog, to, mode, NO_JOURNAL), demands, max_loss, then)

    again, home_again = mission("forced", standby, ACCEPTED), mission("forced", home, ACCEPTED)
    back = mission("reprotect", home, then=(mission("planned", home),))
    unfence = mission("unfence", home)
    forced = mission("forced", standby, ACCEPTED, (again, home_again, back, unfence))
    planned = mission("planned", standby, then=(again, home_again, back, unfence))
    strict = mission("forced", standby, "0s")
    rest = at_rest(forced.plan, home, standby, home_again.plan)
    yield _scenario(planned, "alive", rest, home, returns=True)
    for start, change in _STARTS.items():
        yield _scenario(forced, start, change(rest, home), home, returns=start != _CUT_OFF)
    yield _scenario(strict, "alive, and no loss accepted", rest, home)
    believed = replace(planned, then=(), reactions=("attest", *planned.reactions))
    yield _scenario(believed, "alive, and people vouch for what they believe", rest, home)
    vouched = replace(forced, reactions=("attest", *forced.reactions))
    yield _scenario(vouched, "cut off with its fence devices", _dark(rest, home), home)
    if rest.servers:
        unknown = replace(forced, then=())
        yield _scenario(unknown, _UNKNOWN, _untold(rest, home, standby), home, succeeds=False)
        moved = at_rest(home_again.plan, standby, home, forced.plan)
        yield _scenario(replace(back, then=()), _REPLACED_CRASHED, crashed(moved, home), standby)


_CUT_OFF = "cut off"
_REPLACED_CRASHED = "alive, and what follows it crashed"
_UNKNOWN = "cut off for minutes, its standbys just started"
"""What a promotion would lose nobody can tell then, and no human can accept it by name."""


def _scenario(
    mission: Mission, start: str, world: World, home: str, succeeds: bool = True, returns: bool = False
) -> Scenario:
    lawful = dict.fromkeys((component for component, _ in world.servers), home)
    return Scenario(mission.plan.mode, start, begin(mission, world, lawful), succeeds, returns)


def _untold(world: World, home: str, standby: str) -> World:
    servers = {
        place: replace(server, fresh=True) if place[1] == standby else server for place, server in world.servers.items()
    }
    return passed(cut_off(replace(world, servers=servers), home), 300.0)


def _crashed(world: World, home: str) -> World:
    return passed(crashed(world, home), 5.0)


def _dark(world: World, home: str) -> World:
    return darkened(cut_off(world, home), home)


_STARTS: dict[str, Callable[[World, str], World]] = {
    "alive": lambda world, _: world,
    "crashed": _crashed,
    _CUT_OFF: cut_off,
}
"""How the source is when the first execution begins, and its fence can be proven by a device."""
