"""A worker process that makes one attempt and stands still at one of its guards; see `tests.providers.frozen`.

    python -m tests.providers.frozen_worker <file with a pickled Task>

It says `here` where it stands still and goes on when it is sent a line. It says how the adapter's change ended, and
then the attempt's outcome.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.app.journals import open_journal
from orchestrator.app.settings import Settings
from orchestrator.domain.world import Reading, State
from orchestrator.ports import Call, Resource
from orchestrator.runtime.effect import Order, perform
from orchestrator.runtime.group import Group

Moment = Literal["before its guard", "past its guard"]


@dataclass(frozen=True)
class Task:
    """What to do, and at which of its guards, counted from 1, to stand still."""

    journal: str
    group: str
    execution: str
    resource: Resource
    order: Order
    at: int
    moment: Moment


def say(*words: str) -> None:
    print(*words, flush=True)  # noqa: T201  what the test reads


def stand_still() -> None:
    say("here")
    sys.stdin.readline()


class Halting:
    """A Call that stands still once. Its guards are the product's own."""

    def __init__(self, call: Call, task: Task) -> None:
        self._call, self._task, self._guards = call, task, 0

    def guard(self) -> None:
        self._guards += 1
        here = self._guards == self._task.at
        if here and self._task.moment == "before its guard":
            stand_still()
        self._call.guard()
        if here and self._task.moment == "past its guard":
            stand_still()

    def accepted(self) -> None:
        self._call.accepted()

    def checkpoint(self, token: str) -> None:
        self._call.checkpoint(token)

    @property
    def remaining(self) -> float:
        return self._call.remaining

    @property
    def guards(self) -> int:
        return self._guards


@dataclass
class Told:
    """The resource, which tells how each change ended: what stopped it, or after how many guards it was accepted."""

    task: Task

    def observe(self) -> Reading:
        return self.task.resource.observe()

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        halting = Halting(call, self.task)
        try:
            self.task.resource.apply(desired, observed, halting)
        except Exception as error:
            say(type(error).__name__)
            raise
        say(f"accepted after {halting.guards}")


def main(file: str) -> None:
    """One attempt; its outcome is said."""
    task: Task = pickle.loads(Path(file).read_bytes())  # noqa: S301  written by the test itself
    group = Group(open_journal(Settings(journal=task.journal)), task.group, task.execution)
    outcome = perform(group, Told(task), task.order)
    say(outcome.kind, getattr(outcome, "why", ""))


if __name__ == "__main__":
    main(*sys.argv[1:])
