"""Plans as they follow from runbooks: the exact graphs, and what holds for every runbook."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import parse, read
from orchestrator.domain.component_types import TYPES
from orchestrator.domain.derivation import derive
from orchestrator.domain.errors import NotFoundLocally
from orchestrator.domain.plan import Plan, PlanMode
from orchestrator.domain.runbook import Runbook
from orchestrator.domain.world import Records, Role
from tests.domain import runbooks
from tests.domain.valid_runbook import changed

MODES: tuple[PlanMode, ...] = ("forced", "planned", "reprotect", "unfence")
MOVES: tuple[PlanMode, ...] = ("forced", "planned")


def graph(plan: Plan) -> list[str]:
    return [f"{step.id} <- {', '.join(step.after)}" if step.after else step.id for step in plan.steps]


def plan_of(runbook: Runbook, mode: PlanMode, to: str) -> Plan:
    return runbooks.planned(runbook, mode, to)


def demo(mode: PlanMode, to: str = "right") -> list[str]:
    return graph(plan_of(runbooks.demo(), mode, to))


def shop(mode: PlanMode, to: str = "right") -> list[str]:
    return graph(plan_of(runbooks.runbook(runbooks.SHOP), mode, to))


def test_demo_forced() -> None:
    assert demo("forced") == snapshot(
        [
            "db.check",
            "name.check",
            "approve <- db.check, name.check",
            "db.fence <- approve",
            "db.measure <- db.fence",
            "db.recheck <- db.fence",
            "db.promote <- db.fence, db.measure, db.recheck",
            "db.verify <- db.promote",
            "name.switch <- db.verify",
            "verify-1 <- db.verify, name.switch",
        ]
    )


def test_demo_planned() -> None:
    assert demo("planned") == snapshot(
        [
            "db.check",
            "name.check",
            "approve <- db.check, name.check",
            "db.stop <- approve",
            "db.catch_up <- db.stop",
            "db.promote <- db.stop, db.catch_up",
            "db.verify <- db.promote",
            "name.switch <- db.verify",
            "verify-1 <- db.verify, name.switch",
        ]
    )


def test_demo_reprotect() -> None:
    assert demo("reprotect") == snapshot(
        [
            "db.check",
            "approve <- db.check",
            "db.isolate <- approve",
            "db.start <- db.isolate",
            "db.rebuild <- db.start",
            "db.release <- db.rebuild",
        ]
    )


def test_demo_unfence() -> None:
    assert demo("unfence") == snapshot(["db.check", "approve <- db.check", "db.start <- approve"])


def test_shop_forced() -> None:
    assert shop("forced") == snapshot(
        [
            "db.check",
            "address.check",
            "app.check",
            "name.check",
            "approve <- db.check, address.check, app.check, name.check",
            "db.fence <- approve",
            "app.fence <- approve",
            "address.switch <- approve",
            "db.measure <- db.fence, app.fence",
            "db.recheck <- db.fence, app.fence",
            "db.promote <- db.fence, app.fence, db.measure, db.recheck",
            "db.verify <- db.promote",
            "address.announce <- address.switch, db.verify",
            "app.start <- db.fence, app.fence, db.measure, db.recheck, db.verify",
            "name.switch <- app.start",
        ]
    )


def test_shop_planned() -> None:
    assert shop("planned") == snapshot(
        [
            "db.check",
            "address.check",
            "app.check",
            "name.check",
            "approve <- db.check, address.check, app.check, name.check",
            "app.stop <- approve",
            "db.stop <- app.stop",
            "db.catch_up <- db.stop",
            "address.switch <- app.stop, db.stop, db.catch_up",
            "db.promote <- app.stop, db.stop, db.catch_up",
            "db.verify <- db.promote",
            "address.announce <- address.switch, db.verify",
            "app.start <- app.stop, db.stop, db.catch_up, db.verify",
            "name.switch <- app.start",
        ]
    )


def test_a_gate_before_the_promotion_stands_between_the_barrier_and_it() -> None:
    assert graph(plan_of(runbooks.runbook(runbooks.PAIR), "forced", "right")) == snapshot(
        [
            "ledger.check",
            "stock.check",
            "approve <- ledger.check, stock.check",
            "ledger.fence <- approve",
            "stock.fence <- approve",
            "ledger.measure <- ledger.fence, stock.fence",
            "stock.measure <- ledger.fence, stock.fence",
            "promotion <- ledger.fence, stock.fence, ledger.measure, stock.measure",
            "ledger.recheck <- promotion",
            "stock.recheck <- promotion",
            "ledger.promote <- promotion, ledger.recheck, stock.recheck",
            "ledger.verify <- ledger.promote",
            "stock.promote <- promotion, ledger.recheck, stock.recheck, ledger.verify",
            "stock.verify <- stock.promote",
        ]
    )


def test_a_machine_is_started_when_all_that_write_there_are_isolated() -> None:
    together = runbooks.PAIR.replace("plug: n3", "plug: n1")
    for text, waits in (runbooks.PAIR, "stock.isolate"), (together, "ledger.isolate, stock.isolate"):
        steps = graph(plan_of(runbooks.runbook(text), "reprotect", "left"))
        assert f"stock.start <- {waits}" in steps
    assert "ledger.start <- ledger.isolate, stock.isolate" in steps


FILES = sorted(runbooks.FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_runbook_of_ours_has_a_plan_of_each_mode_that_is_alike_both_ways(path: Path, mode: PlanMode) -> None:
    runbook = read(path, catalog()).valid()
    there, back = (plan_of(runbook, mode, to) for to in reversed(runbook.direction))
    assert graph(there) == graph(back)
    assert (there.source, there.target) == (back.target, back.source)
    assert there.hash != back.hash
    lawful(there)


# What holds for every runbook


def ancestors(plan: Plan, step_id: str) -> set[str]:
    """Every step that must be satisfied before this one starts."""
    found: set[str] = set()
    todo = list(plan.step(step_id).after)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += plan.step(name).after
    return found


def lawful(plan: Plan) -> None:
    """What every plan keeps to."""
    ids = [step.id for step in plan.steps]
    assert len(set(ids)) == len(ids)
    order = list(TopologicalSorter({step.id: step.after for step in plan.steps}).static_order())
    assert sorted(order) == sorted(ids), "every step that is waited for exists"
    positions = {name: index for index, name in enumerate(ids)}
    assert all(positions[before] < positions[step.id] for step in plan.steps for before in step.after)
    cuts = {step.id for step in plan.of_kind("fence", "stop")}
    looks = {step.id for step in plan.of_kind("measure", "catch_up", "recheck")}
    for step in plan.steps:
        before = ancestors(plan, step.id)
        if step.kind != "check" and step.id != "approve":
            assert "approve" in before, f"{step.id} may start before the approval (I7)"
        if step.kind == "promote":
            assert cuts | looks <= before, f"{step.id} may start before {cuts | looks - before} (I2)"
        for want in step.wants:
            if want.activates and plan.mode in MOVES and step.kind != "verify":
                assert want.site == plan.target, "nothing at the source is made writable"
                assert cuts <= before, f"{step.id} may start before {cuts - before} (I1)"
            if want.desired == Role(role="primary") and step.kind != "verify":
                assert step.kind == "promote"
        for resource in (*step.looks_at, *(want.resource for want in step.wants)):
            assert resource in plan.resources


@st.composite
def generated(draw: st.DrawFn) -> dict[str, Any]:
    """A runbook with up to three writers, machines, addresses, names and commands that need each other at random."""
    kinds = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=7).filter(
        lambda found: found.count("postgresql") <= 3))  # fmt: skip
    components: dict[str, Any] = {}
    for number, kind in enumerate(kinds):
        known = sorted(components)
        needs = draw(st.lists(st.sampled_from(known), unique=True, max_size=3)) if known else []
        components[f"c{number}"] = {"type": kind, "needs": needs, **_own(kind, number)}
    shuffled = draw(st.permutations(sorted(components)))
    gates = draw(st.sampled_from([[], [{"before": "promote"}], [{"before": "fence", "approvers": ["ann"]}]]))
    return {
        "runbook": "made",
        "objectives": {"rpo": "10s"},
        "sites": {"left": {"provider": "on-prem"}, "right": {"provider": "on-prem"}},
        "failover": "left -> right",
        "components": {name: components[name] for name in shuffled},
        "gates": gates,
    }


def _own(kind: str, number: int) -> dict[str, Any]:
    sites = ("left", "right")

    def fence(site: str) -> list[Any]:
        return [
            {
                "fence_agents": {
                    "agent": "fence_ipmilan",
                    "options": {"plug": f"{site}{number}"},
                    "unproven": "traced by hand",
                }
            }
        ]

    match kind:
        case "postgresql":
            return {"at": {site: {"host": f"{site}{number}.test", "fence": fence(site)} for site in sites}}
        case "vm":
            return {"at": {site: {"fence": fence(site)} for site in sites}}
        case "floating-ip":
            at = {site: {"interface": "eth0", "ssh": f"root@{site}{number}"} for site in sites}
            return {"address": f"10.0.9.{number}/24", "at": at}
        case "dns":
            name = {"zone": "x.test", "record": f"c{number}.x.test", "ttl": "5s"}
            server = {"server": "rfc2136", "primary": "10.0.3.1", "credentials": "dns-key"}
            return {**server, **name, "at": {s: {"a": "192.0.2.1"} for s in sites}}
    return {"observe": ["/bin/true"], "apply": ["/bin/true"]}


def modelled(value: dict[str, Any]) -> Runbook:
    return Runbook.model_validate(value)


EASY = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@EASY
@given(generated(), st.sampled_from(MODES), st.sampled_from(["left", "right"]))
def test_every_plan_is_lawful(value: dict[str, Any], mode: PlanMode, to: str) -> None:
    lawful(plan_of(modelled(value), mode, to))


@EASY
@given(generated(), st.sampled_from(MOVES))
def test_no_dependent_starts_before_what_it_needs_is_verified(value: dict[str, Any], mode: PlanMode) -> None:
    """The last step of each need comes before the first step after the barrier of the one that needs it."""
    plan = plan_of(modelled(value), mode, "right")
    ids = {step.id for step in plan.steps}
    for name, component in value["components"].items():
        starts = [f"{name}.{verb}" for verb in ("promote", "start", "announce") if f"{name}.{verb}" in ids]
        starts = starts or [f"{name}.switch"]
        for needed in component["needs"]:
            verbs = ("verify", "start", "announce", "switch")
            proven = next(f"{needed}.{verb}" for verb in verbs if f"{needed}.{verb}" in ids)
            assert all(proven in ancestors(plan, start) for start in starts)


@EASY
@given(generated(), st.sampled_from(MOVES))
def test_clients_are_pointed_to_what_serves(value: dict[str, Any], mode: PlanMode) -> None:
    """Whatever a name needs, it moves after every promotion; but for what a writer itself needs (I10)."""
    plan = plan_of(modelled(value), mode, "right")
    served = {step.id for step in plan.of_kind("verify") if step.component}
    for step in plan.of_kind("switch"):
        before = ancestors(plan, step.id)
        early = step.component and TYPES[value["components"][step.component]["type"]].early
        if not early and not any(step.id in ancestors(plan, verified) for verified in served):
            assert served <= before


@EASY
@given(generated())
def test_a_source_is_stopped_in_reverse_order_of_needs(value: dict[str, Any]) -> None:
    plan = plan_of(modelled(value), "planned", "right")
    stops = {step.component: step.id for step in plan.of_kind("stop")}
    for name, component in value["components"].items():
        for needed in component["needs"]:
            if name in stops and needed in stops:
                assert stops[name] in ancestors(plan, stops[needed])


@EASY
@given(generated(), st.sampled_from(MODES), st.randoms(use_true_random=False))
def test_the_order_of_keys_changes_no_hash(value: dict[str, Any], mode: PlanMode, random: Any) -> None:
    def shuffled(node: Any) -> Any:
        if isinstance(node, dict):
            keys = list(node)
            random.shuffle(keys)
            return {key: shuffled(node[key]) for key in keys}
        return [shuffled(item) for item in node] if isinstance(node, list) else node

    assert plan_of(modelled(value), mode, "right").hash == plan_of(modelled(shuffled(value)), mode, "right").hash


def test_each_of_many_components_may_need_all_before_it() -> None:
    """Following every way from one to another would take longer than anybody waits."""
    known = {
        f"c{n}": {"type": "command", "needs": [f"c{m}" for m in range(n)], **_own("command", n)} for n in range(60)
    }
    value = {"runbook": "made", "sites": {s: {"provider": "on-prem"} for s in ("left", "right")}, "components": known}
    steps = plan_of(modelled({**value, "failover": "left -> right"}), "forced", "right").of_kind("switch")
    assert [step.component for step in steps] == list(known)


def test_an_answer_that_is_given_twice_is_wanted_once() -> None:
    answers = '{a: [192.0.2.2, 192.0.2.2], aaaa: ["2001:db8::1", "2001:DB8:0::1"]}'
    twice = changed(("right: {a: 192.0.2.2}", f"right: {answers}"))
    plan = plan_of(parse(twice, "x.yaml", catalog()).valid(), "forced", "right")
    [want] = plan.step("name.switch").wants
    assert want.desired == Records(records={"A": ("192.0.2.2",), "AAAA": ("2001:db8::1",)}, ttl=5)


def test_comments_and_spaces_change_no_hash() -> None:
    told = "# a comment\n" + runbooks.SHOP.replace("\ncomponents:", "  # another\n\n\ncomponents:  # and one more")
    assert _hash(told) == _hash(runbooks.SHOP)


CHANGES = [
    ("rpo: 10s", "rpo: 11s"),
    ("rto: 5m", "rto: 6m"),
    ("host: 10.0.1.10", "host: 10.0.1.11"),
    ("host: 10.0.2.10", "host: 10.0.2.11"),
    ("plug: n1", "plug: n9"),
    ("user: postgres", "user: admin"),
    ("interface: eth0}}", "interface: eth1}}"),
    ("address: 10.0.9.100/24", "address: 10.0.9.101/24"),
    ("ttl: 5s", "ttl: 6s"),
    ("{a: 192.0.2.2}", "{a: 192.0.2.3}"),
    ("primary: 10.0.3.1", "primary: 10.0.3.2"),
    ("needs: [app]", "needs: [db]"),
    ("needs: [app]", "needs: [app, db]"),
    ("failover: left -> right", "failover: left -> right\nwaiting: 31m"),
    ("failover: left -> right", "failover: left -> right\nowner: somebody"),
    ("failover: left -> right", "failover: left -> right\ngates: [{before: fence, approvers: [ann]}]"),
    ("left: {provider: on-prem}", "left: {provider: on-prem, region: here}"),
    ("    user: postgres", "    user: postgres\n    credentials: other"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
@pytest.mark.parametrize("mode", MOVES)
def test_what_means_something_else_has_another_hash(mode: PlanMode, old: str, new: str) -> None:
    assert old in runbooks.SHOP
    assert _hash(runbooks.SHOP.replace(old, new, 1), mode) != _hash(runbooks.SHOP, mode)


def test_mode_direction_and_journal_are_in_the_hash() -> None:
    runbook = runbooks.runbook(runbooks.SHOP)
    plans = [derive(runbook, catalog(), to, mode, journal) for to in ("left", "right") for mode in MODES
             for journal in ("one", "two")]  # fmt: skip
    assert len({plan.hash for plan in plans}) == len(plans)


def test_the_version_of_the_derivation_is_in_the_hash() -> None:
    plan = plan_of(runbooks.demo(), "forced", "right")
    assert plan.model_copy(update={"derivation": "another"}).hash != plan.hash


def test_a_plan_comes_back_from_its_json_with_the_same_hash() -> None:
    for mode in MODES:
        plan = plan_of(runbooks.runbook(runbooks.SHOP), mode, "right")
        assert Plan.model_validate_json(plan.model_dump_json()).digest == plan.digest


def test_a_site_that_is_no_end_of_the_direction_is_refused_with_the_near_one() -> None:
    with pytest.raises(NotFoundLocally, match="did you mean 'right'"):
        plan_of(runbooks.demo(), "forced", "rigth")


def test_two_hundred_components_are_planned_at_once() -> None:
    components = {f"c{n}": {"type": "dns", "needs": [f"c{n - 1}"] if n else [], **_own("dns", n)} for n in range(200)}
    value = {"runbook": "big", "sites": {"left": {"provider": "on-prem"}, "right": {"provider": "on-prem"}},
             "failover": "left -> right", "components": components}  # fmt: skip
    assert len(plan_of(modelled(value), "forced", "right").of_kind("switch")) == 200


def _hash(text: str, mode: PlanMode = "forced") -> str:
    return plan_of(parse(text, "x.yaml", catalog()).valid(), mode, "right").hash
