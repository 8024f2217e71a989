"""What has to hold after every schedule, whatever went wrong in it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import dns.message
import dns.query

from orchestrator.domain.state import End
from orchestrator.runtime import audit
from tests.e2e.lab import description, names
from tests.e2e.lab.judge import Report
from tests.e2e.lab.observer import Watch
from tests.e2e.lab.world import HOSTS, Lab
from tests.e2e.operating import Operation
from tests.e2e.process_faults.operator import Operator
from tests.e2e.process_faults.schedule import LEGS, Leg, Schedule
from tests.e2e.secrecy import search
from workflows.messages import Result

HOST_AT = {site: host for host, (site, _) in HOSTS.items()}


async def give(
    lab: Lab, watch: Watch, operation: Operation, operator: Operator, ends: Sequence[Result], schedule: Schedule
) -> None:
    """One server at a time, nothing lost beyond what was accepted, nothing done twice, and all of it truly told."""
    assert all(result.end in set(End) for result in ends), "an ending of I4"
    assert audit.verify(operation.journal) is None, "the audit trail is whole (I12)"
    serving, last = _serving(lab), ends[-1]
    done = schedule.legs[: len(ends)]
    if last.end == End.NEEDS_HUMAN:
        assert last.next_commands, "it names the commands to go on with"
    elif last.end == End.REFUSED and "start it again then" in last.why:
        assert operation.ledger.issued, "it waits for what was asked; that may have been answered since"
    else:
        assert serving == _expected(done, last, serving), f"served at {serving} after {last.end}: {last.why}"
        assert serving is not None, f"somebody serves after {', '.join(operator.ends)}: {last.why}"
        _clients_are_led_to(lab, watch, serving)
        _the_ledger_agrees(operation, serving, last)
    report = watch.report(primary=HOST_AT[serving] if serving else _running(lab))
    assert report.overlaps == (), "one server at a time (I1)"
    _nothing_was_promoted_twice(report)
    if serving:
        _nothing_was_lost(watch, report, operator)
    cuts = sum(machine.power_history[1:].count("off") for machine in lab.machines.values())
    assert cuts <= sum(mode != "planned" for mode in operator.begun), "no machine was cut twice by one execution"
    assert _serial(lab) <= 1 + sum(leg.name != "reprotect" for leg in done), "no name was moved twice by one execution"
    assert await search(operation, description.secrets()) == [], "no secret is anywhere (I14)"


def _serving(lab: Lab) -> str | None:
    """The site of the one writable server; None where there is none."""
    writable = [site for site, host in HOST_AT.items() if lab.databases[host].processes() and _writable(lab, host)]
    assert len(writable) <= 1, f"the old primary is not writable: {writable} (I1)"
    return writable[0] if writable else None


def _running(lab: Lab) -> str:
    """A host whose server runs, whatever its role: it is asked where nobody serves."""
    return next(host for host in HOSTS if lab.databases[host].processes())


def _writable(lab: Lab, host: str) -> bool:
    return lab.databases[host].writable


def _expected(done: Sequence[Leg], last: Result, serving: str | None) -> str | None:
    """Where the service has to be. What was refused has changed nothing: it is where it was, at either site."""
    at = "dc"
    for leg in done[:-1]:
        at = _target(leg, at)
    if last.end == End.SUCCEEDED:
        return _target(done[-1], at)
    return serving if last.end == End.REFUSED else at


def _target(leg: Leg, at: str) -> str:
    return at if leg.name == "reprotect" else LEGS[leg.name][1]


def _clients_are_led_to(lab: Lab, watch: Watch, serving: str) -> None:
    host = HOST_AT[serving]
    assert lab.holder_of_floating() == [host]
    for server in lab.name_servers:
        names.wait_for(server, [lab.address(host)])
    watch.see_service()


def _the_ledger_agrees(operation: Operation, serving: str | None, last: Result) -> None:
    ledger = operation.ledger
    assert ledger.execution is None, f"it is still held by {ledger.execution}, after {last.end}: {last.why}"
    assert ledger.holders.get("db", "dc") == serving, "the journal knows who is primary"
    assert serving not in ledger.fenced.values(), "what serves is not fenced"


def _nothing_was_promoted_twice(report: Report) -> None:
    """Each promotion begins a timeline: they rise by one, and no two servers follow each other on the same site."""
    assert [term.timeline for term in report.terms] == list(range(1, len(report.terms) + 1)), report.terms
    assert all(earlier.site != later.site for earlier, later in pairwise(report.terms)), report.terms


def _nothing_was_lost(watch: Watch, report: Report, operator: Operator) -> None:
    """A switchover loses nothing, a failover no more than it measured after its fence (I3)."""
    lost = watch.lost(report)
    if not lost:
        return
    assert operator.not_lost_before, f"nothing was forced, and lost is {lost[0]}"
    bound = min(operator.not_lost_before)
    assert all(attempt.executed >= bound for attempt in lost), f"{lost[0]} was lost, from before {bound}"


def _serial(lab: Lab) -> int:
    """How often the zone was changed."""
    answer = dns.query.udp(dns.message.make_query(names.ZONE, "SOA"), lab.name_servers[0], timeout=2)
    return int(answer.answer[0][0].serial)
