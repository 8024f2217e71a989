"""A frozen worker, a process of its own over a journal in etcd: woken after a newer claim, it changes nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.domain.outcome import Done
from orchestrator.domain.plan import Plan
from orchestrator.runtime import audit
from orchestrator.runtime.effect import perform
from orchestrator.runtime.etcd_gateway import Access, Gateway
from orchestrator.runtime.etcd_journal import EtcdJournal
from orchestrator.runtime.group import Group
from tests.etcd import Cluster, within
from tests.runtime.frozen_worker import MOMENTS, Machine
from tests.runtime.scripted import execution, gone, order, plan

PREFIX = "test/frozen"


@pytest.fixture
def journal(etcd_cluster: Cluster, tmp_path: Path) -> EtcdJournal:
    return EtcdJournal.create(Gateway(etcd_cluster.addresses, Access()), f"{PREFIX}/{tmp_path.name}")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    file = tmp_path / "machine"
    file.touch()
    return file


def newer_execution(group: Group, of: Plan, machine: Path) -> None:
    """The group is taken over, as after a lost worker: nothing else is done."""
    found = group.claim(of, execution(2, of), gone(1))
    assert not isinstance(found, str), found


def newer_attempt(group: Group, of: Plan, machine: Path) -> None:
    """The same execution tries the step again elsewhere, and succeeds."""
    outcome = perform(group, Machine(machine, ""), order(of, n=2, timeout=20.0))
    assert isinstance(outcome, Done), outcome


@contextmanager
def worker(cluster: Cluster, place: Path, machine: Path, moment: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "tests.runtime.frozen_worker", f"{PREFIX}/{place.name}", str(machine), moment]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [*argv, *cluster.addresses], cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("newer", [newer_execution, newer_attempt])
def test_a_worker_that_wakes_up_after_a_newer_claim_changes_nothing(
    journal: EtcdJournal,
    etcd_cluster: Cluster,
    tmp_path: Path,
    machine: Path,
    moment: str,
    newer: Callable[[Group, Plan, Path], None],
) -> None:
    of = plan(journal.id)
    group = Group(journal, of.group)
    assert not isinstance(group.claim(of, execution(1, of)), str)
    with worker(etcd_cluster, tmp_path, machine, moment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGSTOP)
        state = Path(f"/proc/{process.pid}/stat")
        within(5, lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "it stands still")
        process.stdin.write("go on\n")  # it goes on as soon as it runs again
        process.stdin.flush()
        newer(group, of, machine)
        before = machine.read_text(), group.record()
        process.send_signal(signal.SIGCONT)
        said = process.stdout.readline()
        assert said.startswith("refused "), said
        assert process.wait(10) == 0
    assert (machine.read_text(), group.record()) == before
    effects = [entry.detail["attempt"] for entry in audit.entries(journal) if entry.what == "effect"]
    assert len(effects) == len(before[0].splitlines()), "each request stands in the audit trail, and no other"
    assert audit.verify(journal) is None


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_nobody_has_replaced_goes_on(
    journal: EtcdJournal, etcd_cluster: Cluster, tmp_path: Path, machine: Path, moment: str
) -> None:
    of = plan(journal.id)
    group = Group(journal, of.group)
    assert not isinstance(group.claim(of, execution(1, of)), str)
    with worker(etcd_cluster, tmp_path, machine, moment) as process:
        told, _ = process.communicate("go on\n", timeout=30)
    assert told.splitlines()[0] == "here"
    assert told.splitlines()[1].startswith("done"), told
    assert machine.read_text() == "off\n"
