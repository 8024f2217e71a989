"""Answers that are lost, refusals, and executions that end without a word: what is in doubt is never forgotten (I8)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import TerminatedError, WorkflowAlreadyStartedError

from orchestrator.domain import derivation
from orchestrator.domain.checks import judge
from orchestrator.domain.commands import Abort, Retry
from tests.workflows.stage import Handle, Stage, one_line, refused, say, until
from tests.workflows.toy.provider import LATEST

FENCE, PROMOTE = "db@az-a:toy", "db@az-b"


@pytest.fixture
def short_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt to fence or promote gives up after two seconds."""
    monkeypatch.setitem(derivation.TIMEOUTS, "fence", 2.0)
    monkeypatch.setitem(derivation.TIMEOUTS, "promote", 2.0)


async def _held(stage: Stage, resource: str, point: str) -> Handle:
    stage.world.break_(resource, point, "hang")
    handle = await stage.failover()
    await stage.approved(handle)
    await until(lambda: stage.world.reached(resource, point))
    return handle


async def test_a_promotion_refused_before_any_request_is_rolled_back(stage: Stage) -> None:
    before = stage.world.things()
    stage.world.break_(PROMOTE, "before", "Rejected")
    async with stage.worker():
        handle = await stage.failover()
        await stage.approved(handle)
        result = await handle.result()
    assert (result.end, result.why) == (
        "ROLLED_BACK", "db.promote: db@az-b: Rejected at before; everything touched is as it was before",
    )  # fmt: skip
    assert stage.world.things() == before
    assert stage.ledger.record().doubts == ()
    assert not stage.world.was_split()


@pytest.mark.usefixtures("short_attempts")
async def test_a_promotion_whose_answer_is_lost_keeps_the_old_primary_fenced(stage: Stage) -> None:
    async with stage.worker():
        handle = await _held(stage, PROMOTE, "done")
        stage.world.break_(PROMOTE, "observe", "Doubtful")
        stage.world.break_(PROMOTE, "done", "Doubtful")
        why = await stage.waiting(handle)
        assert why.startswith("db.promote: role primary was sent, or maybe (db@az-b: Doubtful at done)")
        assert stage.world.things()[FENCE] == {"power": "off"}
        assert "abort" not in (await stage.may(handle, "retry")).may
        said = await refused(handle, "abort", Abort(by="ann"))
        assert said == "the promotion of db was requested: from here on only forward, or a human decides"
        stage.world.mend()
        await say(handle, Retry(by="ann", step="db.promote"))
        assert (await handle.result()).end == "SUCCEEDED"
    assert [effect.state for effect in stage.world.effects(PROMOTE)] == ["role primary"]
    assert not stage.world.was_split()


@pytest.mark.usefixtures("short_attempts")
async def test_a_promotion_that_comes_late_is_found(stage: Stage) -> None:
    stage.world.break_(PROMOTE, "sent", f"late:{LATEST}")
    async with stage.worker():
        handle = await stage.failover()
        await stage.approved(handle)
        await stage.waiting(handle)
        await until(lambda: stage.world.writable() == ["az-b"])
        await say(handle, Retry(by="ann", step="db.promote"))
        assert (await handle.result()).end == "SUCCEEDED"
    assert len(stage.world.reached(PROMOTE, "sent")) == 1


@pytest.mark.usefixtures("short_attempts")
async def test_a_promotion_without_effect_is_not_believed(stage: Stage) -> None:
    stage.world.break_(PROMOTE, "sent", "ignore")
    async with stage.worker():
        handle = await stage.failover()
        await stage.approved(handle)
        why = await stage.waiting(handle)
        assert why.startswith("db.promote: role primary was accepted but never read back")
        assert stage.world.things()["name"]["records"] == {"A": ["10.0.1.10"]}
        stage.world.mend()
        await say(handle, Retry(by="ann", step="db.promote"))
        assert (await handle.result()).end == "SUCCEEDED"


@pytest.mark.usefixtures("short_attempts")
@pytest.mark.parametrize(("resource", "step"), [(FENCE, "db.fence"), (PROMOTE, "db.promote")])
async def test_an_error_that_nobody_foresaw_is_unknown(stage: Stage, resource: str, step: str) -> None:
    stage.world.break_(resource, "sent", "leak")
    async with stage.worker():
        handle = await stage.failover()
        await stage.approved(handle)
        await stage.waiting(handle)
        now = await stage.may(handle, "retry")
        assert now.state is not None
        assert now.state.steps[step].status == "unknown"
        (told,) = [entry for entry in stage.audited("ended") if entry.detail["outcome"] == "unknown"]
        assert "an error that its adapter does not foresee, ValueError at provider.py:" in told.detail["said"]
        stage.world.mend()
        await say(handle, Retry(by="ann", step=step))
        assert (await handle.result()).end == "SUCCEEDED"


@pytest.mark.parametrize("resource", ["db@az-a", FENCE])
async def test_an_error_that_nobody_foresaw_hides_one_resource_and_no_other(stage: Stage, resource: str) -> None:
    stage.world.break_(resource, "observe", "leak")
    async with stage.worker():
        handle = await stage.failover()
        now = await stage.may(handle, "approve")
        assert now.state is not None
        (error,) = now.state.errors.values()
        assert re.fullmatch(
            f"{resource}: an error that its adapter does not foresee, ValueError at provider.py:[0-9]+: report it",
            error.why,
        )
        assert set(now.state.readings) == {"db@az-a", "db@az-b", FENCE, f"{PROMOTE}:toy", "address", "name"} - {
            resource
        }
        await say(handle, Abort(by="ann"))
        await handle.result()


async def test_a_second_start_is_refused_with_the_holders_name(stage: Stage) -> None:
    """At once where the group is held when it is planned, else when it claims the group."""
    async with stage.worker():
        other = await stage.failover(id=f"mine/{stage.group}")
        await stage.may(other, "approve")
        handle = await _held(stage, FENCE, "before")
        held = f"{stage.group} is held by {handle.id}#{handle.run_id}, forced to az-b, started by ann"
        with pytest.raises(WorkflowAlreadyStartedError):
            await stage.failover()
        late = await stage.failover(id=f"late/{stage.group}")
        with pytest.raises(WorkflowFailureError) as caught:
            await late.result()
        assert held in one_line(caught.value.cause)
        await stage.approved(other)
        result = await other.result()
        assert (result.end, held in result.why) == ("REFUSED", True)
        stage.world.mend()
        assert (await handle.result()).end == "SUCCEEDED"
    assert len(stage.world.effects(FENCE)) == 1


@asynccontextmanager
async def _terminated(stage: Stage, resource: str, point: str, *, mended: bool = True) -> AsyncIterator[None]:
    """A failover that was ended in the UI without a word, while its request hung at the point; then all is mended."""
    handle = await _held(stage, resource, point)
    await handle.terminate("somebody clicked")
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, TerminatedError)
    if mended:
        stage.world.mend()
    yield


@pytest.mark.parametrize("resource", [FENCE, PROMOTE])
@pytest.mark.parametrize("point", ["before", "sent", "done"])
async def test_the_next_execution_inherits_what_a_terminated_one_left(stage: Stage, resource: str, point: str) -> None:
    async with stage.worker(), _terminated(stage, resource, point, mended=False):
        assert stage.ledger.record().execution is not None
        again = await stage.failover()
        now = await stage.approved(again)
        await until(lambda: stage.ledger.record().epoch == 2)  # from here on the guard stops what still hangs
        stage.world.mend()
        assert now.plan is not None
        assert now.state is not None
        (told,) = [str(finding) for finding in judge(now.plan, now.state) if finding.component == stage.group]
        assert f"{stage.group}: is held by {again.id}#" in told
        begun = "" if (resource, point) == (FENCE, "before") else f"{FENCE}: power off"
        assert begun in told
        result = await again.result()
    assert result.end == "SUCCEEDED", result.why
    assert stage.ledger.record().epoch == 2
    assert [effect.state for effect in stage.world.effects(FENCE)] == ["power off"]
    assert [effect.state for effect in stage.world.effects(PROMOTE)] == ["role primary"]
    assert not stage.world.was_split()
