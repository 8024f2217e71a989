"""The one contract that every resource of every provider keeps, over its real protocol.

A provider's test file subclasses `ResourceContract` once for each resource and wanted state, and gives it a `harness`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from orchestrator.domain.errors import GuardRefused, ProviderError, WrongIdentity
from orchestrator.domain.world import Reading, State
from orchestrator.ports import Resource
from tests.providers.frozen import FrozenContract


class HasResource(Protocol):
    """A harness whose resource can stand aside for another one."""

    resource: Any


class Harness(Protocol):
    """A resource under test and other means than its adapter to look at, reset and cut off its world."""

    resource: Resource
    start: State  # what the world shows when a test begins
    goal: State  # what `apply` is asked for
    secrets: Sequence[str]  # canaries that must never be shown

    def look(self) -> State:
        """The state (of the goal's kind) as the world has it, read without the adapter."""
        ...

    def picture(self) -> object:
        """All that other means tell of the world, down to the changes that it was asked for."""
        ...

    def cut(self) -> AbstractContextManager[None]:
        """While inside, the far side does not answer. Proves by itself that the cut works (positive control)."""
        ...


@contextmanager
def impatient(harness: HasResource, resource: Resource) -> Iterator[None]:
    """While inside, the harness has this resource: one that waits briefly, for a world in which nobody answers."""
    patient, harness.resource = harness.resource, resource
    try:
        yield
    finally:
        harness.resource = patient


class RecordedCall:
    """A Call whose guard passes `allowed` times and then refuses."""

    def __init__(self, allowed: int = 1_000, remaining: float = 30.0) -> None:
        self.allowed, self.guards, self.tokens = allowed, 0, []
        self._deadline = time.monotonic() + remaining
        self.went_through = False

    tokens: list[str]

    def guard(self) -> None:
        self.guards += 1
        if self.guards > self.allowed:
            msg = "refused by the test"
            raise GuardRefused(msg)

    def accepted(self) -> None:
        self.went_through = True

    def checkpoint(self, token: str) -> None:
        self.tokens.append(token)

    @property
    def remaining(self) -> float:
        return max(0.0, self._deadline - time.monotonic())


def settle(resource: Resource, goal: State, within: float = 30.0) -> Reading:
    """The first reading that satisfies `goal`; fails with the last reading or error."""
    deadline, last = time.monotonic() + within, "nothing was read"
    while time.monotonic() < deadline:
        try:
            reading = resource.observe()
        except ProviderError as error:
            last = f"{type(error).__name__}: {error}"
        else:
            if reading.satisfies(goal):
                return reading
            last = str(reading)
        time.sleep(0.05)
    pytest.fail(f"{goal} was not read back within {within} s; last: {last}")


class ResourceContract(FrozenContract):
    """What holds for every resource. Subclasses provide the fixture `harness`, and say what they cover."""

    def test_observe_tells_what_the_world_is(self, harness: Harness) -> None:
        reading = harness.resource.observe()
        assert reading.state(harness.start.kind) == harness.start == harness.look()
        assert reading.authority

    def test_observe_changes_nothing(self, harness: Harness) -> None:
        for _ in range(3):
            harness.resource.observe()
        assert harness.look() == harness.start

    def test_apply_makes_it_so_and_it_is_read_back(self, harness: Harness) -> None:
        call = RecordedCall()
        harness.resource.apply(harness.goal, harness.resource.observe(), call)
        settle(harness.resource, harness.goal)
        assert harness.look() == harness.goal
        assert call.guards >= 1, "no guard stood before the request"

    def test_a_second_apply_is_harmless(self, harness: Harness) -> None:
        harness.resource.apply(harness.goal, harness.resource.observe(), RecordedCall())
        again = settle(harness.resource, harness.goal)
        harness.resource.apply(harness.goal, again, RecordedCall())
        settle(harness.resource, harness.goal)
        assert harness.look() == harness.goal

    def test_a_refusing_guard_lets_nothing_through(self, harness: Harness) -> None:
        with pytest.raises(GuardRefused):
            harness.resource.apply(harness.goal, harness.resource.observe(), RecordedCall(allowed=0))
        assert harness.look() == harness.start

    def test_a_far_side_that_does_not_answer_is_an_error_and_never_a_state(self, harness: Harness) -> None:
        with harness.cut(), pytest.raises(ProviderError) as caught:
            harness.resource.observe()
        assert "\n" not in str(caught.value)

    def test_no_secret_is_shown(self, harness: Harness) -> None:
        shown = [repr(harness.resource), harness.resource.observe().model_dump_json()]
        with harness.cut(), pytest.raises(ProviderError) as caught:
            harness.resource.observe()
        shown.append(repr(caught.value))
        for secret in harness.secrets:
            assert not [text for text in shown if secret in text]


# ---- identity before destruction


@dataclass(frozen=True)
class Mistaken:
    """A resource that reaches another one than is meant. `seen`: what the check had read of the one that is.

    `goal`: what would destroy it; `look`: the state of the one that is reached, read without the adapter.
    """

    resource: Resource
    seen: Reading
    goal: State
    look: Callable[[], State]


class IdentityContract:
    """What holds for every resource that can cut something off. Subclasses provide the fixture `mistaken`."""

    def test_another_one_than_is_meant_is_refused_and_nothing_is_requested_of_it(self, mistaken: Mistaken) -> None:
        before, call = mistaken.look(), RecordedCall()
        with pytest.raises(WrongIdentity) as caught:
            mistaken.resource.apply(mistaken.goal, mistaken.seen, call)
        assert caught.value.surely_not_done
        assert "\n" not in str(caught.value)
        assert call.guards == 0, "a guard is the last statement before a request"
        assert mistaken.look() == before != mistaken.goal

    def test_it_is_not_read_as_the_one_that_is_meant(self, mistaken: Mistaken) -> None:
        """Where it can be read at all, by an identity that no attempt takes for the other's (`domain/ensure`)."""
        try:
            read = mistaken.resource.observe()
        except WrongIdentity:
            return
        assert None not in (read.identity, mistaken.seen.identity)
        assert read.identity != mistaken.seen.identity
