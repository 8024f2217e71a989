"""The report as data, from recorded executions and from some that the engine told on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.app.report import Report, build, summary
from orchestrator.app.report.axis import Axis
from orchestrator.app.report.model import Verdict
from orchestrator.app.report.wording import position, seconds
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.record import ExecutionRecord
from orchestrator.domain.state import End, Ended, Issued
from tests.app import told
from tests.domain.on_the_way import ended
from tests.domain.test_admission import fresh

TOLD: dict[str, Callable[[], ExecutionRecord]] = {
    "rolled back": told.rolled_back,
    "rollback stopped": told.rollback_stopped,
    "unknown promote": told.unknown_promote,
}
EVERY = (*told.RECORDED, *TOLD)


def record_of(name: str) -> ExecutionRecord:
    return TOLD[name]() if name in TOLD else told.recorded(name)


def report_of(name: str) -> Report:
    return build(record_of(name))


@pytest.mark.parametrize("name", EVERY)
def test_the_phases_follow_each_other_and_add_up(name: str) -> None:
    report = report_of(name)
    phases = report.recovery.phases
    assert phases[-1].ended == report.ended_at
    for before, after in pairwise(phases):
        assert before.ended == after.began
    assert sum(p.seconds for p in phases) == pytest.approx(phases[-1].ended - phases[0].began)
    if report.recovery.achieved is not None:
        assert sum(p.seconds for p in phases if p.outage) == pytest.approx(report.recovery.achieved)


@pytest.mark.parametrize("name", EVERY)
def test_every_attempt_of_the_record_is_told(name: str) -> None:
    record, report = record_of(name), report_of(name)
    issued = [str(event.attempt) for event in record.events if isinstance(event, Issued)]
    assert [one.attempt for one in report.tries if one.attempt] == issued
    answers = [event.outcome.kind for event in record.events if isinstance(event, Ended)]
    assert sorted(one.outcome for one in report.tries if one.attempt) == sorted(answers)


@pytest.mark.parametrize("name", EVERY)
def test_the_report_survives_its_own_json_and_folds_to_the_recorded_end(name: str) -> None:
    record, report = record_of(name), report_of(name)
    assert Report.model_validate_json(report.model_dump_json()) == report
    assert record.finish is not None
    assert (report.end, report.why) == (record.finish.end, record.finish.why)


def test_a_forced_failover_counts_from_the_last_sign_of_life() -> None:
    report = report_of("forced")
    detect, decide, act, verify = report.recovery.phases
    assert [p.name for p in (detect, decide, act, verify)] == ["detect", "decide", "act", "verify"]
    assert detect.began == report.recovery.last_sign_of_life
    assert decide.ended == act.began == report.decisions[0].at
    assert act.ended == max(t.ended or 0.0 for t in report.tries if t.attempt)
    assert report.recovery.verdict is Verdict.MET


def test_a_planned_switchover_counts_from_the_approval() -> None:
    report = report_of("planned")
    assert [(p.name, p.outage) for p in report.recovery.phases] == [("decide", False), ("act", True), ("verify", True)]
    assert report.loss.verdict is Verdict.MET
    (only,) = report.loss.positions
    assert only.last_known_by == "read of right after it was stopped"
    assert only.last_known is not None
    assert only.timeline_promoted is not None
    assert only.timeline_promoted > (only.timeline_before or 0)


def test_missed_objectives_are_said() -> None:
    report = report_of("attested")
    assert report.recovery.verdict is Verdict.MISSED
    assert report.loss.verdict is Verdict.UNPROVEN
    assert any("The RTO of 30 s was missed by" in caveat for caveat in report.caveats)
    assert any("RPO of 10 s was lost is not proven" in caveat for caveat in report.caveats)


def test_without_a_sign_of_life_the_outage_is_a_lower_bound() -> None:
    recovery = build(told.without_database(told.recorded("forced"))).recovery
    assert recovery.last_sign_of_life is None
    assert [phase.name for phase in recovery.phases] == ["decide", "act", "verify"]
    assert (recovery.at_least, recovery.verdict) == (True, Verdict.UNPROVEN)


def test_what_was_recorded_as_the_end_is_what_is_told() -> None:
    record = told.recorded("forced")
    assert record.finish is not None
    ended = record.finish.model_copy(update={"end": End.NEEDS_HUMAN, "why": "an older rule"})
    report = build(record.model_copy(update={"finish": ended}))
    assert (report.end, report.why) == (End.NEEDS_HUMAN, "an older rule")


def test_attestation_is_the_weakest_link() -> None:
    report = report_of("attested")
    assert report.weakest_link == "db.fence stands on the word of ann and bob (FH): no authority read it back."
    assert [(e.strength, e.attested_by) for e in report.evidence if e.step == "db.fence"] == [("FH", ("ann", "bob"))]
    assert len(report.doubts) == 2
    assert [doubt.inherited for doubt in report.doubts] == [True, False]


def test_who_spoke_is_a_claim_unless_it_was_proven() -> None:
    assert any(caveat.startswith("UNAUTHENTICATED") for caveat in report_of("forced").caveats)
    proven = build(told.recorded("forced"), authenticated=True)
    assert not any("UNAUTHENTICATED" in caveat for caveat in proven.caveats)
    (approval,) = proven.decisions
    assert (approval.by, approval.plan, approval.max_loss) == ("ann", proven.provenance.plan_hash, 300.0)


def test_a_refusal_has_its_findings_and_nothing_else() -> None:
    report = report_of("refused")
    assert report.end is End.REFUSED
    assert [finding.level for finding in report.findings] == ["blocks", "blocks"]
    assert (report.recovery.verdict, report.loss.verdict) == (Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE)
    assert report.provenance.epoch is None
    assert report.barrier_at is None


def test_a_rollback_tells_what_was_put_back_and_how_long_it_was_down() -> None:
    report = report_of("rolled back")
    assert report.end is End.ROLLED_BACK
    assert [(undo.resource, undo.state, undo.status) for undo in report.undos] == [("db@right", "role primary", "done")]
    assert [p.name for p in report.recovery.phases] == ["decide", "act", "undo"]
    assert report.recovery.achieved is not None
    assert report.loss.verdict is Verdict.NOT_APPLICABLE


def test_an_unknown_promotion_stays_in_doubt() -> None:
    report = report_of("unknown promote")
    assert report.end is End.NEEDS_HUMAN
    assert [doubt.request for doubt in report.doubts] == ["db@right: role primary"]
    assert report.loss.verdict is Verdict.UNPROVEN
    assert report.recovery.verdict is Verdict.NOT_REACHED
    (wait,) = [wait for wait in report.waits if wait.kind == "decision"]
    assert wait.ended - wait.began == pytest.approx(1800.0)


def test_a_fence_that_never_came_keeps_the_barrier_closed() -> None:
    report = report_of("needs-human")
    assert report.barrier_at is None
    assert report.weakest_link is not None
    assert "db.fence is not confirmed" in report.weakest_link
    assert {step.status for step in report.steps if step.kind in ("promote", "switch")} == {"pending"}


def test_an_execution_that_has_not_ended_can_be_told() -> None:
    record = told.recorded("forced")
    for count in range(len(record.events)):
        report = build(record.model_copy(update={"events": record.events[:count], "finish": None}))
        assert report.end is None
        assert report.recovery.achieved is None


@given(st.integers(0, 2**64 - 1))
def test_a_position_is_written_as_postgresql_does(offset: int) -> None:
    upper, lower = (position(offset) or "").split("/")
    assert (int(upper, 16) << 32) + int(lower, 16) == offset


def test_durations_as_people_read_them() -> None:
    shown = [seconds(value) for value in (0, 0.04, 0.9999, 7.1, 5.0, 42.4, 119.6, 130, 1802.4, 3900)]
    assert shown == [
        "0.00 s", "0.04 s", "1 s", "7.1 s", "5 s", "42 s", "2 min", "2 min 10 s", "30 min 2 s", "1 h 5 min"
    ]  # fmt: skip


@given(st.lists(st.floats(0, 1e10), min_size=1, max_size=30), st.floats(-1e10, 2e10), st.floats(-1e10, 2e10))
def test_the_axis_never_draws_later_before_earlier(times: list[float], one: float, other: float) -> None:
    axis = Axis.over(times, 100, 900)
    early, late = sorted((one, other))
    assert 100 - 1e-6 <= axis(early) <= axis(late) <= 900 + 1e-6


def test_of_a_fence_by_two_authorities_both_are_named_and_what_was_not_enough_alone() -> None:
    last = ended(fresh("strong forced, source cut off"))
    record = ExecutionRecord(
        plan=last.plan,
        execution=last.state.execution,
        reason="",
        record=GroupRecord(group=last.plan.group),
        events=last.events,
    )
    report = build(record)
    tried = [(one.resource, one.insufficient) for one in report.tries if one.step == "db.fence"]
    first, second, third = "db@left:fence_agents", "db@left:fence_agents-2", "db@left:fence_agents-3"
    assert tried == [(first, True), (second, True), (third, False)]
    assert report.weakest_link == f"db.fence: power off (F3, latched), read back by {first} and {second} and {third}."
    assert [(line.strength, line.sufficient) for line in report.evidence if line.step == "db.fence"] == [
        ("F2", False), ("F2", False), ("F2", False), ("F3", True),
    ]  # fmt: skip
    assert summary.numbers(report)[2].value == "F3"
