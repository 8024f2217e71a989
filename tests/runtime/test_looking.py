"""A check's reading of a resource, what the resource sees coming, and a look at what is likely to be dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.app.registry import catalog as real_catalog
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.errors import Unreachable
from orchestrator.domain.state import IsReadable, ReadError
from orchestrator.domain.world import Reading
from orchestrator.ports import Inspected, Resource
from orchestrator.runtime import looking
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.credentials import ProfileCredentials
from tests.domain import runbooks
from tests.runtime.scripted import MACHINE, Switch

HAZARD = "it starts with its machine: tell it not to"


class Foresighted(Switch):
    """A switch that looks ahead: `ahead` is what it sees, or what that raises."""

    ahead: tuple[str, ...] | Exception = (HAZARD,)
    inspected = 0

    def observe(self) -> Reading:
        return super().observe().model_copy(update={"warnings": ("it is hot",)})

    def hazards(self) -> tuple[str, ...]:
        self.inspected += 1
        if isinstance(self.ahead, Exception):
            raise self.ahead
        return self.ahead


class Bound(Foresighted):
    """As a provider's adapter: constructed from a binding."""

    def __init__(self, binding: Any) -> None:  # noqa: ARG002 -- the port's
        super().__init__()


class Quick(Bound):
    """An adapter that knows soon whether anybody is there."""

    def glance(self) -> Reading:
        raise Unreachable("nobody is there")


class Shortsighted(Switch):
    """An adapter that does not look ahead."""

    def __init__(self, binding: Any) -> None:  # noqa: ARG002 -- the port's
        super().__init__()


def warnings(resource: Resource) -> tuple[str, ...]:
    read = looking.read(lambda: resource)
    assert isinstance(read, Reading)
    return read.warnings


def opened(adapter: str) -> Resource:
    """As the runtime opens an adapter of this module."""
    machine = real_catalog().get("fence_agents.machine")
    kind = type(machine)(**{**machine.__dict__, "adapter": f"{__name__}:{adapter}"})
    spec = runbooks.planned(runbooks.runbook(runbooks.SHOP), "forced", "right").resources[MACHINE]
    return Adapters(Catalog(types=(kind,)), ProfileCredentials(None, {})).open(spec)


def test_what_a_resource_sees_coming_is_a_warning_of_the_check() -> None:
    assert warnings(Foresighted()) == ("it is hot", HAZARD)
    assert warnings(Switch()) == ()


def test_it_comes_through_from_an_adapter_that_was_opened() -> None:
    assert warnings(opened("Bound")) == ("it is hot", HAZARD)
    assert warnings(opened("Shortsighted")) == ()


def test_a_look_ahead_that_fails_costs_a_warning_and_no_reading() -> None:
    switch = Foresighted()
    switch.ahead = Unreachable("far: no SSH connection")
    hot, blind = warnings(switch)
    assert (hot, blind.endswith("could not be looked at: far: no SSH connection")) == ("it is hot", True)
    assert (switch.looked, switch.inspected) == (1, 1)


def test_an_unforeseen_error_of_it_is_told_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bound, "ahead", KeyError("s3cret"))
    hot, blind = warnings(opened("Bound"))
    assert hot == "it is hot"
    assert "KeyError at test_looking.py" in blind
    assert "s3cret" not in blind


def test_who_cannot_be_read_is_not_asked_to_look_ahead() -> None:
    def dark() -> Iterator[Exception | None]:
        while True:
            yield Unreachable("dark")

    switch = Foresighted(looks=dark())
    assert isinstance(looking.read(lambda: switch), ReadError)
    assert (switch.looked, switch.inspected) == (looking.READS, 0)


def test_only_a_check_asks_for_it() -> None:
    switch = Foresighted()
    assert isinstance(switch, Inspected)
    reading, _ = looking.look_until(switch, IsReadable(), 1.0, lambda: False)
    assert reading is not None
    assert reading.warnings == ("it is hot",)
    assert switch.inspected == 0


def test_a_glance_is_one_reading_that_the_adapter_gives_up_soon() -> None:
    assert looking.glance(opened("Quick")) == (None, "nobody is there")
    reading, why = looking.glance(opened("Shortsighted"))
    assert reading is not None
    assert why == ""


def test_a_glance_at_who_does_not_answer_is_not_repeated() -> None:
    def dark() -> Iterator[Exception | None]:
        while True:
            yield Unreachable("dark")

    switch = Switch(looks=dark())
    assert looking.glance(switch) == (None, "dark")
    assert switch.looked == 1
