"""Where a secret could have got to: histories, the journal with its reports, and what workers have written (I14)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.e2e.operating import Operation


async def search(operation: Operation, secrets: Iterable[str]) -> list[str]:
    """Each place in which one of `secrets` stands; everything that the operation has left behind is looked through."""
    found = {**_files(operation), **await _histories(operation)}
    return [f"{secret!r} in {place}" for secret in secrets for place, data in found.items() if secret.encode() in data]


def _files(operation: Operation) -> dict[str, bytes]:
    """The journal with its log, the reports and the workers' output; of the files that were given, none."""
    journal = Path(operation.environment["TIDEOVER_JOURNAL"])
    reports = Path(operation.environment["TIDEOVER_REPORTS"])
    places = [*journal.parent.glob(f"{journal.name}*"), *reports.rglob("*"), *operation.logs]
    kept = {f"the journal's {key}": value.encode() for key, (value, _) in operation.journal.read("").items()}
    return {str(path): path.read_bytes() for path in places if path.is_file()} | kept


async def _histories(operation: Operation) -> dict[str, bytes]:
    """Each execution's history as the server keeps it, payloads and all."""
    histories = {}
    for handle in operation.started:
        events = [event.SerializeToString() async for event in handle.fetch_history_events()]
        histories[f"the history of {handle.id}#{handle.run_id}"] = b"".join(events)
    return histories
