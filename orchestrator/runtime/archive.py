"""The records of ended executions, in the journal: a report can be had when Temporal is gone."""

from __future__ import annotations

from orchestrator.domain.errors import NotFoundLocally
from orchestrator.domain.record import ExecutionRecord
from orchestrator.ports import Journal

_PREFIX = "record/"


def keep(journal: Journal, record: ExecutionRecord) -> str:
    """The record is kept; its name, `<group>-<number>`, is returned. Keeping it twice gives the same name."""
    text, group = record.model_dump_json(), record.plan.group
    while True:
        kept = journal.read(f"{_PREFIX}{group}/")
        for key, (value, _) in kept.items():
            if ExecutionRecord.model_validate_json(value).execution.id == record.execution.id:
                return _name(key)
        key = f"{_PREFIX}{group}/{len(kept) + 1:06d}"
        if journal.swap((key, text, 0)):
            return _name(key)


def names(journal: Journal, group: str | None = None) -> list[str]:
    """The names of all records, of one group or of every, oldest first within a group."""
    return [_name(key) for key in sorted(journal.read(f"{_PREFIX}{group}/" if group else _PREFIX))]


def find(journal: Journal, name: str) -> ExecutionRecord:
    """The record of this name, or the newest of the group of this name. Raises NotFoundLocally."""
    group, _, number = name.rpartition("-")
    kept = journal.read(f"{_PREFIX}{group}/{int(number):06d}") if group and number.isdigit() else {}
    if not kept:
        kept = journal.read(f"{_PREFIX}{name}/")
    if not kept:
        known = ", ".join(names(journal)[-5:]) or "none yet"
        raise NotFoundLocally(f"there is no record {name!r}; the newest are: {known}")
    return ExecutionRecord.model_validate_json(kept[max(kept)][0])


def _name(key: str) -> str:
    group, _, number = key.removeprefix(_PREFIX).partition("/")
    return f"{group}-{int(number)}"
