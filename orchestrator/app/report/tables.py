"""The report's tables as plain cells: Markdown and HTML render the same ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.app.report.model import EvidenceLine, Found, PhaseName, Position, Report, Try
from orchestrator.app.report.wording import exact, loss_text, moment, precise, seconds

Row = tuple[str, ...]

_MEANING: dict[tuple[PhaseName, PhaseName | None], str] = {
    ("detect", "decide"): "last sign of life of the old primary → start",
    ("decide", "act"): "start → approval, with the checks",
    ("decide", "undo"): "start → putting back",
    ("decide", None): "start → the end: nobody approved",
    ("act", "verify"): "approval → every change done, clients pointed there",
    ("act", "undo"): "approval → putting back",
    ("act", None): "approval → the end, with changes not done",
    ("verify", None): "every change done → verified, the end",
    ("undo", None): "putting back → the end",
}
"""What a phase runs from and to, by its name and that of the one after it."""


@dataclass(frozen=True)
class Table:
    """`columns`, and as many cells in each row. `code`: columns that hold identifiers; `empty`: said without rows.

    A table with neither is left out.
    """

    title: str
    columns: Row
    rows: tuple[Row, ...]
    code: frozenset[int] = frozenset()
    empty: str = "None."
    note: str = ""


def meanings(report: Report) -> tuple[str, ...]:
    """From what to what each phase runs."""
    names = [phase.name for phase in report.recovery.phases]
    return tuple(_MEANING[name, after] for name, after in zip(names, [*names[1:], None], strict=True))


def phases(report: Report) -> Table:
    """The RTO split; its seconds add up."""
    rows = [
        (phase.name, meaning, exact(phase.seconds), "yes" if phase.outage else "no")
        for phase, meaning in zip(report.recovery.phases, meanings(report), strict=True)
    ]
    total = [("outage", "the sum of what counts", exact(outage(report)), "")] if report.moves else []
    return Table("Time", ("phase", "from → to", "lasted", "counts as outage"), (*rows, *total))


def outage(report: Report) -> float:
    """Seconds of the phases that count."""
    return sum(phase.seconds for phase in report.recovery.phases if phase.outage)


def losses(report: Report) -> Table:
    """Shown, accepted and measured."""
    loss = report.loss
    accepted = "not asked" if loss.accepted is None else seconds(loss.accepted)
    rows = (
        ("objective (RPO)", seconds(loss.target) if loss.target else "nothing lost"),
        ("shown at the approval", loss_text(loss.shown)),
        ("accepted", accepted),
        ("measured after the old primary was cut off", loss_text(loss.measured)),
    )
    return Table("Data", ("loss", "amount"), rows)


def positions(report: Report) -> Table:
    """Where the logs stood."""
    columns = ("database", "old primary: last known", "told by", "standby: received", "replayed", "new primary")
    rows = tuple(_position(one) for one in report.loss.positions)
    return Table("Positions in the log", columns, rows, frozenset({1, 3, 4, 5}), "No database is moved.")


def _position(one: Position) -> Row:
    old = f"{one.last_known or 'unknown'}{_timeline(one.timeline_before)}"
    new = f"{one.promoted}{_timeline(one.timeline_promoted)}" if one.promoted else "not promoted"
    name = f"{one.component}: {one.source} → {one.target}"
    return name, old, one.last_known_by, one.received or "unknown", one.replayed or "unknown", new


def _timeline(number: int | None) -> str:
    return "" if number is None else f" on timeline {number}"


def decisions(report: Report) -> Table:
    """Who said what. A claim is marked as one."""
    rows = tuple(
        (
            precise(one.at),
            one.by if one.authenticated else f"{one.by} (UNAUTHENTICATED)",
            one.command,
            one.about,
            (one.plan or "")[:12],
            "" if one.max_loss is None else seconds(one.max_loss),
        )
        for one in report.decisions
    )
    columns = ("at (UTC)", "who", "said", "about", "plan", "largest loss accepted")
    return Table("Decisions", columns, rows, frozenset({4}), "Nobody said anything.")


def evidence(report: Report) -> Table:
    """What shows each state, and how far it carries."""
    columns = ("step", "state", "strength", "says who", "asked (UTC)", "read (UTC)", "identity")
    note = (
        "F0 requested, F1 accepted by the API, F2 read back by the authority that did it after it had accepted, "
        "F3 from two that share nothing, FH humans vouch for it. Latched: it cannot come back writable by itself."
    )
    return Table("Evidence", columns, tuple(_evidence(one) for one in report.evidence), frozenset({0, 6}), note=note)


def _evidence(one: EvidenceLine) -> Row:
    strength = f"{one.strength}{', latched' if one.latched else ''}{'' if one.sufficient else ', NOT ENOUGH'}"
    said_by = " and ".join(one.attested_by) or one.authority
    weak = "" if one.authoritative or one.attested_by else " (not the one that cuts)"
    return one.step, one.state, strength, f"{said_by}{weak}", _asked(one), precise(one.read_at), one.identity or ""


def _asked(one: EvidenceLine) -> str:
    if one.requested_at is not None:
        return precise(one.requested_at)
    return "attested" if one.attested_by else "was so already" if one.changed is False else "only read"


def attempts(report: Report) -> Table:
    """Every try, the failed and the unknown ones too."""
    columns = ("began (UTC)", "step", "attempt", "wanted", "lasted", "ended", "said")
    return Table("Attempts", columns, tuple(_attempt(one) for one in report.tries), frozenset({1, 2}))


def _attempt(one: Try) -> Row:
    name = f"undo {one.step}" if one.undo else one.step
    wanted = f"{one.resource}: {one.desired}" if one.desired else one.resource
    lasted = "" if one.ended is None else exact(one.ended - one.began)
    ended = "not enough" if one.insufficient else one.outcome
    return precise(one.began), name, (one.attempt or "look").partition(" ")[0], wanted, lasted, ended, one.said


def undos(report: Report) -> Table:
    """What was put back."""
    rows = tuple((one.step, one.resource, one.state, str(one.status), one.said) for one in report.undos)
    columns = ("step", "resource", "back to", "status", "said")
    return Table("Put back", columns, rows, frozenset({0, 1}), "")


def findings(report: Report) -> Table:
    """What the checks said to the approver."""
    rows = tuple((one.level, one.component, one.site or "", one.text) for one in report.findings)
    return Table(
        "Findings of the checks", ("it", "component", "site", "finding"), rows, empty="The checks found nothing."
    )


def found(report: Report) -> Table:
    """What the checks read."""
    columns = ("resource", "state", "says who", "identity", "log")
    return Table("What the checks read", columns, tuple(_found(one) for one in report.found), frozenset({0, 3, 4}))


def _found(one: Found) -> Row:
    return one.resource, one.error or one.states or "no state", one.authority, one.identity or "", one.position or ""


def doubts(report: Report) -> Table:
    """Requests that may still take effect."""
    rows = tuple((moment(d.at), d.request, d.attempt, "yes" if d.inherited else "no") for d in report.doubts)
    columns = ("asked", "request", "attempt", "from an earlier execution")
    return Table("Still in doubt", columns, rows, frozenset({2}), "Nothing is in doubt.")


def steps(report: Report) -> Table:
    """The plan, with what became of each step."""
    rows = tuple(
        (one.id, one.summary, ", ".join(one.after), str(one.status), str(one.tries), one.said) for one in report.steps
    )
    return Table("Plan", ("step", "what", "after", "status", "tries", "said"), rows, frozenset({0, 2}))


def provenance(report: Report) -> Table:
    """What leads back to what was approved."""
    of = report.provenance
    rows = (
        ("execution", of.execution),
        ("epoch", "the group was never claimed" if of.epoch is None else str(of.epoch)),
        ("plan", of.plan_hash),
        ("plan, in full", of.plan_digest),
        ("derivation", of.derivation),
        ("runbook digest", of.runbook_digest),
        ("journal", of.journal),
    )
    return Table("Provenance", ("what", "value"), rows, frozenset({1}))


DETAILS: tuple[Callable[[Report], Table], ...] = (
    decisions, positions, losses, attempts, undos, doubts, findings, found, steps, provenance,
)  # fmt: skip
"""What follows after time and evidence, in this order."""
