"""The worker: does what executions ask for, with the adapters, secrets and journal of this host."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from orchestrator.app.connection import connect, register_search_attributes
from orchestrator.app.holders import Holders
from orchestrator.app.journals import open_journal
from orchestrator.app.library import RunbookLibrary
from orchestrator.app.registry import catalog
from orchestrator.app.settings import Settings
from orchestrator.ports import Journal
from orchestrator.runtime.actor import Actor
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.credentials import ProfileCredentials
from workflows.activities import HEARTBEAT, Activities
from workflows.plugin import TASK_QUEUE, TideoverPlugin

STICKY_TIMEOUT = timedelta(seconds=1)
"""After a worker's death its workflows go to another one after this time; the SDK's default costs 10 s."""


@dataclass(frozen=True)
class Composition:
    """Everything that a worker is made of, from the settings."""

    settings: Settings
    journal: Journal
    adapters: Adapters
    library: RunbookLibrary

    @classmethod
    def of(cls, settings: Settings) -> Composition:
        """Built without any I/O but on the journal. Raises JournalUnavailable where that is missing."""
        found = catalog()
        adapters = Adapters(found, ProfileCredentials(settings.credentials))
        return cls(settings, open_journal(settings), adapters, RunbookLibrary(settings.runbooks, found))

    @property
    def actor(self) -> Actor:
        """What does on this host what the engine asks for."""
        return Actor(self.library, self.adapters, self.journal)


async def build_worker(
    composition: Composition, address: str | None = None, task_queue: str = TASK_QUEUE
) -> tuple[Client, Worker]:
    """A worker that is ready to run, and its client. Raises ServerUnavailable."""
    activities = Activities(composition.actor, Holders(activity.client, composition.journal))
    client = await connect(TideoverPlugin(activities), address)
    await register_search_attributes(client)
    worker = Worker(
        client,
        task_queue=task_queue,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT),
        graceful_shutdown_timeout=timedelta(seconds=5),
    )
    return client, worker
