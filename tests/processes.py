"""What the system tells of a process: whether any of it runs."""

from __future__ import annotations

from pathlib import Path


def stands_still(pid: int) -> bool:
    """Every thread of the process is stopped, or gone."""
    return all(_state(task) in "TZX" for task in Path(f"/proc/{pid}/task").glob("*/stat"))


def is_frozen(pid: int) -> bool:
    """The process lives, and every thread of it is stopped."""
    return _state(Path(f"/proc/{pid}/stat")) == "T" and stands_still(pid)


def _state(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
