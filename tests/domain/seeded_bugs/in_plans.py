"""The order of steps broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.domain.catalog import DnsPlace
from orchestrator.domain.engine import actions
from orchestrator.domain.plan import Kind, Plan, Want
from orchestrator.domain.state import IsReadable, IsState
from orchestrator.domain.world import Records, Strength
from tests.domain import runbooks


def _every_plan(patch: pytest.MonkeyPatch, change: Callable[[Plan], Plan]) -> None:
    real = runbooks.planned
    patch.setattr(runbooks, "planned", lambda *given: change(real(*given)))


def _waiting_for(plan: Plan, step: str, after: tuple[str, ...]) -> Plan:
    steps = tuple(s.model_copy(update={"after": after}) if s.id == step else s for s in plan.steps)
    return plan.model_copy(update={"steps": steps})


def clients_are_moved_before_the_promotion_is_seen(patch: pytest.MonkeyPatch) -> None:
    """The name is pointed to the new site as soon as it is approved."""

    def early(plan: Plan) -> Plan:
        return _waiting_for(plan, "name.switch", ("approve",)) if plan.of_kind("promote") else plan

    _every_plan(patch, early)


def the_old_primary_is_started_before_it_is_isolated(patch: pytest.MonkeyPatch) -> None:
    """Reprotect in the wrong order."""

    def reversed_(plan: Plan) -> Plan:
        if plan.mode != "reprotect":
            return plan
        start, isolate = plan.step("db.start"), plan.step("db.isolate")
        return _waiting_for(_waiting_for(plan, "db.start", isolate.after), "db.isolate", (start.id,))

    _every_plan(patch, reversed_)


def what_needs_it_is_stopped_afterwards(patch: pytest.MonkeyPatch) -> None:
    """A planned move stops everything at once, the databases too."""
    _every_plan(patch, lambda plan: _weaker(plan, "stop", after=("approve",)))


def a_dependent_starts_on_what_is_not_there(patch: pytest.MonkeyPatch) -> None:
    """A machine starts when all is fenced, and does not wait for the database that it needs."""

    def hasty(plan: Plan) -> Plan:
        fences = tuple(step.id for step in plan.of_kind("fence"))
        return _weaker(plan, "start", after=fences) if plan.mode == "forced" else plan

    _every_plan(patch, hasty)


def a_name_leads_to_a_machine_that_is_not_up(patch: pytest.MonkeyPatch) -> None:
    """It waits for the database, and not for the machine that it is the name of."""
    _every_plan(patch, lambda plan: _waiting_for(plan, "name.switch", ("db.verify",)) if plan.moves else plan)


def a_switchover_does_not_wait_for_the_standby(patch: pytest.MonkeyPatch) -> None:
    """Up to the shutdown checkpoint will do."""
    patch.setattr(actions, "_condition", lambda _, step: IsState(want=step.wants[0]) if step.wants else IsReadable())


def _weaker(plan: Plan, *kinds: Kind, **weaker: object) -> Plan:
    steps = (s.model_copy(update=weaker) if s.kind in (kinds or ("fence", "stop")) else s for s in plan.steps)
    return plan.model_copy(update={"steps": tuple(steps)})


def a_fence_needs_less_than_the_runbook_says(patch: pytest.MonkeyPatch) -> None:
    """F2 is taken for F3."""
    _every_plan(patch, lambda plan: _weaker(plan, needs_strength=Strength.F2))


def a_machine_is_stopped_with_less_than_it_is_fenced_with(patch: pytest.MonkeyPatch) -> None:
    """In a planned move one controller's word is enough, whatever the runbook says."""
    _every_plan(patch, lambda plan: _weaker(plan, "stop", needs_strength=Strength.F2))


def an_isolation_needs_no_proof(patch: pytest.MonkeyPatch) -> None:
    _every_plan(patch, lambda plan: _weaker(plan, "isolate", needs_strength=Strength.F0, needs_latch=False))


def an_isolation_takes_no_server_along(patch: pytest.MonkeyPatch) -> None:
    """What ran on a machine that it has switched off is no matter of undo."""
    _every_plan(patch, lambda plan: _weaker(plan, "isolate", touches=()))


def a_fence_needs_no_latch(patch: pytest.MonkeyPatch) -> None:
    _every_plan(patch, lambda plan: _weaker(plan, needs_latch=False))


def a_machine_is_not_fenced(patch: pytest.MonkeyPatch) -> None:
    """Only databases are."""

    def left_out(plan: Plan) -> Plan:
        writers = {step.component for step in plan.of_kind("promote")}
        out = {step.id for step in plan.of_kind("fence", "stop") if step.component not in writers}
        steps = (
            step.model_copy(update={"after": tuple(before for before in step.after if before not in out)})
            for step in plan.steps if step.id not in out
        )  # fmt: skip
        return plan.model_copy(update={"steps": tuple(steps)})

    _every_plan(patch, left_out)


def the_name_is_pointed_to_where_the_service_comes_from(patch: pytest.MonkeyPatch) -> None:
    def back(plan: Plan) -> Plan:
        home = DnsPlace(**plan.resources["name"].places[plan.source])

        def there(want: Want) -> Want:
            ttl = want.desired.ttl if isinstance(want.desired, Records) else 0
            return want.model_copy(update={"desired": home.records(ttl)})

        steps = (
            s.model_copy(update={"wants": tuple(map(there, s.wants))}) if s.component == "name" else s
            for s in plan.steps
        )
        return plan.model_copy(update={"steps": tuple(steps)})

    _every_plan(patch, lambda plan: back(plan) if plan.moves else plan)


def the_name_is_left_where_it_was(patch: pytest.MonkeyPatch) -> None:
    """The plan has no step for it."""

    def without(plan: Plan) -> Plan:
        name = {step.id for step in plan.steps if step.component == "name"}
        kept = (s.model_copy(update={"after": tuple(set(s.after) - name)}) for s in plan.steps if s.id not in name)
        return plan.model_copy(update={"steps": tuple(kept)})

    _every_plan(patch, without)


def what_a_name_answers_is_believed_for_minutes(patch: pytest.MonkeyPatch) -> None:
    def longer(want: Want) -> Want:
        if not isinstance(want.desired, Records):
            return want
        return want.model_copy(update={"desired": want.desired.model_copy(update={"ttl": want.desired.ttl * 60})})

    def slow(plan: Plan) -> Plan:
        steps = (s.model_copy(update={"wants": tuple(map(longer, s.wants))}) for s in plan.steps)
        return plan.model_copy(update={"steps": tuple(steps)})

    _every_plan(patch, lambda plan: slow(plan) if plan.moves else plan)


def an_address_moves_before_the_source_is_stopped(patch: pytest.MonkeyPatch) -> None:
    """In a planned move as in a forced one."""

    def early(plan: Plan) -> Plan:
        return _waiting_for(plan, "address.switch", ("approve",)) if plan.mode == "planned" else plan

    _every_plan(patch, early)
