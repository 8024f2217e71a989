"""Ledgers for the tests of the ledger: a group that execution e1 holds, and what is requested of it."""

from __future__ import annotations

from orchestrator.domain import ledger
from orchestrator.domain.ledger import Attempt, Execution, GroupRecord, Request
from orchestrator.domain.outcome import Done
from orchestrator.domain.plan import Want
from orchestrator.domain.world import Evidence, Power, Reading, Role, State, Strength

PLAN, MACHINE, SERVER = "p" * 64, "db@a:bmc", "db@b"
EPOCH = 3


def execution(name: str = "e1", plan: str = PLAN) -> Execution:
    return Execution(id=name, who="ann", plan=plan, mode="forced", target="b", since=0.0)


def want(desired: State, site: str | None = "a", component: str = "db", resource: str = MACHINE) -> Want:
    return Want(resource=resource, component=component, site=site, desired=desired)


OFF, ON, PRIMARY = Power(power="off"), Power(power="on"), Role(role="primary")
FENCE, UNFENCE = want(OFF), want(ON)
PROMOTE = want(PRIMARY, "b", resource=SERVER)


def request(n: int = 1, wanted: Want = FENCE, epoch: int = EPOCH, undo: bool = False, at: float = 100.0) -> Request:
    before = ON if wanted == FENCE else None
    return Request(attempt=Attempt(epoch=epoch, step="s", method=0, n=n, undo=undo), want=wanted, before=before, at=at)


def record(**more: object) -> GroupRecord:
    return GroupRecord.model_validate({"group": "shop", "epoch": EPOCH, "execution": execution(), **more})


def entered(into: GroupRecord, made: Request) -> GroupRecord:
    found = ledger.enter(into, made, PLAN)
    assert isinstance(found, GroupRecord), found
    return found


def done(wanted: Want, read_at: float = 200.0) -> Done:
    reading = Reading(states=(wanted.desired,), authority="test", authoritative=True, latched=True)
    evidence = Evidence(
        resource=wanted.resource, state=wanted.desired, reading=reading, strength=Strength.F2, read_at=read_at
    )
    return Done(evidence=evidence, changed=True)
