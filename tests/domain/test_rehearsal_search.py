"""How a rehearsal is searched: what is remembered, in which order states are met, and how ways are counted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.outcome import Failed
from orchestrator.domain.rehearsal import memory
from orchestrator.domain.rehearsal.memory import Memory, Whole
from orchestrator.domain.rehearsal.model import Server
from orchestrator.domain.rehearsal.search import Covered, Search
from orchestrator.domain.rehearsal.ways import Circle, Ways
from orchestrator.domain.world import OFF, ON, Holder, Power, Records
from tests.domain.test_engine import scenarios

SMALL = next(scenario for scenario in scenarios() if scenario.small)


# ---- memory

DIFFERENT: list[object] = [
    None, "", "1", 1, 1.0, True, (), ("a",), ("a", "b"), (("a",), "b"), [], frozenset(), frozenset({"a"}), {},
    {"a": "b"}, {"b": "a"}, {"a": "b", "c": "d"}, OFF, ON, Holder(site=None), Holder(site="a"), Failed(why="a"),
    Server("down", 1), Server("down", -1), Server("down", -2), Records(records={"A": ("a", "b")}, ttl=1),
    Records(records={"A": ("a",), "B": ("b",)}, ttl=1),
]  # fmt: skip


def test_only_equal_values_have_the_same_digest() -> None:
    known = Memory()
    assert len({known.digest(value) for value in DIFFERENT}) == len(DIFFERENT)
    assert known.digest(OFF) == known.digest(Power(power="off")) == Memory().digest(Power(power="off"))
    assert known.digest_of(("a", "b")) != known.digest_of(("b", "a"))


def test_what_is_whole_is_equal_to_itself_only() -> None:
    class Thing(Whole):
        pass

    known, one, other = Memory(), Thing(), Thing()
    assert known.digest(one) == known.digest(one) != known.digest(other)


def test_what_has_no_rule_is_refused() -> None:
    with pytest.raises(TypeError, match="no rule for a set"):
        Memory().digest({1})


def test_a_function_of_equal_values_is_asked_once() -> None:
    asked: list[Power] = []

    def turned(power: Power) -> Power:
        asked.append(power)
        return ON if power == OFF else OFF

    known = Memory()
    first = known.of(turned, Power(power="off"))
    assert known.of(turned, Power(power="off")) is first
    assert len(asked) == 1


def explored(room: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Covered, int]:
    monkeypatch.setattr(memory, "ROOM", room)
    begun = SMALL.begun()
    times = 0
    forget = Memory.forget

    def forgotten(self: Memory) -> None:
        nonlocal times
        times += 1
        forget(self)

    monkeypatch.setattr(Memory, "forget", forgotten)
    return Search(begun, 1).run(), times


def test_with_little_room_the_same_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    (much, never), (little, often) = explored(10**9, monkeypatch), explored(200, monkeypatch)
    assert little == much
    assert never == 1, "at the end only"
    assert often > 10, "it did forget"


# ---- ways


def ways(free: Sequence[Sequence[int]], faulty: Sequence[Sequence[int]]) -> Ways:
    made = Ways()
    for _ in free:
        made.add()
    for state, to in enumerate(free):
        made.lead(state, 0, to)
    for state, to in enumerate(faulty):
        made.lead(state, 1, to)
    return made


def test_ways_are_counted_by_their_faults() -> None:
    found = ways(free=[[1], [3], [3], []], faulty=[[2], [2], [], []])
    assert [found.count(faults) for faults in range(3)] == [1, 3, 3]


def test_a_circle_without_a_fault_is_told() -> None:
    with pytest.raises(Circle) as caught:
        ways([[1], [2], [1]], [[], [], []]).count(0)
    assert caught.value.at in (1, 2)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
    """Edges lead to higher numbers only, once each."""
    size = draw(st.integers(1, 8))
    free, faulty = list[list[int]](), list[list[int]]()
    for state in range(size):
        further = list(range(state + 1, size))
        chosen = draw(st.lists(st.sampled_from(further), unique=True)) if further else []
        free.append(chosen)
        left = [to for to in further if to not in chosen]
        faulty.append(draw(st.lists(st.sampled_from(left), unique=True)) if left else [])
    return free, faulty


@given(graphs(), st.integers(0, 3))
def test_as_many_ways_as_are_found_by_walking_them(graph: tuple[list[list[int]], list[list[int]]], faults: int) -> None:
    free, faulty = graph

    def walked(state: int, left: int) -> int:
        ahead = [walked(to, left) for to in free[state]]
        ahead += [walked(to, left - 1) for to in faulty[state]] if left else []
        return sum(ahead) or 1

    assert ways(free, faulty).count(faults) == walked(0, faults)
