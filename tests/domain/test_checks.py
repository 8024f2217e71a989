"""What the checks say of databases that are down, and which way they lead out."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.checks import judge
from orchestrator.domain.engine import start
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.domain.plan import Plan, PlanMode, Want
from orchestrator.domain.world import PRIMARY, STOPPED, Reading, State
from tests.domain import runbooks

START_IT = "; it was the last one proven, and nothing is known to have replaced it: start its server"
AT_RIGHT, AT_LEFT = {"db": "right"}, {"db": "left"}
FENCED = {"db@right:fence_agents": "right"}
PROMOTED_AT_LEFT = Request(
    attempt=Attempt(epoch=1, step="db.promote", method=0, n=1),
    want=Want(resource="db@left", component="db", site="left", desired=PRIMARY),
    before=None,
    at=1.0,
)


CRASHED = Reading(states=(), authority="files", authoritative=True, identity="7")
PROMOTED_BY_HAND = CRASHED.model_copy(update={"states": (PRIMARY,)})


def _said(
    mode: PlanMode, right: State | None, left: Reading | None = CRASHED, latched: bool = False, **record: Any
) -> list[str]:
    """The blocking findings of a plan with the target left."""
    plan: Plan = runbooks.planned(runbooks.demo(), mode, "left")
    execution = Execution(id="e2", who="ann", plan=plan.digest, mode=mode, target="left", since=2.0)
    ledger = GroupRecord.model_validate({"group": plan.group, "epoch": 1, **record})
    at_right = CRASHED.model_copy(update={"states": (right,) if right else (), "latched": latched})
    read = {"db@right": at_right, **({"db@left": left} if left else {})}
    state = start(plan, execution, ledger).model_copy(update={"found": read, "readings": read})
    return [str(found) for found in judge(plan, state) if found.level == "blocks"]


@pytest.mark.parametrize(
    ("mode", "hinders"),
    [
        ("reprotect", ": there is no primary to rebuild left from"),
        ("planned", ", not primary: check the direction and the mode"),
    ],
)
@pytest.mark.parametrize(("right", "found"), [(None, "is down and was not shut down cleanly"), (STOPPED, "is stopped")])
@pytest.mark.parametrize(
    ("record", "way_out"),
    [
        pytest.param({"holders": AT_RIGHT}, START_IT, id="the last primary"),
        pytest.param({"holders": AT_LEFT}, "", id="replaced"),
        pytest.param({}, "", id="nobody knows which was the last"),
        pytest.param({"holders": AT_RIGHT, "fenced": FENCED}, "", id="fenced: an unfence comes first"),
        pytest.param({"holders": AT_RIGHT, "issued": (PROMOTED_AT_LEFT,)}, "", id="perhaps replaced"),
    ],
)
def test_without_a_primary_nothing_is_moved_or_rebuilt_and_the_last_one_is_named_where_it_is_safe_to_start(
    mode: PlanMode, hinders: str, right: State | None, found: str, record: dict[str, Any], way_out: str
) -> None:
    assert f"db at right: {found}{hinders}{way_out}" in _said(mode, right, **record)


@pytest.mark.parametrize("mode", ["reprotect", "planned"])
def test_what_was_stopped_so_that_it_stays_a_standby_is_to_be_started_as_a_primary(mode: PlanMode) -> None:
    said = _said(mode, STOPPED, holders=AT_RIGHT, latched=True)
    assert any(f"{START_IT} as a primary: as it is, it would come up as a standby" in one for one in said)


@pytest.mark.parametrize("left", [PROMOTED_BY_HAND, None], ids=["is a primary", "cannot be read"])
def test_the_last_primary_is_not_named_where_a_human_may_have_promoted_the_other(left: Reading | None) -> None:
    assert not any(START_IT in said for said in _said("planned", None, left, holders=AT_RIGHT))
    (told,) = [said for said in _said("reprotect", None, left, holders=AT_RIGHT) if said.startswith("db at right: ")]
    assert told == "db at right: is down and was not shut down cleanly: there is no primary to rebuild left from"


@pytest.mark.parametrize("mode", ["forced", "planned"])
def test_a_server_that_crashed_is_called_what_it_is(mode: PlanMode) -> None:
    (first, *_) = _said(mode, PRIMARY)
    found, _, way_out = first.partition(", not a standby: ")
    assert found == "db at left: is down and was not shut down cleanly"
    assert way_out == "start it if it was one, or rebuild it with reprotect"
