"""Every scenario of a runbook searched, several at once in processes of their own: Python runs on one core."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import NamedTuple

from orchestrator.app.registry import catalog
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.rehearsal.scenarios import scenarios
from orchestrator.domain.rehearsal.search import Counterexample, Covered
from orchestrator.domain.runbook import Runbook

_EVERY = 10.0
"""Seconds between two words about a search that goes on."""


class SearchKilled(TideoverError):
    """A search ended without an answer; the text says what to do."""


class Rehearsed(NamedTuple):
    """A scenario, what came of it, and how many seconds that took."""

    execution: str
    source: str
    found: Covered | Counterexample
    seconds: float

    def __str__(self) -> str:
        if isinstance(self.found, Counterexample):
            return f"{self.name}: BROKEN by {counted(self.found.faults)}, {self.seconds:.1f} s"
        return f"{self.name}: nothing breaks with {counted(self.found.faults)}, {self.seconds:.1f} s"

    @property
    def name(self) -> str:
        """The scenario's."""
        return f"{self.execution}, source {self.source}"


def rehearsed(runbook: Runbook, faults: int, jobs: int, say: Callable[[str], None]) -> Iterator[Rehearsed]:
    """Every scenario in turn, with up to `jobs` of them searched at the same time. Raises SearchKilled.

    `say` is told how far a long search is, from within its process: it is a function of a module.
    """
    count = sum(1 for _ in scenarios(runbook, catalog()))
    if jobs == 1:
        yield from (_searched(runbook, number, faults, say) for number in range(count))
        return
    # Started anew, not forked: a child would begin with all that its parent has in memory, locks included.
    # Ctrl-C ends a child without a word: the one who tells of it is the parent.
    silent = (signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(min(jobs, count), get_context("spawn"), signal.signal, silent) as processes:
        begun = [processes.submit(_searched, runbook, number, faults, say) for number in range(count)]
        try:
            yield from (each.result() for each in begun)
        except BrokenProcessPool:
            msg = (
                "a search was killed, most likely because memory ran out: take fewer --jobs, fewer --faults, "
                "or a machine with more memory; no verdict can be given beyond what was told of each search above"
            )
            raise SearchKilled(msg) from None
        finally:  # whoever leaves early waits for no search
            for child in active_children():
                child.terminate()


def counted(faults: int) -> str:
    """How many faults, in words."""
    return f"{faults} fault{'' if faults == 1 else 's'}"


def cores() -> int:
    """How many searches this process may run at the same time without one slowing another."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _searched(runbook: Runbook, number: int, faults: int, say: Callable[[str], None]) -> Rehearsed:
    scenario = list(scenarios(runbook, catalog()))[number]
    began = time.perf_counter()
    found: Covered | Counterexample
    try:
        found = scenario.search(faults).run(_Progress(str(scenario), say))
    except Counterexample as counterexample:
        found = counterexample
        found.__cause__ = found.__context__ = found.__traceback__ = None  # it holds all that the search remembered
    return Rehearsed(scenario.name, scenario.start, found, time.perf_counter() - began)


class _Progress:
    """Says now and then what is known of a search that goes on: it may be killed before its end."""

    def __init__(self, scenario: str, say: Callable[[str], None]) -> None:
        self._scenario, self._say, self._said = scenario, say, time.monotonic()

    def __call__(self, faults: int, states: int) -> None:
        if time.monotonic() - self._said >= _EVERY:
            self._said = time.monotonic()
            held = f"nothing breaks with {counted(faults - 1)}; " if faults else ""
            self._say(f"{self._scenario}: {held}{states:,} states so far with {counted(faults)}")
