"""What every journal keeps to: a new one is one subclass of `JournalContract` with its four methods."""

from __future__ import annotations

import multiprocessing
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.errors import JournalUnavailable
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


def _refused(journal: Journal, in_the_same_thread: bool) -> int:
    """How many of three ways to use the journal it refuses."""
    ways: list[Callable[[], object]] = [
        lambda: journal.read("a"),
        lambda: journal.swap(("a", "2", 1)),
        lambda: journal.swap(("new", "1", 0)),
    ]
    refused: list[str] = []

    def use() -> None:
        for way in ways:
            try:
                way()
            except JournalUnavailable as error:
                refused.append(str(error))

    thread = threading.Thread(target=use)
    if in_the_same_thread:
        use()
    else:
        thread.start()
        thread.join()
    assert not any("\n" in line for line in refused), "each tells it in one line"
    return len(refused)


class JournalContract(ABC):
    """`place` is where the store of one test is."""

    @abstractmethod
    def create(self, place: Path) -> Journal:
        """A new, empty journal."""

    @abstractmethod
    def opener(self, place: Path) -> Callable[[], Journal]:
        """What opens the journal that stands there, in another process as well."""

    @abstractmethod
    def lose(self, place: Path) -> None:
        """Nothing of the journal is there any more, as after a lost disk."""

    @abstractmethod
    def replace(self, place: Path) -> None:
        """Another journal, a new one, stands where it was."""

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

    def test_a_hundred_changes_are_one(self, journal: Journal) -> None:
        keys = [f"many/{number}" for number in range(100)]
        assert journal.swap(("last", "1", 0))
        assert not journal.swap(*((key, "x", 0) for key in keys), ("last", "2", 7))
        assert journal.read("many/") == {}
        assert journal.swap(*((key, "x", 0) for key in keys), ("last", "2", 1))
        assert set(journal.read("many/")) == set(keys)

    def test_thousands_of_keys_are_read_as_they_are(self, journal: Journal) -> None:
        keys = [f"audit/{number:05d}" for number in range(2100)]
        for start in range(0, len(keys), 100):
            assert journal.swap(*((key, f"v{key}", 0) for key in keys[start : start + 100]))
        assert journal.read("audit/") == {key: (f"v{key}", 1) for key in keys}

    def test_a_reader_sees_a_swap_whole_or_not_at_all(self, journal: Journal) -> None:
        stop, halves = threading.Event(), []

        def look() -> None:
            while not stop.is_set():
                found = journal.read("pair/")
                if len(set(found.values())) > 1 or len(found) == 1:
                    halves.append(found)

        reader = threading.Thread(target=look)
        reader.start()
        for turn in range(TURNS * 2):
            assert journal.swap(("pair/a", str(turn), turn), ("pair/b", str(turn), turn))
        stop.set()
        reader.join()
        assert halves == []

    def test_what_was_written_is_seen_by_everybody_at_once(self, journal: Journal, tmp_path: Path) -> None:
        other = self.opener(tmp_path)()
        for turn in range(TURNS):
            assert journal.swap(("a", str(turn), turn))
            assert other.read("a") == {"a": (str(turn), turn + 1)}

    def test_what_need_not_be_durable_is_written_all_the_same(self, journal: Journal, tmp_path: Path) -> None:
        assert journal.swap(("a", "1", 0), durable=False)
        assert self.opener(tmp_path)().read("a") == {"a": ("1", 1)}

    @pytest.mark.parametrize("in_the_same_thread", [True, False])
    def test_a_store_lost_while_it_is_open_is_noticed(
        self, journal: Journal, tmp_path: Path, in_the_same_thread: bool
    ) -> None:
        assert journal.swap(("a", "1", 0))
        self.lose(tmp_path)
        assert _refused(journal, in_the_same_thread) == 3
        with pytest.raises(JournalUnavailable, match="tideover init"):
            self.opener(tmp_path)()

    @pytest.mark.parametrize("in_the_same_thread", [True, False])
    def test_a_store_replaced_while_it_is_open_is_noticed(
        self, journal: Journal, tmp_path: Path, in_the_same_thread: bool
    ) -> None:
        assert journal.swap(("a", "1", 0))
        self.replace(tmp_path)
        assert _refused(journal, in_the_same_thread) == 3
        new = self.opener(tmp_path)()
        assert new.id != journal.id
        assert new.read("a") == {}, "nothing was written into it"

    def test_a_store_that_is_not_there_is_not_an_empty_one(self, tmp_path: Path) -> None:
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match="tideover init"):
                self.opener(tmp_path)()

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

    def test_of_many_threads_that_want_one_key_exactly_one_gets_it(self, journal: Journal) -> None:
        for turn in range(10):
            barrier = threading.Barrier(WRITERS)
            won: list[bool] = []

            def race(barrier=barrier, won=won, key=f"k{turn}") -> None:  # type: ignore[no-untyped-def]
                barrier.wait()
                won.append(journal.swap((key, "x", 0), (f"{key}-too", "x", 0)))

            threads = [threading.Thread(target=race) for _ in range(WRITERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(won) == [False] * (WRITERS - 1) + [True]

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
