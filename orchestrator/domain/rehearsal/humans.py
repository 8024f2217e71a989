"""What people say to an execution in a rehearsal: when they are asked, and when they interfere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from orchestrator.domain.admission import refusal
from orchestrator.domain.commands import Abort, Approve, Attest, Command, Escalate, Pause, Retry, Skip
from orchestrator.domain.plan import CUTS
from orchestrator.domain.rehearsal.driving import told
from orchestrator.domain.rehearsal.model import powered
from orchestrator.domain.rehearsal.nature import disturbed
from orchestrator.domain.rehearsal.values import Mission, Rehearsal
from orchestrator.domain.state import ExecutionState, Human

ANOTHER_PLAN = "0" * 12
"""The hash of a plan that is not the one that runs."""


def _human(command: Command, at: float) -> Human:
    return Human(command=command, at=at)


def said(now: Rehearsal, *commands: Command) -> Rehearsal:
    """What of it is admitted has been heard."""
    for command in commands:
        if now.memory.of(_refusal, now.mission, now.state, command) is None:
            now = told(now, _human, command, now.world.clock)
    return now


def _refusal(mission: Mission, state: ExecutionState, command: Command) -> str | None:
    return refusal(mission.plan, state, command)


def approval(mission: Mission, state: ExecutionState) -> Approve | None:
    """The approval that would be admitted now, by one of those who may."""
    if state.waiting:
        return None
    for by, plan, loss in product(_people(mission), _plans(mission), (mission.max_loss, None)):
        approve = Approve(by=by, to=mission.plan.target, plan=plan, max_loss=loss)
        if refusal(mission.plan, state, approve) is None:
            return approve
    return None


def _people(mission: Mission) -> tuple[str, ...]:
    """Who tries to approve, in turn: where the runbook names approvers, strangers first, one with half a name."""
    approvers = [by for names in mission.demands.approvals.values() for by in names]
    return (*(("eve", approvers[0][:2]) if approvers else ()), "ann", *approvers)


def _plans(mission: Mission) -> tuple[str, ...]:
    """What they name as the plan, in turn: another one, none, one that begins alike, and the one that runs."""
    return ANOTHER_PLAN, "", mission.hash[:6], mission.hash


def reacted(now: Rehearsal) -> Rehearsal:
    """The next human has answered what the execution waits for."""
    waiting = now.state.waiting
    assert waiting is not None  # noqa: S101 -- somebody was asked
    name, *later = now.past.reactions
    now = now.since(reactions=tuple(later))
    match name:
        case "retry":
            return said(now, *(Retry(by="ann", step=step) for step in waiting.steps))
        case "skip":
            return said(now, *(Skip(by="ann", step=step, reason="by hand") for step in waiting.steps))
        case "abort":
            return said(now, Abort(by="ann"))
        case "accept":
            to, plan = now.plan.target, now.mission.hash
            return said(now, *(Approve(by=by, to=to, plan=plan, max_loss="1h") for by in _people(now.mission)))
        case "attest":
            return _attested(now)
    raise AssertionError(name)


_WITNESSES = ("ann", "Ann ", "\uff21nn", "bob")
"""The first of them says it three times, in other letters too."""


def _attested(now: Rehearsal) -> Rehearsal:
    """Two people have pulled the plug of what could not be fenced, and say so; of all else they only believe it."""
    waiting = now.state.waiting
    assert waiting is not None  # noqa: S101 -- somebody was asked
    steps = [now.plan.step(name) for name in waiting.steps]
    commands: list[Command] = [
        Attest(by=who, step=step.id, reason="I believe so") for step in steps if step.kind not in CUTS
        for who in _WITNESSES
    ]  # fmt: skip
    for step in steps:
        if step.kind in CUTS and step.component and step.site:
            now = disturbed(now, step.site, powered(now.world, (step.component, step.site), "off"))
            commands += [Attest(by=who, step=step.id, reason="I pulled its plug") for who in _WITNESSES]
    return said(now, *commands)


_INTERFERENCES = (Abort(by="bob"), Pause(by="bob"), Escalate(by="bob"))


def interferences(now: Rehearsal) -> Iterator[Command]:
    """What somebody may say now whom nobody has asked."""
    for command in _INTERFERENCES:
        if now.memory.of(_refusal, now.mission, now.state, command) is None:
            yield command
