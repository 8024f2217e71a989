"""What is generated covers the plans, and a schedule's text is all of it."""

from __future__ import annotations

from itertools import product

import pytest

from orchestrator.domain.plan import CHANGES
from tests.e2e.process_faults.schedule import (
    ABORTED_AFTER,
    CHANGING,
    CLOSE,
    FAULTS,
    PLAN,
    UNDO,
    Moment,
    Schedule,
    drawn,
    every,
    plans,
    sample,
)

PLANS = plans()


def _hit(schedules: tuple[Schedule, ...]) -> set[tuple[str, str, Moment, str]]:
    """(execution, step, moment, fault) of every fault; the last execution of each schedule is the one that is hit."""
    return {(s.legs[-1].name, i.step, i.moment, i.fault) for s in schedules for i in s.legs[-1].injections}


def test_every_fault_is_tried_at_every_boundary_of_every_step() -> None:
    hit = _hit(every(PLANS))
    assert len(hit) == len(every(PLANS)), "each once"
    for name, plan in PLANS.items():
        if aborted_after := ABORTED_AFTER.get(name):
            struck = {(step, at, fault) for leg, step, at, fault in hit if leg == name}
            assert struck == set(product([aborted_after + UNDO], ["begun", *CHANGING], FAULTS))
            continue
        for step in plan.steps:
            of_step = {(moment, fault) for leg, other, moment, fault in hit if (leg, other) == (name, step.id)}
            moments = {moment for moment, _ in of_step}
            assert {"ended"} < moments
            assert ({"guarded", "asked"} <= moments) == (step.kind in CHANGES)
            assert ("guarded-again" in moments) == (step.kind == "rebuild")
            without = {"provider-cut"} if step.kind in ("approve", "recheck") else set()
            assert {fault for _, fault in of_step} == set(FAULTS) - without
        assert {PLAN, CLOSE} < {step for leg, step, _, _ in hit if leg == name}


@pytest.mark.parametrize("seed", range(20))
def test_a_sample_strikes_each_step_and_with_each_fault(seed: int) -> None:
    hit, whole = _hit(sample(PLANS, seed)), _hit(every(PLANS))
    assert {(leg, step) for leg, step, _, _ in hit} == {(leg, step) for leg, step, _, _ in whole}
    assert {fault for *_, fault in hit} == set(FAULTS)
    assert hit <= whole
    assert sample(PLANS, seed) == sample(PLANS, seed)


def test_a_schedule_is_its_text() -> None:
    for schedule in (*every(PLANS), *sample(PLANS, 1), *(drawn(PLANS, seed) for seed in range(50))):
        assert Schedule.parse(str(schedule)) == schedule


def test_what_is_drawn_is_drawn_again_from_its_seed() -> None:
    assert [drawn(PLANS, seed) for seed in range(50)] == [drawn(PLANS, seed) for seed in range(50)]
    assert len({str(drawn(PLANS, seed)) for seed in range(50)}) > 25


@pytest.mark.parametrize("text", ["sideways", "forced:db.fence/never/worker-killed", "forced:db.fence/guarded/hiccup"])
def test_a_word_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="it has to be one of"):
        Schedule.parse(text)
