"""Whether the objectives were met, as the report judges them."""

from __future__ import annotations

from orchestrator.app.journals import open_journal
from orchestrator.app.report import build
from orchestrator.app.report.model import Verdict
from orchestrator.app.settings import Settings
from orchestrator.domain.durations import show
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.record import ExecutionRecord
from orchestrator.runtime import archive


def missed(record: ExecutionRecord) -> tuple[str, ...]:
    """Each objective that was missed, or that cannot be shown to be met; one line each."""
    report = build(record)
    found, lost = report.recovery, report.loss
    lines = []
    if found.verdict is Verdict.MISSED and found.achieved is not None and found.target is not None:
        lines.append(f"RTO {show(found.target)}: served again after {show(round(found.achieved, 1))}")
    if lost.verdict in (Verdict.MISSED, Verdict.UNPROVEN):
        lines.append(f"RPO {show(lost.target)}: {lost.measured or 'the loss was not measured'}")
    return tuple(lines)


def missed_by(name: str, settings: Settings) -> tuple[str, ...]:
    """As `missed`, for the record of this name; empty where the journal cannot be had here."""
    try:
        return missed(archive.find(open_journal(settings), name))
    except TideoverError:
        return ()
