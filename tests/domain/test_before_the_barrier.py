"""What may move before the source is cut off, where a runbook has little or nothing to cut off."""

from __future__ import annotations

import pytest

from orchestrator.domain.plan import PlanMode
from tests.domain.runbooks import SHOP, planned, runbook

SITES = SHOP.partition("components:")[0]

LINK = f"""{SITES}
components:
  link:
    type: command
    observe: [/bin/true]
    apply: [/bin/true]
"""

NAME_OF_AN_ADDRESS = SHOP.replace("needs: [db]\n    address:", "address:").replace("needs: [app]", "needs: [address]")


@pytest.mark.parametrize("mode", ["planned", "forced"])
def test_where_nothing_is_fenced_a_human_still_approves_before_anything_moves(mode: PlanMode) -> None:
    """I7"""
    assert planned(runbook(LINK), mode, "right").step("link.switch").after == ("approve",)


@pytest.mark.parametrize("mode", ["planned", "forced"])
def test_a_name_that_needs_only_an_early_address_does_not_go_ahead_of_the_barrier(mode: PlanMode) -> None:
    plan = planned(runbook(NAME_OF_AN_ADDRESS), mode, "right")
    cuts = {step.id for step in plan.of_kind("fence", "stop")}
    assert cuts
    assert cuts <= set(plan.step("address.announce").after)
    assert plan.step("name.switch").after == ("address.announce",)
