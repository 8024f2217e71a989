"""Fences that cannot be confirmed, that humans vouch for, or that a second method makes; and who returns behind one."""

from __future__ import annotations

import asyncio
import time

import pytest

from orchestrator.domain.commands import Attest
from orchestrator.domain.world import Strength
from orchestrator.runtime import archive
from tests.e2e.lab import description, names, outlet
from tests.e2e.lab.faults import Faults
from tests.e2e.lab.observer import Watch, writer
from tests.e2e.lab.probing import within
from tests.e2e.lab.world import Lab
from tests.e2e.operating import AT_CLOUD, FENCE_AT_DC, Operation

pytestmark = pytest.mark.lab
KNOWN = {"unproven": "a program of this test's own, at its own path"}


def _attestation(by: str) -> Attest:
    return Attest(by=by, step="db.fence", reason="I pulled both power cords of pg-a")


# ---- not confirmed


async def test_without_a_confirmed_fence_nothing_is_promoted(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    operation.describe(waiting="3s")
    inside = writer(lab, "inside", at="app-a", by=lab.address("pg-a"))
    with operation.worker(), faults.cut_bmc("pg-a"), faults.partition("dc"):
        handle = await operation.failover()
        await operation.approve(handle)
        waiting = await operation.waiting(handle)
        assert waiting.steps == ("db.fence",)
        result = await operation.end(handle)
        assert result.end == "NEEDS_HUMAN", result.why
        inside.wait_for_ack("inside")  # it is served all along: to promote would have split the brain
        assert not lab.databases["pg-b"].writable
    assert operation.requests(AT_CLOUD) == []
    assert operation.requests(FENCE_AT_DC) == []
    verdict = watch.report(inside)
    assert verdict.overlaps == ()
    assert verdict.lost == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1)]


async def test_what_two_people_vouch_for_counts_as_fenced(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    with operation.worker(), faults.cut_bmc("pg-a"):
        faults.crash_host("pg-a")  # dead indeed, which no authority can say
        handle = await operation.failover()
        await operation.approve(handle)
        await operation.waiting(handle)
        await operation.say(handle, _attestation("ann"))
        assert "a second person must" in await operation.refused(handle, _attestation("ann"))
        assert operation.requests(AT_CLOUD) == [], "one person is not enough"
        await operation.say(handle, _attestation("ben"))
        result = await operation.end(handle)
    assert result.end == "SUCCEEDED", result.why
    watch.see_service()
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]


async def test_control_a_false_testimony_is_seen_by_the_observer(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    with operation.worker(), faults.cut_bmc("pg-a"), faults.partition("dc"):
        handle = await operation.failover()
        await operation.approve(handle)
        await operation.waiting(handle)
        for person in ("ann", "ben"):
            await operation.say(handle, _attestation(person))
        result = await operation.end(handle)
    assert result.end == "SUCCEEDED", result.why
    verdict = watch.report(primary="pg-b")
    assert verdict.overlaps, "pg-a was alive, and two servers accepted commits at once"
    assert verdict.lost


# ---- a list of methods


async def test_where_the_first_method_does_not_answer_the_second_cuts(
    lab: Lab, faults: Faults, watch: Watch, operation: Operation
) -> None:
    components = description.runbook(lab)["components"]
    agent = outlet.install(lab.machines["pg-a"])
    components["db"]["at"]["dc"]["fence"].append({"fence_agents": {"agent": str(agent), **KNOWN}})
    operation.describe(components=components)
    with operation.worker(), faults.cut_bmc("pg-a"):
        await operation.succeeds(await operation.failover())
    assert operation.requests(FENCE_AT_DC) == []
    assert operation.requests(f"{FENCE_AT_DC}-2") == ["off"]
    assert lab.machines["pg-a"].power_history[-2:] == ["on", "off"]
    watch.see_service()
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]


async def test_where_two_authorities_are_asked_for_both_cut_and_both_give_back(
    lab: Lab, watch: Watch, operation: Operation
) -> None:
    components = description.runbook(lab)["components"]
    for site, machine in (("dc", "pg-a"), ("cloud", "pg-b")):
        agent, controller = str(outlet.install(lab.machines[machine])), {"controller": f"outlet-{machine}"}
        method = {"fence_agents": {"agent": agent, "fault_domain": controller, **KNOWN}}
        components["db"]["at"][site]["fence"].append(method)
    components["db"]["fencing"] = "F3"
    operation.describe(components=components)
    with operation.worker():
        await operation.succeeds(await operation.failover())
        assert operation.requests(FENCE_AT_DC) == operation.requests(f"{FENCE_AT_DC}-2") == ["off"]
        proof = archive.find(operation.journal, operation.group).state().steps["db.fence"].evidence
        assert proof is not None
        assert proof.strength is Strength.F3
        assert len(proof.authorities.split(" and ")) == 2
        await operation.succeeds(await operation.reprotect("dc"))
    assert operation.requests(f"{FENCE_AT_DC}-2")[-1] == "on", "the last that cut is the first that gives back"
    assert operation.ledger.fenced == {}
    watch.see_service()
    assert watch.report().overlaps == ()


# ---- contradicted


def _lied_to(lab: Lab, *more: str) -> dict[str, object]:
    """The components of a runbook whose first fence of pg-a lies; `more`: agents that come after it."""
    components: dict[str, object] = description.runbook(lab)["components"]
    agents = [str(outlet.lying(lab.machines["pg-a"])), *more]
    components["db"]["at"]["dc"]["fence"] = [{"fence_agents": {"agent": agent, **KNOWN}} for agent in agents]  # type: ignore[index]
    return components


async def test_a_primary_that_accepts_commits_after_its_fence_vetoes_the_promotion(
    lab: Lab, watch: Watch, operation: Operation
) -> None:
    operation.describe(components=_lied_to(lab), waiting="3s")
    inside = writer(lab, "inside", at="app-a", by=lab.address("pg-a"))
    with operation.worker():
        handle = await operation.failover()
        await operation.approve(handle)
        waiting = await operation.waiting(handle)
        assert waiting.steps == ("db.fence",)
        assert "its evidence is void: dc is alive: " in waiting.why
        assert "it answers as a primary, which accepts commits" in waiting.why
        result = await operation.end(handle)
    assert result.end == "NEEDS_HUMAN", result.why
    assert operation.requests(FENCE_AT_DC) == ["off"], "the device was asked, and has said off"
    assert operation.requests(AT_CLOUD) == []
    inside.wait_for_ack("inside")
    assert not lab.databases["pg-b"].writable
    verdict = watch.report(inside)
    assert verdict.overlaps == ()
    assert verdict.lost == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1)]


async def test_where_the_first_method_is_contradicted_the_second_cuts(
    lab: Lab, watch: Watch, operation: Operation
) -> None:
    operation.describe(components=_lied_to(lab, str(outlet.install(lab.machines["pg-a"]))))
    with operation.worker():
        await operation.succeeds(await operation.failover())
    assert operation.requests(FENCE_AT_DC) == ["off"]
    assert operation.requests(f"{FENCE_AT_DC}-2") == ["off"]
    assert lab.machines["pg-a"].power_history[-2:] == ["on", "off"]
    watch.see_service()
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]


# ---- the old primary returns


async def _failed_over(lab: Lab, operation: Operation) -> float:
    """When the service had gone to pg-b, with pg-a fenced, and somebody has pressed the power button of pg-a.

    The button is pressed once no client can have an answer from before the failover: until then, a server that comes
    back writable is found by a name that has not run out, which nobody can prevent.
    """
    await operation.succeeds(await operation.failover())
    assert lab.bmcs["pg-a"].power() == "off"
    for server in lab.name_servers:
        names.wait_for(server, [lab.address("pg-b")])
    await asyncio.sleep(names.TTL)
    returned = time.time()
    lab.machines["pg-a"].power_on()
    lab.machines["pg-a"].wait_until_up()
    return returned


def _routed_to(lab: Lab, watch: Watch, since: float) -> set[str]:
    """The servers that clients have reached by address or by name for some seconds since then."""
    time.sleep(names.TTL + 1)
    assert lab.holder_of_floating() == ["pg-b"]
    assert {names.lookup(server)[0] for server in lab.name_servers} == {(lab.address("pg-b"),)}
    watch.see_service()
    return {
        attempt.server
        for client in (watch.by_address, watch.by_name)
        for attempt in client.acked(client.sources[0])
        if attempt.begun > since
    }


async def test_an_old_primary_that_returns_is_not_writable_and_not_routed_to(
    lab: Lab, watch: Watch, operation: Operation
) -> None:
    with operation.worker():
        returned = await _failed_over(lab, operation)
    assert _routed_to(lab, watch, returned) == {"pg-b"}
    assert operation.ledger.fenced == {FENCE_AT_DC: "dc"}, "it stays fenced for Tideover until it is rebuilt (I9)"
    verdict = watch.report()
    assert verdict.overlaps == ()
    assert [(term.site, term.timeline) for term in verdict.terms] == [("dc", 1), ("cloud", 2)]


async def test_control_an_old_primary_that_starts_at_boot_is_seen_by_the_observer_and_not_routed_to(
    lab: Lab, watch: Watch, operation: Operation
) -> None:
    lab.databases["pg-a"].start_at_boot()
    with operation.worker():
        returned = await _failed_over(lab, operation)
        within(60, lambda: watch.observer.accepted_by("pg-a")[-1].begun > returned, "pg-a is writable again")
        assert _routed_to(lab, watch, returned) == {"pg-b"}
        refused = await operation.end(await operation.reprotect("dc"))
    assert refused.end == "REFUSED"
    assert "accepts writes" in refused.why
    verdict = watch.report(primary="pg-b")
    assert {(found.first.server, found.second.server) for found in verdict.overlaps} == {("pg-a", "pg-b")}
