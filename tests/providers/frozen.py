"""What holds for a worker that is frozen in front of a request and wakes up after a newer claim (I5).

A process of its own makes the attempt as a worker does, over a journal and on the real protocol. It is stopped with
SIGSTOP at one of its guards; the group is claimed anew; it goes on with SIGCONT.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from orchestrator.app.journals import make_journal, open_journal
from orchestrator.app.settings import Settings
from orchestrator.domain.ensure import Goal
from orchestrator.domain.ledger import Attempt, GroupRecord
from orchestrator.domain.plan import Plan, Want
from orchestrator.domain.world import State
from orchestrator.ports import Resource
from orchestrator.runtime import audit
from orchestrator.runtime.effect import Order
from orchestrator.runtime.group import Group
from tests.etcd import Cluster, within
from tests.providers.frozen_worker import Moment, Task
from tests.runtime.scripted import execution, gone, plan

_NAME = "thing"


class Photographed(Protocol):
    """A resource under test, with other means than its adapter to look at its world."""

    resource: Resource
    goal: State  # what `apply` is asked for

    def picture(self) -> object:
        """All that other means tell of the world, down to the changes that it was asked for."""
        ...


class Overtakable(Photographed, Protocol):
    """A world with compare-and-set."""

    def look(self) -> State:
        """The state as the world has it, read without the adapter."""
        ...

    def overtake(self) -> None:
        """By other means: what the newer attempt asks for, another state than the goal."""
        ...


@dataclass
class Frozen:
    """A worker process that stands still in the middle of its attempt."""

    process: subprocess.Popen[str]

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def freeze(self) -> None:
        """It is at its place, and none of its threads runs."""
        assert self.process.stdin is not None
        told = self.said()
        assert told == "here", f"it never came to its place: {told!r}"
        self.process.send_signal(signal.SIGSTOP)
        state = Path(f"/proc/{self.process.pid}/stat")
        within(10, lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "it stands still")
        self.process.stdin.write("go on\n")  # it goes on as soon as it runs again
        self.process.stdin.flush()

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Scene:
    """A group that execution e1 has claimed, and its attempt on the harness's resource."""

    def __init__(self, journal: str, directory: Path) -> None:
        settings = Settings(journal=journal)
        make_journal(settings)
        self.setting, self.journal, self.directory = journal, open_journal(settings), directory
        self.of: Plan = plan(self.journal.id)
        self.claim(1)

    @property
    def group(self) -> Group:
        return Group(self.journal, self.of.group)

    @property
    def record(self) -> GroupRecord:
        return self.group.record()

    @property
    def effects(self) -> int:
        """Requests that were let through, as the audit trail tells."""
        return len([entry for entry in audit.entries(self.journal) if entry.what == "effect"])

    def claim(self, number: int) -> None:
        claimed = self.group.claim(self.of, execution(number, self.of), gone(number - 1))
        assert isinstance(claimed, GroupRecord), claimed

    @contextmanager
    def worker(self, harness: Photographed, at: int, moment: Moment) -> Iterator[Frozen]:
        """The worker, on its way to the place where it stands still."""
        want = Want(resource=_NAME, component="db", site="left", desired=harness.goal)
        order = Order(
            attempt=attempt(1),
            want=want,
            goal=Goal(resource=_NAME, desired=harness.goal, may_be_there=False),
            before=None,
            plan=self.of.digest,
            who="ann",
            timeout=60.0,
            first=True,
        )
        file = self.directory / "task"
        file.write_bytes(pickle.dumps(Task(self.setting, self.of.group, "e1", harness.resource, order, at, moment)))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.providers.frozen_worker", str(file)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield Frozen(process)
        finally:
            process.kill()
            process.communicate()


def attempt(n: int) -> Attempt:
    return Attempt(epoch=1, step="db.fence", method=0, n=n)


def newer_attempt(scene: Scene) -> None:
    """The same execution tries again elsewhere, and claims the resource for that."""
    Group(scene.journal, scene.of.group, "e1").revoke_older(attempt(2), _NAME)


def newer_execution(scene: Scene) -> None:
    """The group is taken over by the next execution."""
    scene.claim(2)


class FrozenContract:
    """What holds for every change that a resource can be asked for. Subclasses provide the fixture `harness`.

    covers: the resource type and the verb that it is about, as `by_hand` of the type names it. requests: how many
    mutating requests it takes here, each with a guard of its own.
    """

    covers: ClassVar[str]
    requests: ClassVar[int] = 1

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "at" in metafunc.fixturenames:
            metafunc.parametrize("at", range(1, self.requests + 1))

    @pytest.fixture
    def scene(self, tmp_path: Path) -> Scene:
        return Scene(str(tmp_path / "journal.db"), tmp_path)

    @pytest.mark.parametrize("newer", [newer_attempt, newer_execution])
    def test_woken_after_a_newer_claim_it_changes_nothing(
        self, harness: Photographed, scene: Scene, at: int, newer: Callable[[Scene], None]
    ) -> None:
        with scene.worker(harness, at, "before its guard") as worker:
            worker.freeze()
            newer(scene)
            before = harness.picture(), scene.effects
            worker.thaw()
            assert worker.said() == "GuardRefused"
            if at == 1:
                assert worker.said().startswith("refused "), "nothing was requested, so nothing is in doubt"
                assert scene.record.doubts == ()
        assert (harness.picture(), scene.effects) == before

    def test_woken_without_a_newer_claim_it_goes_on(self, harness: Photographed, scene: Scene) -> None:
        before = harness.picture()
        with scene.worker(harness, 1, "before its guard") as worker:
            worker.freeze()
            assert harness.picture() == before
            worker.thaw()
            assert worker.said() == f"accepted after {self.requests}"
            assert worker.said().startswith("done ")
        assert harness.picture() != before
        assert harness.resource.observe().satisfies(harness.goal)
        assert scene.record.doubts == ()

    def test_frozen_past_its_guard_it_is_a_doubt_that_the_next_execution_inherits(
        self, harness: Photographed, scene: Scene
    ) -> None:
        """And its request, late as it is, takes effect: a guard narrows the window, and no more."""
        with scene.worker(harness, 1, "past its guard") as worker:
            worker.freeze()
            scene.claim(2)
            assert [doubt.attempt for doubt in scene.record.doubts] == [attempt(1)]
            before = harness.picture()
            worker.thaw()
            assert worker.said() == ("accepted after 1" if self.requests == 1 else "GuardRefused")
            if self.requests == 1:
                assert worker.said().startswith("done ")
        assert harness.picture() != before


class ComparedAndSet(FrozenContract):
    """What holds beside where the target itself refuses a request that is based on a stale reading."""

    def test_frozen_past_its_guard_it_meets_compare_and_set(self, harness: Overtakable, scene: Scene) -> None:
        with scene.worker(harness, 1, "past its guard") as worker:
            worker.freeze()
            scene.claim(2)
            before = harness.look()
            harness.overtake()
            overtaken = harness.look()
            assert overtaken != before, "the newer attempt has to change something"
            worker.thaw()
            assert worker.said() == "Conflict"
            assert worker.said().startswith("failed ")
        assert harness.look() == overtaken


class OverEtcd:
    """Mixed in before a contract: the journal is on three etcd members."""

    @pytest.fixture
    def scene(self, tmp_path: Path, etcd_cluster: Cluster) -> Scene:
        return Scene(f"etcd://{','.join(etcd_cluster.addresses)}/frozen/{tmp_path.name}", tmp_path)
