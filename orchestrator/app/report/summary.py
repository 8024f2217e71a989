"""What stands at the top of every rendering: the title, the outcome, and the few numbers that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.app.report.model import Report, Verdict
from orchestrator.app.report.wording import seconds
from orchestrator.domain.durations import rounded_up
from orchestrator.domain.loss import Loss
from orchestrator.domain.plan import CUTS
from orchestrator.domain.state import End

Tone = Literal["good", "warn", "bad", "plain"]

WHAT = {
    "planned": "Planned switchover",
    "forced": "Forced failover",
    "reprotect": "Reprotection",
    "unfence": "Lifting of a fence",
}

_ENDS: dict[End | None, tuple[str, Tone]] = {
    End.SUCCEEDED: ("Succeeded", "good"),
    End.REFUSED: ("Refused", "warn"),
    End.ROLLED_BACK: ("Rolled back", "warn"),
    End.ABORTED_SAFE: ("Aborted safely", "warn"),
    End.NEEDS_HUMAN: ("Needs a human", "bad"),
    None: ("Not ended", "warn"),
}

TONES: dict[Verdict, Tone] = {
    Verdict.MET: "good",
    Verdict.MISSED: "bad",
    Verdict.UNPROVEN: "warn",
    Verdict.NOT_REACHED: "bad",
    Verdict.NO_OBJECTIVE: "plain",
    Verdict.NOT_APPLICABLE: "plain",
}


@dataclass(frozen=True)
class Number:
    """One of the big numbers: `value`, the `objective` that it is held against, and the verdict on it."""

    label: str
    value: str
    note: str
    verdict: str
    tone: Tone


def title(report: Report) -> str:
    """`demo: left → right`."""
    return f"{report.group}: {report.direction}"


def outcome(report: Report) -> tuple[str, Tone]:
    """How it ended, in words for everybody."""
    return _ENDS[report.end]


def numbers(report: Report) -> tuple[Number, ...]:
    """Time, data, proof and protection, in this order."""
    return _time(report), _data(report), _proof(report), _protection(report)


def _time(report: Report) -> Number:
    found = report.recovery
    value = "—" if found.verdict is Verdict.NOT_APPLICABLE else "not restored"
    if found.achieved is not None:
        value = ("≥ " if found.at_least else "") + seconds(found.achieved)
    note = "no objective is set" if found.target is None else f"objective {seconds(found.target)}"
    if found.achieved is not None and report.end is not End.SUCCEEDED:
        note = f"served at {report.source} again; {note}"
    return Number("Recovery time (RTO)", value, note, found.verdict, TONES[found.verdict])


def _data(report: Report) -> Number:
    found = report.loss
    value = "—" if found.verdict is Verdict.NOT_APPLICABLE else _lost(found.measured)
    return Number(
        "Data lost (RPO)", value, f"objective {_objective(found.target)}", found.verdict, TONES[found.verdict]
    )


def _lost(loss: Loss | None) -> str:
    if loss is None or loss.seconds is None:
        return "unknown"
    return "nothing" if loss.seconds == 0 else f"≤ {seconds(rounded_up(loss.seconds))}"


def _objective(target: float) -> str:
    return seconds(target) if target else "nothing lost"


def _proof(report: Report) -> Number:
    label = "Proof that the other side is off"
    cut = [line for line in report.steps if line.kind in CUTS]
    if not cut or not any(one.attempt for one in report.tries):
        return Number(label, "—", "nothing was cut off", Verdict.NOT_APPLICABLE, "plain")
    proofs = [e for e in report.evidence if e.sufficient and e.step in {line.id for line in cut}]
    if {line.id for line in cut} - {e.step for e in proofs}:
        return Number(label, "none", "it could not be confirmed", "not confirmed", "bad")
    if any(e.strength == "FH" for e in proofs):
        return Number(label, "FH", "two people vouch for it", "attested", "warn")
    weakest = min(proofs, key=lambda e: e.strength)
    latched = ", latched" if all(e.latched for e in proofs) else ""
    return Number(label, weakest.strength, f"read back by what cut it off{latched}", "confirmed", "good")


def _protection(report: Report) -> Number:
    label = "Protection"
    if report.protected:
        return Number(label, "restored", f"{report.target} is a standby again", "protected", "good")
    if report.end is End.SUCCEEDED and report.moves and report.recovery.verdict is not Verdict.NOT_APPLICABLE:
        return Number(label, "no standby", f"until {report.source} is rebuilt", "not protected", "warn")
    if report.end is End.NEEDS_HUMAN:
        return Number(label, "unclear", "a human must look", "unclear", "bad")
    return Number(label, "unchanged", "as it was before", "unchanged", "plain")
