"""Stores the histories in tests/workflows/histories anew, one for each execution of each scenario.

`python -m tests.workflows.recording`
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from orchestrator.app.temporal_binary import find_binary
from orchestrator.app.temporal_server import EmbeddedServer, ServerOptions, start_embedded
from tests.workflows import scenarios
from tests.workflows.conftest import staged
from workflows import search_attributes

HISTORIES = Path(__file__).parent / "histories"


async def main() -> None:
    """Every history is written."""
    shutil.rmtree(HISTORIES, ignore_errors=True)
    HISTORIES.mkdir()
    async with start_embedded(find_binary(print), ServerOptions(search_attributes=search_attributes.ALL)) as server:
        for name in scenarios.ALL:
            await record(server, name)


async def record(server: EmbeddedServer, name: str) -> None:
    """The histories of one scenario, without what Temporal's own parts note for themselves."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as monkeypatch:
        stage = await staged(Path(directory), server.address, monkeypatch)
        async with stage.worker():
            handles = await scenarios.ALL[name](stage)
        for number, handle in enumerate(handles, 1):
            history = json.loads((await handle.fetch_history()).to_json())
            for event in history["events"]:
                _without_identities(event)
            (HISTORIES / f"{name}-{number}.json").write_text(json.dumps(history, separators=(",", ":")) + "\n")
            print(f"{name}-{number}: {len(history['events'])} events")  # noqa: T201 -- a script says what it does


def _without_identities(value: object) -> None:
    """Hosts and processes do not belong into what is stored."""
    if isinstance(value, dict):
        value.pop("identity", None)
        if value.get("kind") == "TASK_QUEUE_KIND_STICKY":
            value["name"] = "sticky"
        for inner in value.values():
            _without_identities(inner)
    elif isinstance(value, list):
        for inner in value:
            _without_identities(inner)


if __name__ == "__main__":
    asyncio.run(main())
