"""What may move before the source is cut off, where a runbook has little or nothing to cut off."""

from __future__ import annotations

import pytest

from orchestrator.domain import barrier
from orchestrator.domain.plan import PlanMode
from orchestrator.domain.world import Evidence, Reading, Strength
from tests.domain.runbooks import SHOP, planned, runbook

SITES = SHOP.partition("components:")[0]

LINK = f"""{SITES}
components:
  link:
    type: command
    observe: [/bin/true]
    apply: [/bin/true]
"""

HOSTS = "left: {interface: eth0, ssh: left}, right: {interface: eth0, ssh: right}"
NAME_OF_AN_ADDRESS = (
    SHOP.replace("needs: [db]\n    address:", "address:")
    .replace("left: {interface: eth0}, right: {interface: eth0}", HOSTS)
    .replace("needs: [app]", "needs: [address]")
)


@pytest.mark.parametrize("mode", ["planned", "forced"])
def test_where_nothing_is_fenced_a_human_still_approves_before_anything_moves(mode: PlanMode) -> None:
    """I7"""
    assert planned(runbook(LINK), mode, "right").step("link.switch").after == ("approve",)


@pytest.mark.parametrize("mode", ["planned", "forced"])
def test_a_name_that_needs_only_an_early_address_does_not_go_ahead_of_the_promotion(mode: PlanMode) -> None:
    plan = planned(runbook(NAME_OF_AN_ADDRESS), mode, "right")
    cuts = {step.id for step in plan.of_kind("fence", "stop")}
    assert cuts
    assert cuts <= set(plan.step("address.announce").after)
    assert plan.step("name.switch").after == ("address.announce", "db.verify")


def test_an_address_has_left_a_host_that_lives_only_where_that_was_asked() -> None:
    """I10: in a planned move the old host is up; in a forced one it is fenced, and silent for good."""
    silent = {"right": "holds it", "left": "root@10.0.1.10: does not answer"}
    step = planned(runbook(SHOP), "planned", "right").step("address.announce")
    (want,) = step.wants

    def read(**asked: bool) -> Evidence:
        reading = Reading(states=(want.desired,), authority="ip address", facts=silent, **asked)
        strength = Strength.F2 if reading.authoritative else Strength.F1
        return Evidence(resource=want.resource, state=want.desired, reading=reading, strength=strength, read_at=1.0)

    lacking = barrier.sufficient(step, read())
    assert lacking is not None
    assert "F2 is needed" in lacking
    assert "left: root@10.0.1.10: does not answer" in lacking
    assert barrier.sufficient(step, read(authoritative=True)) is None
    assert barrier.sufficient(planned(runbook(SHOP), "forced", "right").step("address.announce"), read()) is None
