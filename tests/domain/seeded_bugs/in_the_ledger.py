"""Rules of the ledger broken, and of the twins that go by it: what is in doubt, and whose requests pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.domain import barrier, checks, ledger, settling, twins
from orchestrator.domain.engine import steps
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.outcome import Done, Outcome
from orchestrator.domain.plan import Plan, Want
from tests.domain.seeded_bugs import everywhere, nothing


def every_doubt_ends_as_early_as_the_quickest(patch: pytest.MonkeyPatch) -> None:
    """How late a request can be is asked of another type than the request's own."""
    real = ledger.settle

    def settle_all(record: GroupRecord, plan: Plan, asked: Mapping[str, float]) -> GroupRecord:
        quickest = min(spec.late_effect for spec in plan.resources.values() if spec.late_effect is not None)
        for resource, at in asked.items():
            late = plan.resources[resource].late_effect
            record = real(record, resource, None if late is None else quickest, at)
        return record

    patch.setattr(ledger, "settle_all", settle_all)


def an_unknown_closes_its_doubt(patch: pytest.MonkeyPatch) -> None:
    def close_attempt(record: GroupRecord, attempt: Any, outcome: Outcome) -> GroupRecord:
        doubts = tuple(d for d in record.doubts if d.attempt != attempt)
        closed = real(record, attempt, outcome)
        return closed.model_copy(update={"doubts": doubts})

    real = ledger.close_attempt
    patch.setattr(ledger, "close_attempt", close_attempt)


def a_doubt_ends_before_its_time(patch: pytest.MonkeyPatch) -> None:
    """Whatever is looked at is taken to have nothing more to come."""

    def settle(record: GroupRecord, resource: str, late_effect: float | None, by: float) -> GroupRecord:
        return real(record, resource, late_effect and -by, by)

    real = ledger.settle
    patch.setattr(ledger, "settle", settle)


def the_last_outcome_wins(patch: pytest.MonkeyPatch) -> None:
    """An attempt that ends well closes the doubts that earlier ones have left on the resource."""
    real = ledger.close_attempt

    def close_attempt(record: GroupRecord, attempt: Any, outcome: Outcome) -> GroupRecord:
        closed = real(record, attempt, outcome)
        if not isinstance(outcome, Done):
            return closed
        resource = outcome.evidence.resource
        return closed.model_copy(update={"doubts": tuple(d for d in closed.doubts if d.want.resource != resource)})

    patch.setattr(ledger, "close_attempt", close_attempt)


def doubts_are_not_inherited(patch: pytest.MonkeyPatch) -> None:
    """A new execution starts with a clean ledger."""
    real = ledger.open_execution

    def open_execution(record: GroupRecord, execution: Any, **given: Any) -> GroupRecord | str:
        opened = real(record, execution, **given)
        return opened if isinstance(opened, str) else opened.model_copy(update={"doubts": (), "issued": ()})

    patch.setattr(ledger, "open_execution", open_execution)


def a_release_in_doubt_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """A standby is promoted while the old primary's power may still come back on."""
    everywhere(patch, "conflict", nothing, ledger, barrier)


def a_doubt_that_was_answered_since_is_none(patch: pytest.MonkeyPatch) -> None:
    """Only the journal is asked what is in doubt, and not what was when the execution began."""
    patch.setattr(barrier, "conflict", nothing)


def a_promotion_in_doubt_binds_its_own_component_only(patch: pytest.MonkeyPatch) -> None:
    """What acts beside a database is switched on while the other site's promotion may still take effect."""
    real = ledger.conflict

    def conflict(record: GroupRecord, want: Want) -> str | None:
        mine = tuple(d for d in record.doubts if d.want.component == want.component)
        return real(record.model_copy(update={"doubts": mine}), want)

    everywhere(patch, "conflict", conflict, ledger, barrier)


def power_on_does_not_count_as_activating(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger, "conflict", nothing)
    patch.setattr(barrier, "conflict", nothing)
    patch.setattr(ledger, "no_way_back", nothing)
    patch.setattr(Want, "activates", property(lambda _: False))


def the_guard_lets_old_attempts_through(patch: pytest.MonkeyPatch) -> None:
    def enter(record: GroupRecord, request: Any, plan: str) -> GroupRecord | str:
        return record.model_copy(update={"doubts": (*record.doubts, request), "issued": (*record.issued, request)})

    patch.setattr(ledger, "enter", enter)


def the_guard_lets_an_old_epoch_through(patch: pytest.MonkeyPatch) -> None:
    """A worker of an execution that was terminated may still act."""
    real = ledger.enter

    def enter(record: GroupRecord, request: Any, plan: str) -> GroupRecord | str:
        execution = record.execution and record.execution.model_copy(update={"plan": plan})
        aged = record.model_copy(update={"epoch": request.attempt.epoch, "claims": {}, "execution": execution})
        entered = real(aged, request, plan)
        if isinstance(entered, str):
            return entered
        kept = {"epoch": record.epoch, "claims": record.claims, "execution": record.execution}
        return entered.model_copy(update=kept)

    patch.setattr(ledger, "enter", enter)


def an_unfence_does_not_ask_who_has_served(patch: pytest.MonkeyPatch) -> None:
    """What was replaced is powered on again."""
    everywhere(patch, "replaced", nothing, checks, barrier)


def an_unfence_starts_a_machine_beside_its_twin(patch: pytest.MonkeyPatch) -> None:
    """Only databases are looked up before something is unfenced."""
    patch.setattr(twins, "_twin_acts", nothing)


def promotions_of_earlier_executions_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    def issued(record: GroupRecord) -> Any:
        return next((r for r in ledger.promotions(record) if r.attempt.epoch == record.epoch), None)

    everywhere(patch, "promotion_issued", issued, ledger, steps)


def anybodys_word_ends_any_doubt(patch: pytest.MonkeyPatch) -> None:
    """Also that about a machine that may yet be switched on."""
    patch.setattr(settling, "beyond_a_word", nothing)


def a_fence_in_doubt_does_not_hinder(patch: pytest.MonkeyPatch) -> None:
    """A standby is promoted that an earlier execution may yet switch off."""
    real = ledger.opposite

    def opposite(record: GroupRecord, want: Any) -> Any:
        coming = tuple(doubt for doubt in record.doubts if not doubt.want.deactivates)
        return real(record.model_copy(update={"doubts": coming}), want)

    everywhere(patch, "opposite", opposite, ledger, checks)


def a_doubt_counts_from_when_it_was_handed_out(patch: pytest.MonkeyPatch) -> None:
    """However late a worker has asked."""
    patch.setattr(ledger, "sent_by", lambda record, *_: record)


def a_doubt_that_was_answered_before_the_claim_is_none(patch: pytest.MonkeyPatch) -> None:
    """What the checks have read may be older than its effect."""
    patch.setattr(ledger, "still_doubted", lambda record, _: record)


def a_rebuild_forgets_what_it_is_not_about(patch: pytest.MonkeyPatch) -> None:
    """Any clean end leaves nothing to undo, whatever it was about."""
    real = ledger.close_execution

    def close_execution(record: GroupRecord, plan: Plan, epoch: int, clean: bool) -> GroupRecord:
        closed = real(record, plan, epoch, clean)
        return closed.model_copy(update={"issued": (), "before": {}}) if clean else closed

    patch.setattr(ledger, "close_execution", close_execution)


def who_has_served_is_not_noted_at_the_end(patch: pytest.MonkeyPatch) -> None:
    """Only the attempt that read a promotion says who serves, also where its answer was not kept."""
    real = ledger.close_execution

    def close_execution(record: GroupRecord, *given: Any, **named: Any) -> GroupRecord:
        return real(record, *given, **named).model_copy(update={"holders": record.holders})

    patch.setattr(ledger, "close_execution", close_execution)


def what_was_stopped_stays_fenced_beyond_an_unfence(patch: pytest.MonkeyPatch) -> None:
    """It is told as lifted, and stands in the ledger for good."""
    real = ledger._done
    patch.setattr(ledger, "_done", lambda record, request: real(record.model_copy(update={"execution": None}), request))


def a_fence_ends_with_its_execution(patch: pytest.MonkeyPatch) -> None:
    """What was replaced by an earlier execution may be promoted as if it had followed."""
    real = ledger.close_execution

    def close_execution(record: GroupRecord, *given: Any, **named: Any) -> GroupRecord:
        return real(record, *given, **named).model_copy(update={"fenced": {}})

    patch.setattr(ledger, "close_execution", close_execution)
