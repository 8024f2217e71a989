"""The product's own worker on the toy world, in this process or as one of its own that can be killed.

`python -m tests.workflows.toy.worker <directory> <address> <task queue>`
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from orchestrator.app.journals import open_journal
from orchestrator.app.library import RunbookLibrary
from orchestrator.app.settings import Settings
from orchestrator.app.worker import Composition, build_worker
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.credentials import ProfileCredentials
from tests.workflows.toy.provider import CATALOG


def composition(directory: Path, journal: str | None = None) -> Composition:
    """What a worker is made of, with the toy's catalog in place of all providers'."""
    settings = Settings(
        runbooks=[directory],
        journal=journal or directory / "journal.db",
        credentials=directory / "credentials.toml",
    )
    adapters = Adapters(CATALOG, ProfileCredentials(settings.credentials))
    return Composition(settings, open_journal(settings), adapters, RunbookLibrary([directory], CATALOG))


async def main(directory: str, address: str, task_queue: str) -> None:
    """Works until it is ended."""
    logging.basicConfig(level=logging.INFO)
    _, worker = await build_worker(composition(Path(directory)), address, task_queue)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
