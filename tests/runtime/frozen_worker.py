"""A worker process that holds an attempt over a journal on etcd and stands still where it is told to; see the test.

    python -m tests.runtime.frozen_worker <prefix> <file of the machine> <moment> <member> ...

It says `here` at the moment and waits for a line. The machine's power is what stands in the file, one line a request.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.domain.world import Reading, State
from orchestrator.ports import Call
from orchestrator.runtime.effect import perform
from orchestrator.runtime.etcd_gateway import Access, Gateway
from orchestrator.runtime.etcd_journal import EtcdJournal
from orchestrator.runtime.group import Group
from tests.runtime.scripted import OFF, ON, order, plan

MOMENTS = ("before its guard", "between the guard's look and its write")


def stand_still() -> None:
    print("here", flush=True)  # noqa: T201
    sys.stdin.readline()


class Machine:
    """Power in a file: `off` after the first request."""

    def __init__(self, file: Path, moment: str) -> None:
        self.file, self.moment = file, moment

    def observe(self) -> Reading:
        state = OFF if self.file.read_text() else ON
        return Reading(states=(state,), authority="the file", authoritative=True, latched=True, identity=None)

    def apply(self, desired: State, observed: Reading, call: Call) -> None:  # noqa: ARG002 -- the port names it
        if self.moment == MOMENTS[0]:
            stand_still()
        call.guard()
        with self.file.open("a") as file:
            file.write("off\n")


class Halting(EtcdJournal):
    """Stands still in front of the write by which the request would come into the ledger."""

    moment = ""

    def swap(self, *changes: tuple[str, str, int], durable: bool = True) -> bool:
        if self.moment == MOMENTS[1]:
            self.moment = ""
            stand_still()
        return super().swap(*changes, durable=durable)


def main(prefix: str, file: str, moment: str, *members: str) -> None:
    """One attempt; its outcome is said."""
    journal = Halting(Gateway(members, Access()), prefix)
    journal.moment = moment
    of = plan(journal.id)
    outcome = perform(Group(journal, of.group), Machine(Path(file), moment), order(of, timeout=60.0))
    print(outcome.kind, getattr(outcome, "why", ""), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
