"""A canary: a secret that adapters are given is in no plan, ledger, audit entry, record or byte on disk (I14)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app.registry import catalog as real_catalog
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Outcome
from orchestrator.domain.plan import Plan
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.world import Power, Reading
from orchestrator.ports import Binding
from orchestrator.runtime import archive, audit, looking
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.credentials import ProfileCredentials
from orchestrator.runtime.effect import perform
from orchestrator.runtime.group import Group
from orchestrator.runtime.journal import SqliteJournal
from tests.domain.on_the_way import ended
from tests.domain.test_engine import scenarios
from tests.runtime.scripted import MACHINE, execution, order, plan

CANARY = "c4n4ry-s3cret-0f-the-tests"
opened: list[str] = []


class Careless:
    """An adapter that has the secret and, as `behaviour` says, raises it as an SDK would."""

    behaviour: str = "works"

    def __init__(self, binding: Binding[Any, Any]) -> None:
        self.secret = binding.secret["password"]
        opened.append(self.secret)
        self.power: Any = "on"

    def observe(self) -> Reading:
        if self.behaviour == "raises when read":
            raise RuntimeError(f"cannot log in with {self.secret}")
        return Reading(states=(Power(power=self.power),), authority="test", authoritative=True, latched=True)

    def apply(self, desired: Any, observed: Reading, call: Any) -> None:  # noqa: ARG002 -- the port names it
        if self.behaviour == "raises before the guard":
            raise KeyError(self.secret)
        call.guard()
        if self.behaviour == "raises after the guard":
            raise ValueError({"password": self.secret})
        self.power = desired.power


@pytest.fixture
def credentials(tmp_path: Path) -> ProfileCredentials:
    path = tmp_path / "credentials.toml"
    path.write_text(f'[bmc]\npassword = "{CANARY}"\n')
    return ProfileCredentials(path, {})


@pytest.fixture
def adapters(credentials: ProfileCredentials) -> Adapters:
    machine = real_catalog().get("fence_agents.machine")
    changed = {**machine.__dict__, "adapter": f"{__name__}:Careless"}
    return Adapters(Catalog(types=(type(machine)(**changed),)), credentials)


@pytest.fixture(params=["works", "raises when read", "raises before the guard", "raises after the guard"])
def behaviour(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Careless, "behaviour", request.param)
    return str(request.param)


def bytes_on_disk(folder: Path) -> Iterator[bytes]:
    for path in folder.glob("journal.db*"):
        yield path.read_bytes()


def performed(adapters: Adapters, made: Plan, group: Group) -> Outcome:
    spec = made.resources[MACHINE].model_copy(update={"credentials": "bmc"})
    return perform(group, adapters.open(spec), order(made, timeout=0.6, patience=0.1))


def test_the_secret_stays_with_the_adapter(
    tmp_path: Path, adapters: Adapters, behaviour: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    opened.clear()
    journal = SqliteJournal.create(tmp_path / "journal.db")
    made = plan(journal.id)
    group = Group(journal, made.group)
    assert isinstance(group.claim(made, execution(1, made)), GroupRecord)
    outcome = performed(adapters, made, group)
    assert opened == [CANARY], "the adapter had it"
    last = ended(scenarios()[0].begun())
    archive.keep(journal, ExecutionRecord(plan=made, execution=execution(1, made), reason="", record=group.record(),
                                          events=last.events))  # fmt: skip
    shown: dict[str, str] = {
        "plan": made.model_dump_json(),
        "outcome": outcome.model_dump_json(),
        "ledger": group.record().model_dump_json(),
        "audit": "".join(entry.model_dump_json() for entry in audit.entries(journal)),
        "log": caplog.text,
    }
    assert [name for name, text in shown.items() if CANARY in text] == []
    assert not any(CANARY.encode() in content for content in bytes_on_disk(tmp_path))
    assert audit.verify(journal) is None


def test_a_check_never_tells_it(adapters: Adapters, behaviour: str) -> None:
    spec = plan().resources[MACHINE].model_copy(update={"credentials": "bmc"})
    readings, errors = looking.check({MACHINE: lambda: adapters.open(spec)})
    assert CANARY not in repr((readings, errors))
    assert bool(errors) == (behaviour == "raises when read")


def test_a_binding_does_not_show_it(credentials: ProfileCredentials) -> None:
    binding: Binding[Any, Any] = Binding("r", "c", "left", None, {}, {}, credentials.resolve("bmc"))
    assert CANARY not in repr(binding)
    assert binding.secret["password"] == CANARY


WRONG: list[Callable[[str], str]] = [
    lambda text: text.replace('"\n', "\n"),
    lambda text: text + text,
    lambda text: text.replace("=", "= {vault =") + "}",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_in_the_file_is_said_without_it(
    adapters: Adapters, credentials: ProfileCredentials, wrong: Callable[[str], str]
) -> None:
    assert credentials.path is not None
    credentials.path.write_text(wrong(credentials.path.read_text()))
    spec = plan().resources[MACHINE].model_copy(update={"credentials": "bmc"})
    with pytest.raises(Misconfigured) as caught:
        adapters.open(spec)
    error: BaseException | None = caught.value
    while error is not None:
        assert CANARY not in str(error)
        error = error.__cause__
