"""Rules of commands and of gates broken: whose word counts, and for what."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain import admission, barrier, commands
from orchestrator.domain.commands import Approve, Attest, Command
from orchestrator.domain.engine import steps
from orchestrator.domain.plan import Plan
from orchestrator.domain.state import ExecutionState
from tests.domain import runbooks
from tests.domain.seeded_bugs import everywhere, nothing

fold = importlib.import_module("orchestrator.domain.engine.fold")  # the package's `fold` is the function


def one_person_counts_as_two(patch: pytest.MonkeyPatch) -> None:
    """What is written in another way is somebody else."""
    everywhere(patch, "enough", lambda people: len(list(people)) > 1, fold)
    everywhere(patch, "person", lambda _: object(), fold, admission)


def one_word_is_enough(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fold, "enough", lambda _: True)


def an_approval_that_nobody_gave_in_time_counts_as_given(patch: pytest.MonkeyPatch) -> None:
    def expired(plan: Any, state: Any, _: str) -> Any:
        return fold._approved(plan, state, Approve(by="ann", to=plan.target, plan=plan.hash), state.now)

    patch.setattr(fold, "_approval_expired", expired)


def anybody_may_approve(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "person", lambda _: "somebody")


def anybody_may_accept_more_loss(patch: pytest.MonkeyPatch) -> None:
    """Approvers are asked before the first change, and whoever is there when more would be lost than was approved."""

    def awaiting(plan: Any, state: Any) -> Any:
        asked = steps.awaiting(plan, state)
        return asked.model_copy(update={"gate": None}) if asked and state.waiting else asked

    patch.setattr(admission, "awaiting", awaiting)


def the_objective_counts_beside_what_was_named(patch: pytest.MonkeyPatch) -> None:
    """A human accepts less loss than the runbook's objective, and that counts all the same."""
    real = barrier.accepted_loss

    def accepted(plan: Plan, state: ExecutionState) -> float:
        return max(real(plan, state), plan.objectives.rpo)

    everywhere(patch, "accepted_loss", accepted, barrier, admission)


def one_approval_counts_for_every_gate(patch: pytest.MonkeyPatch) -> None:
    real = fold._approved

    def approved(plan: Plan, state: ExecutionState, approve: Approve, at: float) -> ExecutionState:
        after: ExecutionState = real(plan, state, approve, at)
        gates = {step.id: approve for step in plan.of_kind("approve")}
        return after.model_copy(update={"approvals": {**gates, **after.approvals}})

    patch.setattr(fold, "_approved", approved)


def an_approval_counts_for_any_plan(patch: pytest.MonkeyPatch) -> None:
    real = admission._approve
    patch.setattr(admission, "_approve", lambda p, s, a: real(p, s, a.model_copy(update={"plan": p.hash})))


def a_gate_is_left_out(patch: pytest.MonkeyPatch) -> None:
    """Of the runbook's gates the plan has only the one before the first change."""
    real = runbooks.planned

    def planned(*given: Any) -> Any:
        plan = real(*given)
        gate = next((step for step in plan.steps if step.id == "promotion"), None)
        if gate is None:
            return plan

        def past(after: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(earlier for step in after for earlier in (gate.after if step == gate.id else (step,)))

        steps = (s.model_copy(update={"after": past(s.after)}) for s in plan.steps if s is not gate)
        return plan.model_copy(update={"steps": tuple(steps)})

    patch.setattr(runbooks, "planned", planned)


def an_approval_that_names_no_plan_counts(patch: pytest.MonkeyPatch) -> None:
    real = admission._approve

    def approve(plan: Any, state: Any, said: Approve) -> str | None:
        return real(plan, state, said.model_copy(update={"plan": said.plan or plan.hash}))

    patch.setattr(admission, "_approve", approve)


def half_a_hash_is_enough(patch: pytest.MonkeyPatch) -> None:
    real = admission._approve

    def approve(plan: Any, state: Any, said: Approve) -> str | None:
        begins_alike = len(said.plan) > 3 and plan.hash.startswith(said.plan)
        return real(plan, state, said.model_copy(update={"plan": plan.hash}) if begins_alike else said)

    patch.setattr(admission, "_approve", approve)


def half_a_name_is_enough(patch: pytest.MonkeyPatch) -> None:
    """Whoever's name begins like an approver's."""
    patch.setattr(admission, "person", lambda by: by[:2])


def _lent(patch: pytest.MonkeyPatch, more: Callable[[ExecutionState, Attest], tuple[Command, ...]]) -> None:
    """More words than were said for the step count for it, and are not kept."""
    real = fold._attested

    def attested(plan: Plan, state: ExecutionState, attest: Attest, at: float) -> ExecutionState:
        said = state.attestations.get(attest.step, ())
        lent = {**state.attestations, attest.step: (*said, *more(state, attest))}
        after = real(plan, state.model_copy(update={"attestations": lent}), attest, at)
        kept = {**state.attestations, attest.step: (*said, attest)}
        return after.model_copy(update={"attestations": kept})  # type: ignore[no-any-return]

    patch.setattr(fold, "_attested", attested)


def the_second_witness_is_made_up(patch: pytest.MonkeyPatch) -> None:
    _lent(patch, lambda _, attest: (attest.model_copy(update={"by": "operator on duty"}),))


def a_word_for_one_fence_counts_for_another(patch: pytest.MonkeyPatch) -> None:
    _lent(patch, lambda state, _: tuple(attest for said in state.attestations.values() for attest in said))


def what_is_no_fence_can_be_attested(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "_attest", nothing)


def a_name_in_other_letters_is_somebody_else(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, "person", lambda by: by.strip().casefold(), commands, fold, admission)


def a_gate_expires_though_it_was_approved(patch: pytest.MonkeyPatch) -> None:
    real = fold._approval_expired

    def expired(plan: Any, state: Any, step: str) -> Any:
        after = real(plan, state.model_copy(update={"approvals": {}}), step)
        return after.model_copy(update={"approvals": state.approvals})

    patch.setattr(fold, "_approval_expired", expired)
