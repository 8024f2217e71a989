"""What stands in the ledger by people's word: the end of a doubt that nothing else could end, and a fence (FH)."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.ledger import GroupRecord, Request


def settle_by_hand(record: GroupRecord, resource: str, late_effect: float | None) -> GroupRecord | str:
    """Doubts on `resource` closed because somebody knows that what was asked for can no longer happen; or why not.

    `late_effect`: as the type of the resource says.
    """
    doubts = [doubt for doubt in record.doubts if doubt.want.resource == resource]
    if record.execution:
        return f"{record.group} is held by {record.execution}: end that first; `tideover doctor` tells whether it runs"
    if not doubts:
        doubtful = ", ".join(sorted({doubt.want.resource for doubt in record.doubts})) or "nothing"
        return f"nothing that was asked of {resource} is in doubt; in doubt is {doubtful}"
    for doubt in doubts:
        if why := beyond_a_word(doubt, late_effect):
            return f"{doubt.want}: {why}"
    return record.model_copy(update={"doubts": tuple(d for d in record.doubts if d.want.resource != resource)})


def fence_by_hand(record: GroupRecord, off: Mapping[str, str]) -> GroupRecord:
    """What people have switched off, resource to site, stands as fenced until it is rebuilt or unfenced (I9)."""
    return record.model_copy(update={"fenced": {**record.fenced, **off}}) if off else record


def beyond_a_word(doubt: Request, late_effect: float | None) -> str | None:
    """What ends the doubt, where no person's word does; None where nothing else ever could.

    A word is taken only where no lateness is known, and no site's power to accept writes hangs on it: that is proven
    and never believed (I2).
    """
    if late_effect is not None:
        return (
            f"it may come {late_effect:g}s late at most, and the checks of the next execution after that end the doubt"
        )
    if doubt.want.activates or doubt.want.deactivates:
        resource = doubt.want.resource
        return f"whether a site accepts writes is proven, and never taken on a word: put {resource} back in the runbook"
    return None
