"""A rehearsal for people: what was covered, and the story of what breaks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from orchestrator.app.rehearsed import Rehearsed, counted
from orchestrator.domain.rehearsal.scenarios import ACCEPTED, LEAVES_OUT
from orchestrator.domain.rehearsal.search import Counterexample, Covered

_ASSUMED = (
    "After an end, or a termination anywhere: forced the same way, forced back, reprotect and failback, or unfence.",
    f"Humans retry once, then abort; the loss that they accept in a forced failover is {ACCEPTED}.",
    "Where no fence device answers, two people first pull the plug of what could not be fenced, and vouch for it.",
)


@dataclass
class View:
    """Filled scenario by scenario, then printed."""

    runbook: str
    faults: int
    _covered: list[tuple[Rehearsed, Covered]] = field(default_factory=list)
    _broken: list[tuple[Rehearsed, Counterexample]] = field(default_factory=list)

    def add(self, scenario: Rehearsed) -> None:
        """One more that was searched."""
        if isinstance(scenario.found, Counterexample):
            self._broken.append((scenario, scenario.found))
        else:
            self._covered.append((scenario, scenario.found))

    @property
    def broken(self) -> bool:
        """True where a scenario breaks an invariant."""
        return bool(self._broken)

    @property
    def verdict(self) -> str:
        """One line."""
        if self._broken:
            some = f"{len(self._broken)} of {len(self._broken) + len(self._covered)} scenarios"
            return f"{self.runbook}: BROKEN in {some}, by {counted(min(c.faults for _, c in self._broken))}"
        return f"{self.runbook}: checked up to {counted(self.faults)} in this model, and nothing breaks"

    def text(self) -> str:
        """For a terminal."""
        parts = [self.verdict, ""]
        for scenario, covered in self._covered:
            parts += [f"  {scenario.name}", f"    {_counts(covered)}", f"    {_ends(covered.ends)}"]
        for scenario, found in self._broken:
            parts += ["", f"  {scenario.name}: {found.broken}", *(f"    {n:2}. {s}" for n, s in _story(found))]
        parts += ["", *_ASSUMED, "The model leaves out:"]
        return "\n".join([*parts, *(f"  - {thing}" for thing in LEAVES_OUT)])

    def markdown(self) -> str:
        """For a pull request."""
        parts = [f"### {self.verdict}", "", "| first execution | source | calls | states | schedules | ends |",
                 "|---|---|---:|---:|---:|---|"]  # fmt: skip
        for scenario, c in self._covered:
            parts.append(f"| {scenario.execution} | {scenario.source} | {c.calls:,} | {c.states:,} | {c.schedules:,} "
                         f"| {_ends(c.ends)} |")  # fmt: skip
        for scenario, found in self._broken:
            parts += ["", f"**{scenario.name}: {found.broken}** ({counted(found.faults)})", ""]
            parts += [f"{n}. {step}" for n, step in _story(found)]
        parts += ["", *_ASSUMED, "The model leaves out:", ""]
        return "\n".join([*parts, *(f"- {thing}" for thing in LEAVES_OUT)])

    def json(self) -> str:
        """For a program."""
        covered = [{"execution": s.execution, "source": s.source, **vars(c)} for s, c in self._covered]
        broken = [{"execution": s.execution, "source": s.source, "broken": c.broken, "faults": c.faults,
                   "story": c.story} for s, c in self._broken]  # fmt: skip
        said = {"runbook": self.runbook, "faults": self.faults, "verdict": self.verdict, "leaves_out": LEAVES_OUT}
        return json.dumps({**said, "covered": covered, "broken": broken}, indent=2)


def _counts(covered: Covered) -> str:
    return f"{covered.calls:,} calls, {covered.states:,} states, {covered.schedules:,} schedules"


def _ends(ends: Counter[str]) -> str:
    return ", ".join(f"{end} {count:,}" for end, count in sorted(ends.items()))


def _story(found: Counterexample) -> list[tuple[int, str]]:
    return list(enumerate(found.story, start=1))
