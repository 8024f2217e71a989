"""Where a worker stands still until it is told to go on: files in a folder, which both sides see.

`<step>.<moment>` is a stop that is set. The first worker that comes there renames it to `<name>.<pid>`, waits for
`<name>.go`, and leaves `<name>.left` when it is through with the step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

POLL = 0.005
FOLDER = "TIDEOVER_TEST_STOPS"
"""The variable that tells a worker the folder."""


@dataclass(frozen=True)
class Stop:
    """A stop as the one sees it who has set it."""

    folder: Path
    name: str

    def reached_by(self) -> int | None:
        """The process that stands there, or stood; None while none has come."""
        found = [path.suffix[1:] for path in self.folder.glob(f"{self.name}.*") if path.suffix[1:].isdigit()]
        return int(found[0]) if found else None

    def go(self) -> None:
        """Whoever stands there goes on."""
        (self.folder / f"{self.name}.go").touch()

    @property
    def left(self) -> bool:
        """Who stood there is through with the step."""
        return (self.folder / f"{self.name}.left").exists()


@dataclass(frozen=True)
class Stops:
    """The stops of one lab."""

    folder: Path

    def set(self, step: str, moment: str) -> Stop:
        """The next worker that comes to this moment of the step stands still there."""
        stop = Stop(self.folder, f"{step}.{moment}")
        for old in self.folder.glob(f"{stop.name}*"):  # of an earlier execution
            old.unlink()
        (self.folder / stop.name).touch()
        return stop

    def clear(self) -> None:
        """Nobody stands still any more, and nobody will."""
        for path in self.folder.iterdir():
            if path.suffix[1:].isdigit():
                Stop(self.folder, path.stem).go()
            elif path.suffix not in (".go", ".left"):
                path.unlink(missing_ok=True)


@dataclass
class Visit:
    """A worker's way through one step."""

    folder: Path
    step: str
    _stood: list[str] = field(default_factory=list)

    def at(self, moment: str) -> None:
        """Stand still here, where a stop is set."""
        name = f"{self.step}.{moment}"
        try:
            (self.folder / name).rename(self.folder / f"{name}.{os.getpid()}")
        except FileNotFoundError:
            return
        self._stood.append(name)
        while not (self.folder / f"{name}.go").exists():
            time.sleep(POLL)

    @classmethod
    @contextmanager
    def to(cls, folder: Path, step: str) -> Iterator[Visit]:
        """The step from its beginning to its end, also where it ends with an error."""
        visit = cls(folder, step)
        visit.at("begun")
        try:
            yield visit
        finally:
            visit.at("ended")
            for name in visit._stood:
                (folder / f"{name}.left").touch()
