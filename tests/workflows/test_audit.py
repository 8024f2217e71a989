"""What humans say is in the audit trail, also what was refused and left no event in the history (I12)."""

from __future__ import annotations

from orchestrator.domain.commands import Abort, Approve, Skip
from orchestrator.runtime import audit
from tests.workflows.stage import Stage, raw, refused, say, until


async def test_a_refusal_is_kept_with_who_and_why(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        now = await stage.may(handle, "approve")
        assert now.plan is not None
        whys = [
            await refused(handle, "approve", Approve(by="mallory", to="az-a", plan=now.plan.hash)),
            await refused(handle, "skip", Skip(by="bob", step="approve", reason="in a hurry")),
        ]
        await refused(handle, "approve", raw("{}"))
        await say(handle, Abort(by="ann", reason="enough"))
        await handle.result()
        await until(lambda: stage.audited("command"))
    digest = now.plan.digest
    first, second = stage.audited("refused")
    assert (first.who, first.group, first.plan) == ("mallory", stage.group, digest)
    asked = {"command": "approve", "to": "az-a", "plan": now.plan.hash, "max_loss": None}
    assert first.detail == {"execution": handle.id, **asked, "why": whys[0]}
    assert (second.who, second.detail["command"], second.detail["why"]) == ("bob", "skip", whys[1])
    (taken,) = stage.audited("command")
    assert (taken.who, taken.detail["command"], taken.detail["reason"]) == ("ann", "abort", "enough")
    assert audit.verify(stage.journal) is None


async def test_a_replay_writes_nothing_again(stage: Stage) -> None:
    async with stage.worker():
        handle = await stage.failover()
        await stage.approved(handle)
        await until(lambda: stage.audited("command"))
        await handle.result()
    async with stage.worker():  # has no execution in its cache, so a query replays it from its start
        await handle.query("snapshot")
    assert [entry.who for entry in stage.audited("command")] == ["ann"]
    assert [entry.detail["command"] for entry in stage.audited("command")] == ["approve"]


async def test_each_request_stands_in_the_trail_after_the_claim(stage: Stage) -> None:
    async with stage.worker():
        await stage.failed_over()
        await until(lambda: stage.audited("command"))
    kinds = [entry.what for entry in audit.entries(stage.journal)]
    requests = [pid for resource in stage.world.things() for pid in stage.world.reached(resource, "sent")]
    assert kinds.count("effect") == len(requests)
    assert kinds.index("claimed") < kinds.index("effect")
    assert kinds[-1] == "finished"
    assert audit.verify(stage.journal) is None
