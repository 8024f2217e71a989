"""Who approves an execution that is followed: a hash given beforehand, or a person at the terminal."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.app import plan_view
from orchestrator.app.cli import what_next
from orchestrator.app.cli.display import findings
from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.app.cli.terminal import err
from orchestrator.app.executions import CommandRefused, Executions, Handle
from orchestrator.domain.admission import loss_to_accept, more_to_accept
from orchestrator.domain.commands import Abort
from orchestrator.domain.durations import show
from orchestrator.domain.plan import CHANGES, Plan
from orchestrator.domain.state import ExecutionState
from workflows.messages import Snapshot


class Approver(Protocol):
    """Answers an execution that waits for an approval."""

    @property
    def asks(self) -> bool:
        """True where a person is asked on the screen."""

    async def answer(self, executions: Executions, handle: Handle, seen: Snapshot) -> None:
        """The approval was given, or is left to others. Raises Stopped where it was refused."""


@dataclass
class ByHash:
    """Approves once, where the plan is the one that was named; else the execution is ended before it began."""

    plan: str
    by: str
    max_loss: float | None = None
    asks: bool = field(default=False, init=False)
    _given: bool = field(default=False, init=False)

    async def answer(self, executions: Executions, handle: Handle, seen: Snapshot) -> None:
        """The approval was taken. Raises Stopped with what stood against it."""
        if self._given or seen.plan is None:
            return
        self._given = True
        try:
            await executions.say(handle, what_next.approve(self.by, seen.plan, self.max_loss, self.plan))
        except CommandRefused as refused:
            await executions.say(handle, Abort(by=self.by, reason=f"the approval was refused: {refused}"))
            raise Stopped(ExitCode.NOT_APPROVED, f"not approved, nothing was changed: {refused}") from None


@dataclass
class Asking:
    """Shows what is asked and takes the target site's name, typed out, for a yes; with the loss that is to be accepted,
    where that is more than what was named."""

    by: str
    max_loss: float | None = None
    asks: bool = field(default=True, init=False)

    async def answer(self, executions: Executions, handle: Handle, seen: Snapshot) -> None:
        """The approval was taken, here or elsewhere."""
        plan, state = seen.plan, seen.state
        if plan is None or state is None:
            return
        asked = question(plan, state, self.max_loss)
        show_question(plan, state, asked)
        elsewhere = asyncio.ensure_future(_no_longer_asked(executions, handle))
        try:
            while (typed := await _typed_before(elsewhere)) is not None:
                if not asked.answered_by(typed):
                    err().print(f" That is not [bold]{asked.answer}[/]. Type it to approve, or press Ctrl-C to leave.")
                    continue
                try:
                    await executions.say(handle, what_next.approve(self.by, plan, asked.accepted))
                except CommandRefused as refused:
                    raise Stopped(ExitCode.NOT_APPROVED, f"not approved: {refused}") from None
                return
        finally:
            elsewhere.cancel()


@dataclass(frozen=True)
class Question:
    """What a person is asked. `answer`: what is typed for a yes. `accepted`: the loss in seconds that it accepts.

    `before`: the loss that was accepted so far, where it is not enough: nobody accepts more than that unnamed (I3).
    """

    answer: str
    accepted: float | None
    before: float | None = None

    def answered_by(self, line: str) -> bool:
        """True where the line says yes."""
        return line.split() == self.answer.split()


def question(plan: Plan, state: ExecutionState, named: float | None) -> Question:
    """What is asked now. `named`: the loss that the person who is asked has named already."""
    if more := more_to_accept(plan, state, named):
        before, accepted = more
        return Question(f"{plan.target} --max-loss {show(accepted)}", accepted, before)
    return Question(plan.target, loss_to_accept(plan, state) if named is None else named)


def show_question(plan: Plan, state: ExecutionState, asked: Question, leaving: str = "leave it waiting") -> None:
    """What is asked stands on the screen, with how to answer. `leaving`: what Ctrl-C does."""
    console = err()
    console.rule("[bold yellow]Your approval[/]", style="yellow", align="left")
    console.print(f" [bold]{plan_view.title(plan)}[/]   plan [bold cyan]{plan.hash}[/]")
    for step in plan.steps:
        if step.kind in CHANGES:
            console.print(f"   [dim]-[/] {step.summary}", highlight=False)
    marks = {"blocks": "bold red", "warns": "yellow", "tells": ""}
    for level, text in findings(plan, state):
        console.print(f" {text}", style=marks[level] or None, markup=False)
    if asked.accepted is not None:
        more = "" if asked.before is None else f", more than the {show(asked.before)} that was named so far"
        later = "" if state.claimed else ", measured again after the fence"
        console.print(f" You accept the loss of at most [bold]{show(asked.accepted)}[/]{more}{later}.")
    console.print(f" Type [bold]{asked.answer}[/] to approve, or press Ctrl-C to {leaving}: ", end="")


async def _typed_before(elsewhere: asyncio.Future[None]) -> str | None:
    """A line from the terminal; None where the question was answered elsewhere, or the terminal was closed."""
    loop, line = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def read() -> None:
        loop.remove_reader(sys.stdin)
        if not line.done():
            line.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        await asyncio.wait({line, elsewhere}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(sys.stdin)
    if not line.done():
        err().print("\n [dim]answered elsewhere[/]")
        return None
    if not line.result():
        raise Stopped(ExitCode.DETACHED, "nobody is there to ask: the execution waits for its approval")
    return str(line.result())


async def _no_longer_asked(executions: Executions, handle: Handle) -> None:
    while True:
        await asyncio.sleep(1.0)
        seen = await executions.look(handle)
        if seen.snapshot and "approve" not in seen.snapshot.may:
            return
