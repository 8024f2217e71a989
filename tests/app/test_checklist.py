"""`tideover checklist`: the plan's own steps and order for a person with no tool, with nothing left to be filled in."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.app import checklist
from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import read
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.derivation import derive
from orchestrator.domain.plan import Plan, PlanMode
from tests.domain import runbooks

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
MODES: tuple[PlanMode, ...] = ("planned", "forced", "reprotect", "unfence")


def planned(name: str, mode: PlanMode = "forced") -> Plan:
    runbook = read(RUNBOOKS / f"{name}.yaml", catalog()).valid()
    return derive(runbook, catalog(), runbook.direction[1], mode, "none")


def section(text: str, step: str) -> str:
    """What stands under the heading of the step."""
    found = re.search(rf"^## \d+\. `{re.escape(step)}`.*?(?=^## |^---|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section for {step}"
    return found[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", sorted(file.stem for file in RUNBOOKS.glob("*.yaml")))
def test_every_step_stands_after_those_it_waits_for_with_a_box_and_the_hash(name: str, mode: PlanMode) -> None:
    plan = planned(name, mode)
    text = checklist.markdown(plan, catalog())
    order = re.findall(r"^## \d+\. `(.+?)`", text, re.MULTILINE)
    assert sorted(order) == sorted(step.id for step in plan.steps)
    for step in plan.steps:
        assert all(order.index(before) < order.index(step.id) for before in step.after)
        assert checklist.TICK in section(text, step.id)
    assert text.count(plan.hash) >= 2
    assert not re.findall(r"\{[a-z_|]+\}", text), "a key of a provider's line was not put in"
    assert all(len(line) < 400 for line in text.splitlines())


def test_the_barrier_stands_between_every_fence_and_the_promotion_and_names_what_must_be_ticked() -> None:
    text = checklist.markdown(planned("on-prem-to-aws"), catalog())
    barrier = text.index("## BARRIER: do not go on before every fence above is proven")
    assert text.index("`db.measure`: ") < barrier < text.index("`db.promote`: ")
    told = text[barrier : text.index("`db.promote`: ")]
    assert [step in told for step in ("`db.fence`", "`orders.fence`", "`db.measure`", "`name.switch`")] == [
        True, True, True, False,
    ]  # fmt: skip


def test_what_to_type_comes_from_the_runbooks_own_values() -> None:
    text = checklist.markdown(planned("on-prem-to-aws"), catalog())
    fence = section(text, "db.fence")
    assert "printf '%s\\n' action=off ip=198.51.100.10 lanplus=1 | fence_ipmilan" in fence
    assert "must show orders-db beside the plug" in fence
    assert fence.index("fence_ipmilan") < fence.index("only if the one before was not confirmed") < fence.index("_apc_")
    assert "(F2), and it cannot come back writable by itself" in fence
    assert fence.count("because ___") == 2  # two people attest
    assert "psql -h 10.30.2.10 -p 5432 -U tideover -d postgres -c 'select pg_promote()'" in section(text, "db.promote")
    assert "- undo: forward only" in section(text, "db.promote")
    name = section(text, "name.switch")
    assert "update add orders.example.org 60 A 10.30.2.20\n" in name
    assert "for s in 203.0.113.53 203.0.113.54; do" in name
    assert '"holder": "cloud", "before": "dc"}\' | /opt/orders/bin/partner-link --move' in text


def test_a_rebuild_names_the_server_to_rebuild_from() -> None:
    text = checklist.markdown(planned("aws-two-zones", "reprotect"), catalog())
    rebuild = section(text, "db.rebuild")
    assert "--source-server='host=10.20.1.10 port=5432 user=tideover dbname=postgres'" in rebuild
    assert "pg_basebackup -d 'host=10.20.1.10 port=5432 user=replicator' -D /var/lib/postgresql/15/main" in rebuild


def test_what_the_runbook_leaves_to_its_defaults_is_typed_as_well() -> None:
    """Without `user:`, `database:` and `port:` there is still a way to promote."""
    bare = runbooks.planned(runbooks.runbook(runbooks.BARE.replace("    user: postgres\n", "")), "forced", "right")
    text = section(checklist.markdown(bare, catalog()), "db.promote")
    assert "psql -h 10.0.2.10 -p 5432 -U postgres -d postgres -c 'select pg_promote()'" in text


def test_a_type_of_which_no_commands_are_known_says_which_state_to_reach_and_to_read_back() -> None:
    bare = Catalog(types=tuple(replace(kind, by_hand=None) for kind in catalog().types))
    promote = section(checklist.markdown(planned("demo"), bare), "db.promote")
    assert "bring `db@right` to **role primary** with its own console or tool" in promote
    assert "(no commands are known for postgresql.server" in promote


def test_it_needs_no_journal_no_temporal_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    assert run(["checklist", str(RUNBOOKS / "demo.yaml"), "--to", "left", "--mode", "planned"]) is ExitCode.DONE
    told = capsys.readouterr()
    assert told.out.startswith("# By hand: demo: planned right -> left\n")
    assert "there is no journal at" in told.err
    assert not list(tmp_path.iterdir())
