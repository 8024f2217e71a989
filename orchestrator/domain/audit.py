"""What is kept elsewhere of the audit trail: where its chain ended at some time (I12)."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.domain.base import Frozen


class Checkpoint(Frozen):
    """The end of the chain as it once was. `journal`: the journal's identity; `at`: seconds since the epoch."""

    journal: str
    number: int
    hash: str
    at: float

    def __str__(self) -> str:
        return f"the checkpoint of {datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
