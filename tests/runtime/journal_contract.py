"""What every journal keeps to: a new one is one subclass of `JournalContract` with its two methods."""

from __future__ import annotations

import multiprocessing
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.ports import Journal

WRITERS = 4
TURNS = 25


def count_up(journal: Journal, key: str, turns: int) -> None:
    """`turns` more than before stand under the key, whoever else counts."""
    for _ in range(turns):
        while True:
            found = journal.read(key).get(key)
            value, version = (int(found[0]), found[1]) if found else (0, 0)
            if journal.swap((key, str(value + 1), version)):
                break


class JournalContract(ABC):
    """`place` is where the store of one test is."""

    @abstractmethod
    def create(self, place: Path) -> Journal:
        """A new, empty journal."""

    @abstractmethod
    def opener(self, place: Path) -> Callable[[], Journal]:
        """What opens the journal that stands there, in another process as well."""

    @pytest.fixture
    def journal(self, tmp_path: Path) -> Journal:
        return self.create(tmp_path)

    def test_its_identity_stays(self, journal: Journal, tmp_path: Path) -> None:
        assert journal.id
        assert self.opener(tmp_path)().id == journal.id

    def test_two_journals_are_two(self, journal: Journal, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        assert self.create(other).id != journal.id

    def test_creating_it_again_keeps_it(self, journal: Journal, tmp_path: Path) -> None:
        journal.swap(("a", "1", 0))
        again = self.create(tmp_path)
        assert (again.id, again.read("a")) == (journal.id, {"a": ("1", 1)})

    def test_a_key_is_written_once_and_versions_rise(self, journal: Journal) -> None:
        assert journal.swap(("a", "1", 0))
        assert not journal.swap(("a", "2", 0)), "it exists"
        assert journal.swap(("a", "2", 1))
        assert not journal.swap(("a", "3", 1)), "somebody was faster"
        assert journal.read("a") == {"a": ("2", 2)}

    def test_a_version_that_never_was_is_refused(self, journal: Journal) -> None:
        assert not journal.swap(("a", "1", 7))
        assert journal.read("a") == {}

    def test_several_changes_are_made_all_or_none(self, journal: Journal) -> None:
        journal.swap(("a", "1", 0))
        assert not journal.swap(("b", "1", 0), ("a", "2", 9), ("c", "1", 0))
        assert {key: value for key, (value, _) in journal.read("").items() if key in "abc"} == {"a": "1"}
        assert journal.swap(("b", "1", 0), ("a", "2", 1), ("c", "1", 0))
        assert [journal.read(key)[key][0] for key in "abc"] == ["2", "1", "1"]

    def test_after_a_refusal_it_goes_on(self, journal: Journal) -> None:
        assert not journal.swap(("a", "1", 1))
        assert journal.swap(("a", "1", 0))

    def test_a_prefix_finds_its_keys_and_no_others(self, journal: Journal) -> None:
        for key in ("group/shop", "group/shop-2", "group/shoq", "groups", "group/shop/ü", "group/shop\U0001f600"):
            journal.swap((key, "x", 0))
        found = set(journal.read("group/shop"))
        assert found == {"group/shop", "group/shop-2", "group/shop/ü", "group/shop\U0001f600"}
        assert journal.read("nothing/") == {}

    @pytest.mark.parametrize("value", ["", "ü\U0001f600", "a\nb", "'; DROP TABLE entries; --", "x" * 1_000_000])
    def test_any_text_comes_back_as_it_was(self, journal: Journal, value: str) -> None:
        assert journal.swap(("k'\"", value, 0))
        assert journal.read("k'\"") == {"k'\"": (value, 1)}

    def test_it_is_there_for_the_next_one_that_opens_it(self, journal: Journal, tmp_path: Path) -> None:
        journal.swap(("a", "1", 0))
        assert self.opener(tmp_path)().read("a") == {"a": ("1", 1)}

    def test_no_write_of_many_threads_is_lost(self, journal: Journal) -> None:
        threads = [threading.Thread(target=count_up, args=(journal, "n", TURNS)) for _ in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert journal.read("n") == {"n": (str(WRITERS * TURNS), WRITERS * TURNS)}

    def test_no_write_of_many_processes_is_lost(self, journal: Journal, tmp_path: Path) -> None:
        opener = self.opener(tmp_path)
        processes = [
            multiprocessing.get_context("fork").Process(target=lambda: count_up(opener(), "n", TURNS))
            for _ in range(WRITERS)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * WRITERS
        assert journal.read("n") == {"n": (str(WRITERS * TURNS), WRITERS * TURNS)}

    def test_of_two_processes_that_want_one_key_exactly_one_gets_it(self, journal: Journal, tmp_path: Path) -> None:
        opener, context = self.opener(tmp_path), multiprocessing.get_context("fork")
        for turn in range(5):
            barrier, won = context.Barrier(WRITERS), context.Queue()

            def race(barrier=barrier, won=won, key=f"k{turn}") -> None:  # type: ignore[no-untyped-def]
                own = opener()
                barrier.wait()
                won.put(own.swap((key, "x", 0)))

            processes = [context.Process(target=race) for _ in range(WRITERS)]
            for process in processes:
                process.start()
            assert sorted(won.get() for _ in processes) == [False] * (WRITERS - 1) + [True]
            for process in processes:
                process.join()
        assert len(journal.read("k")) == 5
