"""What a human may say, and when: every command in every state that the model world leads to, and each refusal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from orchestrator.domain.admission import admitted, refusal
from orchestrator.domain.commands import (
    COMMANDS,
    Abort,
    Approve,
    Attest,
    Command,
    Escalate,
    Pause,
    Resume,
    Retry,
    Skip,
)
from orchestrator.domain.engine import fold, start
from orchestrator.domain.engine.advance import advance
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.domain.plan import SAFETY, Plan, PlanMode
from orchestrator.domain.rehearsal.driving import driven, folded
from orchestrator.domain.rehearsal.values import Rehearsal, Try
from orchestrator.domain.state import ExecutionState, Human, Status, StepRecord
from orchestrator.domain.world import Evidence, Power, Reading, Strength
from tests.domain import runbooks
from tests.domain.on_the_way import going_on, states_on_the_way
from tests.domain.test_engine import Scenario, scenarios

REASON = "I pulled its power cord"


def scenario(name: str) -> Scenario:
    return next(found for found in scenarios() if found.name == name)


def commands(plan: Plan, step: str) -> Iterator[Command]:
    """Every command, about this step where it is about one."""
    yield Approve(by="ann", to=plan.target, plan=plan.hash, max_loss="1h")
    yield Approve(by="ann", to=plan.target, plan=plan.hash)
    yield from (Abort(by="ann"), Pause(by="ann"), Resume(by="ann"), Escalate(by="ann"))
    yield Retry(by="ann", step=step)
    yield Skip(by="ann", step=step, reason="done by hand")
    yield Attest(by="ann", step=step, reason=REASON)


def fresh(name: str = "demo forced, source dead") -> Rehearsal:
    return scenario(name).begun()


def waiting_on_the_fence() -> Rehearsal:
    """The fence device does not answer, and the execution asks."""
    return next(now for now in states_on_the_way(fresh("demo forced, fence dark")) if now.state.waiting)


def asking_for_approval() -> Rehearsal:
    return next(now for now in states_on_the_way(fresh()) if now.state.steps["name.check"].status is Status.DONE)


def claimed_and_running(name: str = "demo forced, source dead") -> Rehearsal:
    return next(now for now in states_on_the_way(fresh(name)) if any(isinstance(f, Try) for f in now.flights))


def why(now: Rehearsal, command: Command) -> str | None:
    return refusal(now.plan, now.state, command)


def said(now: Rehearsal, command: Command) -> Rehearsal:
    assert why(now, command) is None
    return driven(folded(now, Human(command=command, at=now.world.clock)))


@pytest.mark.parametrize(
    "name", ["demo forced, source dead", "demo forced, fence dark", "demo planned", "pair planned"]
)
def test_every_command_in_every_state_is_answered_and_what_is_admitted_can_be_folded(name: str) -> None:
    for now in states_on_the_way(fresh(name)):
        for step in (*now.state.steps, "no.such"):
            for command in commands(now.plan, step):
                refused = why(now, command)
                assert refused is None or (refused and "\n" not in refused)
                if refused is None:
                    assert isinstance(
                        fold(now.plan, now.state, Human(command=command, at=now.world.clock)), ExecutionState
                    )


@pytest.mark.parametrize("name", ["demo forced, source dead", "demo forced, fence dark", "demo planned"])
def test_what_is_offered_would_be_taken(name: str) -> None:
    for now in states_on_the_way(fresh(name)):
        offered = set(admitted(now.plan, now.state))
        assert offered <= {model.model_fields["command"].default for model in COMMANDS}
        steps = now.state.waiting.steps if now.state.waiting else ()
        takes = {c.command for step in (*steps, "x") for c in commands(now.plan, step) if why(now, c) is None}
        assert offered <= takes


def test_no_command_is_taken_after_the_end() -> None:
    now = list(states_on_the_way(fresh()))[-1]
    assert now.state.finish
    for command in commands(now.plan, "db.fence"):
        assert "has ended: SUCCEEDED" in (why(now, command) or "")


@dataclass(frozen=True)
class Refused:
    """An approval that is not quite right, and what is said."""

    change: dict[str, object]
    says: str


@pytest.mark.parametrize(
    "wrong",
    [
        Refused({"to": "left"}, "this execution goes to 'right'"),
        Refused({"to": "RIGHT"}, "this execution goes to 'right'"),
        Refused({"plan": "0" * 12}, "read it again before you approve (I7)"),
        Refused({"plan": ""}, "(I7)"),
        Refused({"max_loss": 0.0}, "accept it by name"),
        Refused({"max_loss": 0.0}, 'with --max-loss 90s (as JSON: "max_loss": "90s"), or abort'),
    ],
    ids=lambda wrong: f"{wrong.change} {wrong.says[:9]}",
)
def test_an_approval_names_the_target_the_plan_and_the_loss(wrong: Refused) -> None:
    now = asking_for_approval()
    right = Approve(by="ann", to="right", plan=now.plan.hash, max_loss="60s")
    assert why(now, right) is None
    refused = why(now, right.model_copy(update=wrong.change))
    assert wrong.says in (refused or "")


def test_an_approval_may_name_the_whole_digest() -> None:
    now = asking_for_approval()
    assert why(now, Approve(by="ann", to="right", plan=now.plan.digest, max_loss="60s")) is None
    assert why(now, Approve(by="ann", to="right", plan=now.plan.hash[:11], max_loss="60s")) is not None


def test_nothing_is_approved_before_the_checks_are_done_nor_twice() -> None:
    approve = Approve(by="ann", to="right", plan=fresh().plan.hash, max_loss="60s")
    assert why(fresh(), approve) == "the checks are not done yet"
    assert why(said(asking_for_approval(), approve), approve) == "nothing waits for an approval"


def test_a_switchover_asks_for_no_loss() -> None:
    now = next(n for n in states_on_the_way(fresh("demo planned")) if n.state.steps["name.check"].status is Status.DONE)
    assert why(now, Approve(by="ann", to="right", plan=now.plan.hash)) is None


def test_only_those_whom_the_gate_names_may_approve_the_promotion() -> None:
    begun = fresh("pair planned")
    now = next(n for n in states_on_the_way(begun) if n.state.steps["stock.catch_up"].status is Status.DONE
               and n.state.steps["ledger.catch_up"].status is Status.DONE)  # fmt: skip
    approve = Approve(by="ann", to="right", plan=now.plan.hash)
    assert why(now, approve) is None
    assert why(now, approve.model_copy(update={"by": "eve"})) == "'eve' may not approve here: ann may"


def test_an_approval_that_is_heard_twice_opens_no_later_gate() -> None:
    """What was said before the standby had caught up is no word about its promotion (I3)."""
    begun = fresh("pair planned")
    now = next(n for n in states_on_the_way(begun) if n.state.steps["stock.check"].status is Status.DONE)
    event = Human(command=Approve(by="ann", to="right", plan=now.plan.hash), at=now.world.clock)
    twice = folded(folded(now, event), event)
    assert twice.state.steps["approve"].status is Status.DONE
    assert twice.state.steps["promotion"].status is Status.PENDING


def test_a_fence_is_attested_by_two_people() -> None:
    now, ann = waiting_on_the_fence(), Attest(by="ann", step="db.fence", reason=REASON)
    once = said(now, ann)
    assert once.state.steps["db.fence"].status is not Status.DONE
    assert once.state.waiting, "one person is not enough"
    assert "a second person must" in (why(once, ann) or "")
    twice = said(once, ann.model_copy(update={"by": "bob"}))
    evidence = twice.state.steps["db.fence"].evidence
    assert evidence is not None
    assert evidence.attested_by == ("ann", "bob")


@pytest.mark.parametrize("other", ["ann", " ann", "ann ", "Ann", "ANN"])
def test_one_person_under_two_spellings_is_one_person(other: str) -> None:
    once = said(waiting_on_the_fence(), Attest(by="ann", step="db.fence", reason=REASON))
    assert "a second person must" in (why(once, Attest(by=other, step="db.fence", reason=REASON)) or "")


def test_only_a_fence_that_has_failed_is_attested() -> None:
    running = claimed_and_running()
    assert "it can be attested once it has failed" in (
        why(running, Attest(by="ann", step="db.fence", reason=REASON)) or ""
    )
    for step in ("db.check", "db.measure", "db.promote", "db.verify", "name.switch"):
        assert "is no fence" in (why(running, Attest(by="ann", step=step, reason=REASON)) or "")


@pytest.mark.parametrize("name", ["demo forced, source dead", "demo planned", "demo there and back", "pair planned"])
def test_a_step_of_safety_is_never_skipped(name: str) -> None:
    now = fresh(name)
    for status in Status:
        for step in now.plan.steps:
            if step.kind in SAFETY:
                record = now.state.steps[step.id].model_copy(update={"status": status})
                state = now.state.model_copy(update={"steps": {**now.state.steps, step.id: record}})
                refused = refusal(now.plan, state, Skip(by="ann", step=step.id, reason="hurry"))
                assert "cannot be skipped" in (refused or "")


@pytest.mark.parametrize("mode", ["reprotect", "unfence"])
def test_nothing_of_a_rebuild_or_an_unfence_is_skipped(mode: PlanMode) -> None:
    """Its end would say that the standby follows, or the fence is lifted, while it does not and is not (I4)."""
    plan = runbooks.planned(runbooks.demo(), mode, "left")
    execution = Execution(id="e", who="ann", plan=plan.digest, mode=mode, target="left", since=0.0)
    state = start(plan, execution, GroupRecord(group=plan.group))
    for step in plan.steps:
        failed = {**state.steps, step.id: StepRecord(status=Status.FAILED)}
        refused = refusal(
            plan, state.model_copy(update={"steps": failed}), Skip(by="ann", step=step.id, reason="hurry")
        )
        assert "cannot be skipped" in (refused or "")


def test_a_step_that_is_not_there_suggests_the_near_one() -> None:
    refused = why(waiting_on_the_fence(), Retry(by="ann", step="db.fense"))
    assert refused == "there is no step 'db.fense'; did you mean 'db.fence'?"


def test_only_a_step_that_did_not_succeed_is_retried() -> None:
    assert why(waiting_on_the_fence(), Retry(by="ann", step="db.fence")) is None
    for step in ("db.check", "db.promote", "approve"):
        assert "only a step that has failed or is unknown" in (
            why(waiting_on_the_fence(), Retry(by="ann", step=step)) or ""
        )


def test_after_the_promotion_is_requested_nothing_is_aborted() -> None:
    for now in states_on_the_way(fresh()):
        issued = now.state.steps["db.promote"].status is not Status.PENDING
        if issued and not now.state.finish:
            assert "was requested" in (why(now, Abort(by="ann")) or "")
            assert "abort" not in admitted(now.plan, now.state)


def test_an_abort_is_admitted_again_when_the_promotion_surely_failed() -> None:
    now = next(
        n
        for n in states_on_the_way(fresh())
        if any(isinstance(f, Try) and (f.order.attempt.step, f.place) == ("db.promote", "request") for f in n.flights)
    )
    assert why(now, Abort(by="ann")) is not None
    after = going_on(going_on(now, "is rejected"), "goes well")
    assert after.state.undoing, "it rolls back by itself"
    assert why(after, Abort(by="ann")) == "it is being undone already"


def test_pause_and_resume_follow_each_other() -> None:
    now = claimed_and_running()
    assert why(now, Resume(by="ann")) == "it is not paused"
    paused = said(now, Pause(by="ann"))
    assert why(paused, Pause(by="ann")) == "it is paused already"
    assert why(paused, Resume(by="ann")) is None


def test_before_anything_was_begun_there_is_nothing_to_hand_over() -> None:
    assert why(fresh(), Escalate(by="ann")) == "nothing was begun yet: use abort"
    assert why(claimed_and_running(), Escalate(by="ann")) is None


def held_back() -> tuple[Plan, ExecutionState]:
    """The machine's start waits for an earlier execution's undo, which may still switch on the one at the source."""
    plan = runbooks.planned(runbooks.runbook(runbooks.MACHINE), "forced", "right")
    fence = plan.step("app.fence").wants[0]
    on = fence.model_copy(update={"desired": Power(power="on")})
    late = Request(attempt=Attempt(epoch=1, step="app.fence", method=0, n=2, undo=True), want=on, before=None, at=1.0)
    execution = Execution(id="e2", who="ann", plan=plan.digest, mode="forced", target="right", since=2.0)
    state = start(plan, execution, GroupRecord(group=plan.group, epoch=2, doubts=(late,), execution=execution))
    reading = Reading(states=(Power(power="off"),), authority="bmc", authoritative=True, latched=True)
    off = Evidence(resource=fence.resource, state=fence.desired, reading=reading, strength=Strength.F2, read_at=3.0,
                   requested_at=2.5)  # fmt: skip
    done = {step.id: StepRecord(status=Status.DONE, evidence=off) for step in plan.of_kind("check", "approve", "fence")}
    return plan, advance(plan, state.model_copy(update={"claimed": True, "steps": {**state.steps, **done}}))


def test_a_step_that_is_held_back_can_be_skipped_and_a_retry_says_what_to_do() -> None:
    plan, state = held_back()
    assert state.waiting is not None
    assert state.waiting.steps == ("app.start",)
    assert set(admitted(plan, state)) == {"skip", "abort", "escalate", "pause"}
    assert refusal(plan, state, Skip(by="ann", step="app.start", reason="not needed")) is None
    told = refusal(plan, state, Retry(by="ann", step="app.start"))
    assert told is not None
    assert "power on was requested by 1/2 app.fence and may still take effect" in told
    assert told.endswith("escalate, and start again once that is no longer so")
