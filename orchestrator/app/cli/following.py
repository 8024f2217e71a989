"""An execution followed to its end, and what is said at the end."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass

from rich.markup import escape

from orchestrator.app.cli.approving import Approver
from orchestrator.app.cli.display import PHASES, display
from orchestrator.app.cli.exits import OF_END, ExitCode, Stopped, of_execution
from orchestrator.app.cli.objectives import missed_by
from orchestrator.app.cli.terminal import Output, data, out
from orchestrator.app.executions import EndedWithoutResult, Executions, Handle, Seen
from orchestrator.app.settings import Settings
from workflows import details
from workflows.messages import Result


@dataclass(frozen=True)
class Conclusion:
    """How an execution ended, and what that means for the process. `missed`: the objectives that were."""

    result: Result
    seen: Seen
    code: ExitCode
    missed: tuple[str, ...]
    link: str


async def follow(
    executions: Executions, handle: Handle, settings: Settings, approver: Approver | None = None
) -> Conclusion:
    """The execution shown until it ends. Raises Stopped where it ends without a result, or is not approved.

    `settings`: they name the journal with the record by which the objectives are judged.
    """
    while True:
        last, asked = await _shown(executions, handle, approver)
        if approver is None or not asked or last.snapshot is None:
            return _concluded(last, executions.link(handle), settings)
        await approver.answer(executions, handle, last.snapshot)


async def _shown(executions: Executions, handle: Handle, approver: Approver | None) -> tuple[Seen, bool]:
    """The last look, and whether a person must be asked before it can go on."""
    last = Seen(None)
    async with aclosing(executions.watch(handle)) as looks:
        with display(executions.link(handle), asked=approver is None) as screen:
            try:
                async for seen in looks:
                    last = Seen(seen.snapshot or last.snapshot, seen.trouble, seen.result)
                    screen.show(last)
                    if approver is None or seen.snapshot is None or "approve" not in seen.snapshot.may:
                        continue
                    if approver.asks:
                        return last, True
                    await approver.answer(executions, handle, seen.snapshot)
            except EndedWithoutResult as error:
                code = ExitCode.HUMAN_NEEDED if last.snapshot and last.snapshot.plan else ExitCode.NOT_READY
                raise Stopped(code, f"{error}\n{executions.link(handle)}") from None
    return last, False


def _concluded(last: Seen, link: str, settings: Settings) -> Conclusion:
    result, snapshot = last.result, last.snapshot
    if result is None:
        raise Stopped(ExitCode.DETACHED)
    if snapshot is None or snapshot.plan is None or snapshot.state is None:
        return Conclusion(result, last, OF_END[result.end], (), link)
    failed = missed_by(result.report, settings)
    return Conclusion(result, last, of_execution(snapshot.plan, snapshot.state, bool(failed)), failed, link)


def conclude(ended: Conclusion, output: Output = "text") -> ExitCode:
    """The end stands on stdout; its exit code is returned."""
    result = ended.result
    if output == "json":
        told = {"link": ended.link, "objectives_missed": ended.missed, "exit_code": int(ended.code)}
        data(json.dumps({**result.model_dump(mode="json"), **told}, indent=2))
        return ended.code
    snapshot = ended.seen.snapshot
    if output == "markdown" and snapshot and snapshot.plan and snapshot.state:
        data(details.markdown(snapshot.plan, snapshot.state))
        return ended.code
    console = out()
    safe = "  the service is protected again" if result.protected else ""
    console.print(f"[{PHASES.get(result.end, 'bold')}]{result.end.replace('_', ' ')}[/]  {escape(result.why)}{safe}")
    for text in ended.missed:
        console.print(f"  [yellow]objective missed[/]  {escape(text)}")
    for command in result.next_commands:
        console.print(f"  [cyan]{escape(command)}[/]", soft_wrap=True)
    return ended.code
