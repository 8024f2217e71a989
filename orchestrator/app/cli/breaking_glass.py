"""`--break-glass`: the execution in this very process, and the terminal that speaks to it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from cyclopts import Group, Parameter

from orchestrator.app.break_glass.driver import Driver, Left
from orchestrator.app.break_glass.kept import Kept
from orchestrator.app.break_glass.lost_journal import stands
from orchestrator.app.break_glass.opening import Opened, Order, again, opened
from orchestrator.app.cli import what_next
from orchestrator.app.cli.approving import Question, question, show_question
from orchestrator.app.cli.display import LineDisplay
from orchestrator.app.cli.exits import ExitCode, Stopped, of_execution
from orchestrator.app.cli.following import Conclusion, conclude
from orchestrator.app.cli.given import ReasonOrNone
from orchestrator.app.cli.objectives import missed
from orchestrator.app.cli.spoken import NotUnderstood, spoken
from orchestrator.app.cli.terminal import Output, err, say
from orchestrator.app.executions import Seen
from orchestrator.app.holders import asked
from orchestrator.app.library import RunbookLibrary
from orchestrator.app.registry import catalog
from orchestrator.app.settings import Settings
from orchestrator.app.worker import Composition
from orchestrator.domain.admission import admitted
from orchestrator.domain.commands import Abort, Approve, Command
from orchestrator.domain.derivation import derive
from orchestrator.domain.plan import NO_JOURNAL, Plan
from orchestrator.domain.state import ExecutionState
from orchestrator.runtime.actor import Actor, Closed
from workflows.messages import Result, Snapshot


@Parameter(name="*", group=Group.create_ordered("When Temporal is lost"))
@dataclass(frozen=True)
class Glass:
    """What is said when Temporal is lost.

    Parameters
    ----------
    break_glass
        Run the same plan in this process, on the same journal. Killed, and started again with the same words, it goes
        on.
    holder_is_gone
        Why you are certain that the execution that holds the group runs no more. It stands in the audit trail, and
        counts for nothing where that is known to run.
    journal_is_lost
        `NAME: why nothing of the group runs or can still happen`, from two different people: a new journal is made,
        whose audit trail begins with it.
    """

    break_glass: Annotated[bool, Parameter(negative="")] = False
    holder_is_gone: ReasonOrNone = ""
    journal_is_lost: Annotated[list[str] | None, Parameter(negative="")] = None

    def is_broken(self) -> bool:
        """True for break-glass. Raises Stopped for words that belong to it alone."""
        if not self.break_glass and self.journal_is_lost:
            raise Stopped(ExitCode.USAGE, "--journal-is-lost goes with --break-glass only")
        return self.break_glass

    def composition(self, settings: Settings, runbook: str, before_a_new_one: Callable[[], object]) -> Composition:
        """What acts in this process, over a journal that stands. Raises NotVouchedFor, or what `before_a_new_one`
        raises before a new journal is made."""
        stands(settings, runbook, self.journal_is_lost or (), before_a_new_one)
        return Composition.of(settings)

    def actor(self, settings: Settings, order: Order) -> Actor:
        """The same for one order, which can be planned."""
        library = RunbookLibrary(settings.runbooks, catalog())

        def planned() -> None:
            derive(library.runbook(order.runbook), library.catalog, order.to, order.mode, NO_JOURNAL)

        return self.composition(settings, order.runbook, planned).actor


WHOLE = Glass()


class Terminal:
    """Lines out, and commands in: typed, or the approval that was given as a hash beforehand."""

    def __init__(self, by: str, approve: str | None, max_loss: float | None) -> None:
        self._by, self._approve, self._max_loss = by, approve, max_loss
        self._display = LineDisplay(err(), "", asked=True)
        self._asked: Question | None = None
        self._was_asked = False
        self._silence_told = False
        self.silent = False
        self.not_approved = ""

    def show(self, plan: Plan, state: ExecutionState) -> None:
        """Everything new stands on the screen; once, what is asked for an approval."""
        may = admitted(plan, state)
        self._display.show(Seen(Snapshot(plan=plan, state=state, may=may, finish=state.finish)))
        asked = question(plan, state, self._max_loss) if "approve" in may and self._approve is None else None
        if asked and asked != self._asked:
            show_question(plan, state, asked, "leave it as it is" if state.claimed else "end it")
        self._asked = asked
        self._was_asked = self._was_asked or asked is not None
        if self.silent and state.waiting and not self._silence_told:
            self._silence_told = True
            say(f"  nobody can type here: to answer, end this process and go on at a terminal ({_again(plan, state)})")

    def decides(self, plan: Plan, state: ExecutionState) -> Command | None:
        """The approval by its hash, once; after its refusal the end."""
        if self.not_approved and not state.claimed:
            return Abort(by=self._by, reason=f"the approval was refused: {self.not_approved}")
        if "approve" not in admitted(plan, state):
            return None
        if self._approve is None:
            return self._nobody_approves(plan) if self.silent and not state.claimed else None
        named, self._approve = self._approve, None
        return what_next.approve(self._by, plan, self._max_loss, named)

    def said(self, line: str, plan: Plan, state: ExecutionState) -> Command | None:
        """The target site's name approves, as on every terminal; all else is a command."""
        if not line.strip():
            return None
        if line.split()[0] == plan.target and "approve" in admitted(plan, state):
            asked = question(plan, state, self._max_loss)
            if asked.answered_by(line):
                return what_next.approve(self._by, plan, asked.accepted)
            say(f"  That is not {asked.answer}: type it to approve")
            return None
        try:
            return spoken(line, plan.group, self._by)
        except NotUnderstood as error:
            say(f"  {error}")
            return None

    def answered(self, command: Command, refused: str | None) -> None:
        """What became of it stands on the screen."""
        say(f"  {command.command} refused: {refused}" if refused else f"  {command.command} taken from {command.by}")
        if refused and isinstance(command, Approve) and not self._was_asked:
            self.not_approved = refused

    def _nobody_approves(self, plan: Plan) -> Abort:
        self.not_approved = f"nobody can type here any more; --approve {plan.hash} approves beforehand"
        return Abort(by=self._by, reason=self.not_approved)


def broken_glass(
    actor: Actor, order: Order, approve: str | None = None, max_loss: float | None = None, output: Output = "text"
) -> ExitCode:
    """The execution driven to its end in this process. `approve`: the plan's hash, where no person is to be asked."""
    found = opened(actor, order, partial(asked, actor.journal), lambda plan: None if approve else _someone_types(plan))
    if found.resumed:
        _resumed(found.kept, approve)
    else:
        say(f"{found.kept.head.execution.id}: this process is the execution; type commands here, as they are shown")
    terminal = Terminal(order.by, None if found.resumed else approve, max_loss)
    driver = Driver(actor, found.kept, terminal, found.gone)
    threading.Thread(target=_listen, args=(driver, terminal), daemon=True).start()
    try:
        with _interrupts(driver.leave):
            closed = driver.run()
    except Left:
        say("")
        say("stopping: what was sent is waited for")
        driver.stop()
        raise Stopped(*_left(driver, found)) from None
    return _concluded(driver, closed, terminal, output)


@contextmanager
def _interrupts(leave: Callable[[], None]) -> Iterator[None]:
    """While inside, the first Ctrl-C asks to leave: an exception could strike between a request and the note of it.

    The second one is Python's own.
    """

    def asked(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        leave()

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _someone_types(plan: Plan) -> None:
    """Raises Stopped where nobody can be asked: the approval could come from nowhere else."""
    if sys.stdin is None or not sys.stdin.isatty():
        shown = f"`tideover plan {plan.group} --to {plan.target} --mode {plan.mode}`"
        way_out = f"--approve {plan.hash} approves beforehand what {shown} shows"
        raise Stopped(ExitCode.USAGE, f"there is no terminal to ask at, and nothing was begun: {way_out}")


def _listen(driver: Driver, terminal: Terminal) -> None:
    """Every line that is typed, or piped in, is heard; and that no more will come."""
    for line in sys.stdin or ():
        driver.hear(line)
    terminal.silent = True
    driver.hear("")


def _resumed(kept: Kept, approve: str | None) -> None:
    plan = kept.head.plan
    if approve and approve not in (plan.hash, plan.digest):
        begun = f"{kept.head.execution.id} was begun with the plan {plan.hash}"
        raise Stopped(ExitCode.NOT_APPROVED, f"{begun}, not {approve}: it goes on with that or not at all")
    say(f"{kept.head.execution.id} goes on where it was: plan {plan.hash}, {len(kept.events)} events kept")


def _left(driver: Driver, found: Opened) -> tuple[ExitCode, str]:
    """What to say to someone who leaves, and the exit code."""
    if not driver.state.claimed:
        return ExitCode.ABORTED, "nothing was changed"
    go_on = _again(found.kept.head.plan, driver.state)
    return ExitCode.HUMAN_NEEDED, f"the execution stands still and holds the group: go on with {go_on}"


def _again(plan: Plan, state: ExecutionState) -> str:
    return f"`{again(plan.group, state.execution)}`"


def _here(command: str) -> str:
    """The command as it goes without Temporal as well."""
    words = command.split()
    return f"{command} --break-glass" if words[1] in ("run", "failback", "unfence") else command


def _concluded(driver: Driver, closed: Closed, terminal: Terminal, output: Output) -> ExitCode:
    plan, state, finish = driver.plan, driver.state, driver.state.finish
    assert finish is not None  # noqa: S101 -- the driver returns at the end only
    failed = missed(driver.kept.as_record(finish))
    code = ExitCode.NOT_APPROVED if terminal.not_approved else of_execution(plan, state, bool(failed))
    result = Result(
        end=finish.end, why=finish.why + (f" ({closed.warning})" if closed.warning else ""), protected=finish.protected,
        report=closed.report, checkpoint=closed.checkpoint,
        next_commands=(*map(_here, finish.next_commands), f"tideover report {closed.report}"),
    )  # fmt: skip
    seen = Seen(Snapshot(plan=plan, state=state, may={}, finish=finish), "", result)
    return conclude(Conclusion(result, seen, code, failed, ""), output)
