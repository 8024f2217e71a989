"""What a group holds in the world, so that no other group changes the same thing beside it (I6)."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.plan import CHANGES, Plan


def holding(record: GroupRecord, plan: Plan, held: Mapping[str, str]) -> dict[str, str] | str:
    """What changes in `held`, thing to the group that holds it ("": none), so that `record` may stand; or why not (I6).

    While the group is claimed it holds everything that the plan changes, afterwards what is in doubt: our effect may
    still reach it. Which of an older plan's things a doubt is about cannot be told, so with any doubt all stay held.
    """
    changing = {want.resource for step in plan.steps if step.kind in CHANGES for want in step.wants}
    doubtful = {doubt.want.resource for doubt in record.doubts}
    wanted = changing if record.execution else doubtful & plan.resources.keys()
    things = {plan.resources[resource].key for resource in wanted}
    for thing in sorted(things):
        if held.get(thing, "") not in ("", record.group):
            other = held[thing]
            way_out = f"wait until that has ended, and look with `tideover status {other}`"
            return f"{thing} is in use by the group {other}: {way_out}"
    ours = {thing for thing, group in held.items() if group == record.group}
    if record.doubts:
        ours &= {spec.key for spec in plan.resources.values()}
    return {**dict.fromkeys(things - ours, record.group), **dict.fromkeys(ours - things, "")}
