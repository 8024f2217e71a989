"""What opens the barrier is also what can close it again: an old primary that answers, or that feeds the standby."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.domain import barrier
from orchestrator.domain.admission import refusal
from orchestrator.domain.commands import Approve, Attest, Pause, Resume
from orchestrator.domain.rehearsal.driving import driven, folded, step_of
from orchestrator.domain.rehearsal.model import passed, powered
from orchestrator.domain.rehearsal.values import Broken, Rehearsal
from orchestrator.domain.state import End, Human, Issued, Looked, Status
from orchestrator.domain.world import Reading, Role, Strength
from tests.domain.on_the_way import ended, states_on_the_way
from tests.domain.test_admission import REASON, fresh, waiting_on_the_fence


def more(now: Rehearsal) -> Approve:
    """All that may be lost is accepted."""
    return Approve(by="ann", to="right", plan=now.plan.hash, max_loss="1h")


def vouched(now: Rehearsal) -> Rehearsal:
    """Two people vouch for the fence, and everything that follows has come about."""
    for by in ("ann", "bob"):
        now = driven(folded(now, Human(command=Attest(by=by, step="db.fence", reason=REASON), at=now.world.clock)))
    return next((later for later in states_on_the_way(now) if later.state.waiting), list(states_on_the_way(now))[-1])


def test_people_who_vouch_for_a_primary_that_lives_are_contradicted_by_it() -> None:
    """I2"""
    waiting = waiting_on_the_fence()
    healed = waiting._replace(world=replace(waiting.world, cut=frozenset(), severed=frozenset()))
    now = vouched(healed)
    assert now.state.waiting
    assert "left is alive: it streams to the standby and says so itself (I2)" in now.state.waiting.why
    assert "it answers as a primary" in now.state.waiting.why
    assert now.state.steps["db.fence"].evidence is None, "and their word is void: both would have to give it again"
    assert "nothing waits for an approval" in str(refusal(now.plan, now.state, more(now))), "more loss does not help"
    assert ended(now).world.writable("db") == {"left"}


def test_a_promotion_waits_until_what_would_be_lost_is_known_whatever_leads_to_it() -> None:
    """I3, once more: the order of the plan says the same."""
    now = next(
        n for n in states_on_the_way(fresh("demo planned")) if n.state.steps["db.catch_up"].status is Status.DONE
    )
    promote = now.plan.step("db.promote")
    assert barrier.closed(now.plan, now.state, promote) is None
    for status in set(Status) - {Status.DONE}:
        record = now.state.steps["db.catch_up"].model_copy(update={"status": status})
        state = now.state.model_copy(update={"steps": {**now.state.steps, "db.catch_up": record}})
        assert "(I3)" in (barrier.closed(now.plan, state, promote) or "")


@pytest.mark.parametrize(("name", "steps", "why"), [
    ("demo planned", ("db.stop",), "is not confirmed (I2)"),
    ("demo forced, source healthy", ("db.fence",), "is not confirmed (I2)"),
    ("demo forced, source healthy", ("db.measure",), "(I3)"),
    ("demo forced, source healthy", ("db.recheck",), "may still accept commits (I2)"),
])  # fmt: skip
def test_a_promotion_waits_for_each_proof_whatever_leads_to_it(name: str, steps: tuple[str, ...], why: str) -> None:
    now = next(n for n in states_on_the_way(fresh(name)) if n.state.steps["db.promote"].status is not Status.PENDING)
    promote = now.plan.step("db.promote")
    assert barrier.closed(now.plan, now.state, promote) is None
    for status in set(Status) - {Status.DONE}:
        changed = {step: now.state.steps[step].model_copy(update={"status": status}) for step in steps}
        state = now.state.model_copy(update={"steps": {**now.state.steps, **changed}})
        assert why in (barrier.closed(now.plan, state, promote) or "")


@pytest.mark.parametrize(("changed", "why"), [
    ({"strength": Strength.F1}, "evidence is only F1"), ({"latched": False}, "it is not latched"),
])  # fmt: skip
def test_a_promotion_judges_the_evidence_of_the_fence_once_more(changed: dict[str, object], why: str) -> None:
    """I2, whatever it was that called the step done."""
    scenario = fresh("demo forced, source healthy")
    now = next(n for n in states_on_the_way(scenario) if n.state.steps["db.promote"].status is not Status.PENDING)
    record = now.state.steps["db.fence"]
    assert record.evidence is not None
    evidence = record.evidence.model_copy(update=changed)
    if "latched" in changed:
        evidence = record.evidence.model_copy(update={"reading": record.evidence.reading.model_copy(update=changed)})
    steps = {**now.state.steps, "db.fence": record.model_copy(update={"evidence": evidence})}
    found = barrier.closed(now.plan, now.state.model_copy(update={"steps": steps}), now.plan.step("db.promote"))
    assert why in (found or "")


def test_control_where_nobody_sees_the_primary_the_same_words_split_the_service() -> None:
    """The weakest link is the people: from outside, a partition and a death look the same."""
    with pytest.raises(Broken, match=r"I1: db is writable at \['left', 'right'\]"):
        vouched(waiting_on_the_fence())


def lied_to(name: str, component: str) -> Rehearsal:
    """The device of the component's fence has read the machine off, but it runs on and feeds no standby."""
    before = fresh(name)
    fenced = next(n for n in states_on_the_way(before) if n.state.steps[f"{component}.fence"].status is Status.DONE)
    place = (component, "left")
    servers = {**fenced.world.servers, place: replace(before.world.servers[place], role="primary")}
    cut = frozenset(component for component, _ in servers)
    alive = replace(fenced.world, servers=servers, power={**fenced.world.power, place: "on"}, severed=cut)
    return fenced._replace(world=alive)


def attempts(now: Rehearsal, step: str) -> list[int]:
    """The methods that the step was tried with, in order."""
    issued = [event.attempt for event in now.events if isinstance(event, Issued)]
    return [attempt.method for attempt in issued if attempt.step == step and not attempt.undo]


def test_a_primary_that_answers_after_its_fence_makes_that_void_and_nothing_is_promoted() -> None:
    """I2: one method, which lied: a human is asked."""
    now = next(n for n in states_on_the_way(lied_to("demo forced, source healthy", "db")) if n.state.waiting)
    assert now.state.waiting
    assert now.state.waiting.steps == ("db.fence",)
    assert "db.fence: its evidence is void: left is alive: it answers as a primary" in now.state.waiting.why
    assert now.world.writable("db") == {"left"}
    assert attempts(now, "db.promote") == []


def test_the_next_method_is_tried_where_the_first_is_contradicted_and_all_is_read_anew() -> None:
    now = lied_to("pair forced, source dead", "ledger")
    assert attempts(now, "ledger.fence") == [0]
    last = ended(now)
    assert attempts(last, "ledger.fence") == [0, 1]
    assert attempts(last, "stock.fence") == [0], "what nobody contradicts stands"
    assert last.state.finish
    assert last.state.finish.end is End.SUCCEEDED
    looks = [event.step for event in last.events if isinstance(event, Looked)]
    assert looks.count("ledger.measure") == looks.count("stock.measure") == 3, (
        "the gate took its time, and the time of the fence is another one"
    )
    assert looks.count("ledger.recheck") == 2


def powered_on_by_hand(now: Rehearsal) -> Rehearsal:
    """Somebody has powered the fenced machine on again: its server is the primary that it was, and feeds no standby."""
    assert now.world.power["db", "left"] == "off"
    alive = powered(
        replace(now.world, cut=frozenset(), autostart=True, severed=frozenset({"db"})), ("db", "left"), "on"
    )
    assert alive.writable("db") == {"left"}
    return now._replace(world=alive)


def waiting_for_more_loss() -> Rehearsal:
    """It is fenced, was looked at, and more would be lost than was accepted."""
    claimed = next(n for n in states_on_the_way(fresh("demo forced, strict")) if n.state.claimed)
    behind = claimed._replace(world=passed(replace(claimed.world, severed=frozenset({"db"})), 600.0))
    now = next(n for n in states_on_the_way(behind) if n.state.waiting and n.state.waiting.loss)
    assert now.state.steps["db.recheck"].status is Status.DONE
    return powered_on_by_hand(now)


def paused_before_the_promotion() -> Rehearsal:
    """It was paused while the old primary was looked at, for the last time before the promotion."""
    scenario = fresh("demo forced, source healthy")
    now = next(n for n in states_on_the_way(scenario) if any(step_of(f) == "db.recheck" for f in n.flights))
    now = driven(folded(now, Human(command=Pause(by="bob"), at=now.world.clock)))
    now = next(n for n in states_on_the_way(now) if n.state.steps["db.recheck"].status is Status.DONE)
    assert now.state.steps["db.measure"].status is Status.DONE
    assert now.state.steps["db.promote"].status is Status.PENDING
    return powered_on_by_hand(now)


@pytest.mark.parametrize("given", [waiting_for_more_loss, paused_before_the_promotion])
def test_after_a_human_has_taken_their_time_the_old_primary_is_looked_at_anew(given: Callable[[], Rehearsal]) -> None:
    """I2: what was read before they were asked says nothing of now."""
    now = given()
    command = more(now) if now.state.waiting else Resume(by="bob")
    now = driven(folded(now, Human(command=command, at=now.world.clock)))
    assert attempts(now, "db.promote") == [], "it is looked at first"
    told = next(n for n in states_on_the_way(now) if n.state.steps["db.fence"].status is not Status.DONE)
    assert "it answers as a primary" in told.state.steps["db.fence"].said
    assert attempts(told, "db.promote") == []


@pytest.mark.parametrize("given", [waiting_for_more_loss, paused_before_the_promotion])
def test_control_without_the_second_look_the_service_splits(
    given: Callable[[], Rehearsal], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = given()
    monkeypatch.setattr(importlib.import_module("orchestrator.domain.engine.fold"), "_looked_anew", lambda _, s: s)
    command = more(now) if now.state.waiting else Resume(by="bob")
    with pytest.raises(Broken, match=r"I2|I1"):
        ended(driven(folded(now, Human(command=command, at=now.world.clock))))


def test_what_cannot_be_read_is_no_evidence_either_way() -> None:
    """A failed probe never counts, and a dark host does not hold up what its device has confirmed."""
    last = ended(fresh("demo forced, source healthy"))
    assert last.state.steps["db.recheck"].said.startswith("no answer, which proves nothing")
    assert last.state.finish
    assert last.state.finish.end is End.SUCCEEDED
    dark = fresh("demo forced, fence dark")
    waiting = next(now for now in states_on_the_way(dark) if now.state.waiting)
    assert waiting.state.steps["db.recheck"].status is Status.PENDING, "it confirms no fence"


def test_another_database_at_the_same_address_is_not_the_old_primary() -> None:
    now = lied_to("demo forced, source healthy", "db")
    step = now.plan.step("db.recheck")
    answer = Reading(states=(Role(role="primary"),), authority="who answers", identity="system of db")
    assert barrier.veto(now.plan, now.state, step, answer)
    for harmless in (
        answer.model_copy(update={"identity": "another system"}),
        answer.model_copy(update={"states": (Role(role="standby"),)}),
        answer.model_copy(update={"states": ()}),
    ):
        assert barrier.veto(now.plan, now.state, step, harmless) is None


def test_control_without_the_veto_a_device_that_lies_splits_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier, "veto", lambda *_: None)
    with pytest.raises(Broken, match=r"I1: db is writable at \['left', 'right'\]"):
        ended(lied_to("demo forced, source healthy", "db"))


def test_a_promotion_that_a_human_approves_is_vetoed_by_what_is_read_after_that() -> None:
    now = lied_to("pair forced, source dead", "ledger")
    assert now.plan.step("ledger.recheck").after == ("promotion",)
    assert set(now.plan.step("ledger.promote").after) >= {"promotion", "ledger.recheck", "stock.recheck"}
