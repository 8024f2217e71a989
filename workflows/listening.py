"""What a human can ask of an execution and say to it. What is refused leaves no trace in the execution's history."""

from __future__ import annotations

from collections import deque

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from orchestrator.domain.admission import admitted, refusal
    from orchestrator.domain.commands import (
        Abort,
        Approve,
        Attest,
        Command,
        Escalate,
        OperatorInput,
        Pause,
        Resume,
        Retry,
        Skip,
    )
    from orchestrator.domain.plan import Plan
    from orchestrator.domain.state import Event, ExecutionState, Human
    from workflows.conversion import invalid_input, refused
    from workflows.messages import Snapshot


def _example(model: type[OperatorInput]) -> str:
    return f"{(model.__doc__ or '').partition(chr(10))[0]} Example: {model.EXAMPLE}"


class ListeningWorkflow:
    """The queries and updates of every execution. Each update is judged by its validator before it is accepted."""

    def __init__(self) -> None:
        self._plan: Plan | None = None
        self._state: ExecutionState | None = None
        self._inbox: deque[Event] = deque()

    def _admit(self, said: Command | None, model: type[OperatorInput]) -> None:
        if said is None:
            raise invalid_input(model, "the input is empty")
        if self._plan is None or self._state is None:
            raise refused("the plan is not made yet: say it again in a moment")
        why = refusal(self._plan, self._state, said)
        if why:
            raise refused(why)

    def _take(self, said: Command | None) -> str:
        assert said is not None  # noqa: S101 -- the validator has refused None
        self._inbox.append(Human(command=said, at=workflow.time()))
        return f"{said.command} taken from {said.by}"

    @workflow.query(description="The plan, the state, and what may be done now.")
    def snapshot(self) -> Snapshot:
        """Everything that `tideover follow` shows."""
        may = admitted(self._plan, self._state) if self._plan and self._state else {}
        return Snapshot(plan=self._plan, state=self._state, may=may, finish=self._state.finish if self._state else None)

    @workflow.update(description=_example(Approve))
    async def approve(self, said: Approve | None = None) -> str:
        """Let the execution change the world."""
        return self._take(said)

    @approve.validator
    def _validate_approve(self, said: Approve | None = None) -> None:
        self._admit(said, Approve)

    @workflow.update(description=_example(Abort))
    async def abort(self, said: Abort | None = None) -> str:
        """Undo what was done and end."""
        return self._take(said)

    @abort.validator
    def _validate_abort(self, said: Abort | None = None) -> None:
        self._admit(said, Abort)

    @workflow.update(description=_example(Pause))
    async def pause(self, said: Pause | None = None) -> str:
        """Start no further step."""
        return self._take(said)

    @pause.validator
    def _validate_pause(self, said: Pause | None = None) -> None:
        self._admit(said, Pause)

    @workflow.update(description=_example(Resume))
    async def resume(self, said: Resume | None = None) -> str:
        """Go on after a pause."""
        return self._take(said)

    @resume.validator
    def _validate_resume(self, said: Resume | None = None) -> None:
        self._admit(said, Resume)

    @workflow.update(description=_example(Retry))
    async def retry(self, said: Retry | None = None) -> str:
        """Try a failed step again."""
        return self._take(said)

    @retry.validator
    def _validate_retry(self, said: Retry | None = None) -> None:
        self._admit(said, Retry)

    @workflow.update(description=_example(Skip))
    async def skip(self, said: Skip | None = None) -> str:
        """Go on without a step."""
        return self._take(said)

    @skip.validator
    def _validate_skip(self, said: Skip | None = None) -> None:
        self._admit(said, Skip)

    @workflow.update(description=_example(Attest))
    async def attest(self, said: Attest | None = None) -> str:
        """Vouch for a fence."""
        return self._take(said)

    @attest.validator
    def _validate_attest(self, said: Attest | None = None) -> None:
        self._admit(said, Attest)

    @workflow.update(description=_example(Escalate))
    async def escalate(self, said: Escalate | None = None) -> str:
        """End and hand over to humans."""
        return self._take(said)

    @escalate.validator
    def _validate_escalate(self, said: Escalate | None = None) -> None:
        self._admit(said, Escalate)
