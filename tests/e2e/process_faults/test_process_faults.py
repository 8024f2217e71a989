"""Every process fault at every step boundary of the lab's plans: all by `make faults`, here a sample of them.

TIDEOVER_FAULTS: `all`, a schedule, or several divided by `;`. TIDEOVER_FAULTS_SEED chooses another sample.
"""

from __future__ import annotations

import os

import pytest

from orchestrator.app.temporal_binary import ServerBinary
from tests.e2e.lab.world import Lab
from tests.e2e.process_faults.running import carry_out
from tests.e2e.process_faults.schedule import Schedule, every, plans, sample

pytestmark = pytest.mark.lab
PLANS = plans()
SEED = int(os.environ.get("TIDEOVER_FAULTS_SEED", "1"))


def _chosen() -> tuple[Schedule, ...]:
    wanted = os.environ.get("TIDEOVER_FAULTS", "")
    if wanted == "all":
        return every(PLANS)
    return tuple(Schedule.parse(text) for text in wanted.split(";")) if wanted else sample(PLANS, SEED)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("schedule", _chosen(), ids=str)
async def test_a_process_fault(lab: Lab, temporal_binary: ServerBinary, schedule: Schedule) -> None:
    print(f"again: make faults SCHEDULE='{schedule}'")  # noqa: T201 -- shown where it fails
    account = await carry_out(lab, temporal_binary, schedule, PLANS)
    print(account)  # noqa: T201 -- likewise
    hit = {*account.struck, *account.overtaken}
    planned = {injection for leg in schedule.legs for injection in leg.injections}
    assert hit == planned, "each fault found its moment"
