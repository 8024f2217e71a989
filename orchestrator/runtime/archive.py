"""The records of ended executions, in the journal: a report can be had when Temporal is gone."""

from __future__ import annotations

import json

from pydantic import TypeAdapter

from orchestrator.domain.errors import NotFoundLocally
from orchestrator.domain.record import ExecutionRecord
from orchestrator.ports import Journal
from orchestrator.runtime.decoding import decoded

_RECORDS, _LISTS = "record/", "records/"
_IDS = TypeAdapter(list[str])


def keep(journal: Journal, record: ExecutionRecord) -> str:
    """The record is kept; its name, `<group>-<number>`, is returned. Keeping it twice gives the same name."""
    text, group = record.model_dump_json(), record.plan.group
    while True:
        executions, version = _listed(journal, group)
        if record.execution.id in executions:
            return f"{group}-{executions.index(record.execution.id) + 1}"
        executions.append(record.execution.id)
        numbered = (_key(group, len(executions)), text, 0)
        if journal.swap(numbered, (f"{_LISTS}{group}", json.dumps(executions), version)):
            return f"{group}-{len(executions)}"


def names(journal: Journal, group: str | None = None) -> list[str]:
    """The names of all records, of one group or of every, oldest first within a group."""
    groups = [group] if group else sorted(key.removeprefix(_LISTS) for key in journal.read(_LISTS))
    return [f"{name}-{number + 1}" for name in groups for number in range(len(_listed(journal, name)[0]))]


def find(journal: Journal, name: str) -> ExecutionRecord:
    """The record of this name, or the newest of the group of this name. Raises NotFoundLocally."""
    group, _, number = name.rpartition("-")
    key = _key(group, int(number)) if group and number.isdigit() else ""
    kept = journal.read(key).get(key) if key else None
    if kept is None:
        key = _key(name, len(_listed(journal, name)[0]))
        kept = journal.read(key).get(key)
    if kept is None:
        known = ", ".join(names(journal)[-5:]) or "none yet"
        raise NotFoundLocally(f"there is no record {name!r}; the newest are: {known}")
    return decoded(ExecutionRecord.model_validate_json, key, kept[0])


def _listed(journal: Journal, group: str) -> tuple[list[str], int]:
    """The IDs of the group's kept executions, oldest first, with the version of that list."""
    key = f"{_LISTS}{group}"
    found, version = journal.read(key).get(key, ("[]", 0))
    return decoded(_IDS.validate_json, key, found), version


def _key(group: str, number: int) -> str:
    return f"{_RECORDS}{group}/{number:06d}"
