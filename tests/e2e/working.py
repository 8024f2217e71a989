"""A worker as it is run in production, in a process of its own: `python -m tests.e2e.working <address> <task queue>`.

Everything else that it must know stands in its environment. It is the product's own worker; only the queue is given,
so that scenarios that run at once on one Temporal server do not work for each other.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from orchestrator.app.settings import load
from orchestrator.app.worker import Composition, build_worker


async def main(address: str, task_queue: str) -> None:
    """Works until it is ended."""
    logging.basicConfig(level=logging.INFO)
    _, worker = await build_worker(Composition.of(load()), address, task_queue)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
