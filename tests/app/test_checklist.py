"""`tideover checklist`: the plan's own steps and order for a person with no tool, with nothing left to be filled in."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.app import checklist
from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import parse, read
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.derivation import derive
from orchestrator.domain.plan import Plan, PlanMode
from tests.domain import runbooks

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
MODES: tuple[PlanMode, ...] = ("planned", "forced", "reprotect", "unfence")


ODD = """\
runbook: odd
sites: {left: {provider: on-prem}, right: {provider: on-prem}}
failover: left -> right
components:
  db:
    type: postgresql
    user: o'brien
    at:
      left:
        host: 10.0.1.1
        data_directory: /srv/my data
        fence: [{fence_agents: {agent: fence_wti, options: {ip: 10.9.1.1, plug: $(id)}, alias: a}}]
      right:
        host: 10.0.2.1
        data_directory: /srv/it's
        fence: [{fence_agents: {agent: fence_wti, options: {ip: 10.9.2.1, plug: 1}, alias: a}}]
  link:
    type: command
    needs: [db]
    observe: ["/opt/it's/show me", "`id`"]
    apply: [/opt/apply, "$HOME; id"]
  name:
    type: dns
    needs: [db]
    server: rfc2136
    primary: 10.0.3.1
    zone: shop.test
    record: "*.shop.test"
    ttl: 5s
    at: {left: {a: 192.0.2.1}, right: {a: 192.0.2.2}}
    credentials: dns-key
verify:
  - {sql: 'select count(*) from "Orders" where note = ''$x`y`''', component: db}
  - {sql: "select 'a'\\n  || 'b'", component: db}
"""
"""Values that a shell would take apart."""


def odd(mode: PlanMode = "forced") -> str:
    runbook = parse(ODD, "odd.yaml", catalog()).valid()
    return checklist.markdown(derive(runbook, catalog(), "right", mode, "none"), catalog())


def typed(text: str, command: str) -> list[str]:
    """The words that a shell makes of the first line that begins with `command`, and of those that it goes on in."""
    found = re.search(rf"^      ({re.escape(command)}.*(?:\n       .*)*)", text, re.MULTILINE)
    assert found, f"no line begins with {command}"
    script = f'{shlex.split(command)[0]}() {{ printf "%s\\0" "$@"; }}\n{found[1]}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


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


def paper(text: str, mode: PlanMode = "forced") -> str:
    return checklist.markdown(runbooks.planned(runbooks.runbook(text), mode, "right"), catalog())


@pytest.mark.parametrize("machine", [runbooks.MACHINE, runbooks.STRONG_MACHINE], ids=["one method", "two"])
@pytest.mark.parametrize(("mode", "cut"), [("forced", "fence"), ("planned", "stop")])
def test_a_machine_that_acts_has_a_barrier_of_its_own(machine: str, mode: PlanMode, cut: str) -> None:
    text = paper(machine, mode)
    barrier = text.index(f"## BARRIER: do not go on before every {cut} above is proven\n")
    assert text.index(f"`app.{cut}`: ") < barrier < text.index("`app.start")
    assert f"- [ ] `app.{cut}` is ticked" in text[barrier:]
    assert "Never power on `app` at left while it may be on at right: read that off first." in text[barrier:]
    assert "The machine of `app` at left must not be started while that at right may be on." in text
    assert "promotion" not in text
    assert "primary" not in text


def test_a_machine_below_a_database_starts_after_the_barrier_on_paper_as_well() -> None:
    below = runbooks.SHOP.replace("    needs: [db]\n    at:", "    at:").replace(
        "    user:", "    needs: [app]\n    user:"
    )
    text = paper(below)
    barrier = text.index("## BARRIER: do not go on before every fence above is proven, and the loss is")
    assert text.index("`db.recheck`: ") < barrier < text.index("`app.start`: ") < text.index("`db.promote`: ")
    assert "From the first promotion on there is only forward" in text
    assert "- undo, the last step first, and never once a promotion was begun:" in section(text, "app.start")


@pytest.mark.parametrize("mode", ["reprotect", "unfence"])
def test_a_way_back_has_no_barrier(mode: PlanMode) -> None:
    assert "BARRIER" not in paper(runbooks.SHOP, mode)


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


def test_a_shell_reads_what_is_printed_as_it_stands_in_the_runbook() -> None:
    shown = typed(section(odd(), "verify-1"), "psql -h")
    sql = "select count(*) from \"Orders\" where note = '$x`y`'"
    assert shown == ["-h", "10.0.2.1", "-p", "5432", "-U", "o'brien", "-d", "postgres", "-c", sql]
    assert typed(section(odd(), "verify-2"), "psql -h")[-1].split() == ["select", "'a'", "||", "'b'"]
    assert "printf '%s\\n' action=off ip=10.9.1.1 'plug=$(id)' | fence_wti" in section(odd(), "db.fence")
    link = section(odd(), "link.switch")
    assert "\"/opt/it's/show me\" '`id`'    # prints the site" in link
    assert "| /opt/apply '$HOME; id'\n" in link


def test_a_heading_is_one_line_whatever_is_verified() -> None:
    assert re.search(r"^## \d+\. `verify-2`: from outside: sql select 'a' \\\|\\\| 'b'$", odd(), re.MULTILINE)


def test_what_is_typed_into_another_program_is_in_no_quotes() -> None:
    text = section(odd(), "name.switch")
    assert "update add *.shop.test 5 A 192.0.2.2\n" in text
    assert "dig +short +norecurse @10.0.3.1 -p 53 '*.shop.test' A\n" in text


def test_a_value_within_the_quotes_of_a_line_does_not_end_them() -> None:
    text = section(odd("reprotect"), "db.rebuild")
    upstream = "host=10.0.1.1 port=5432 user=o'brien"
    assert typed(text, "pg_basebackup") == ["-d", upstream, "-D", "/srv/it's", "-X", "stream"]
    assert typed(text, "pg_ctl start") == ["start", "-w", "-D", "/srv/it's"]


def test_undo_gives_power_back_through_the_last_that_cut_first() -> None:
    """Two that share no controller may be a board and its outlet, and the board says nothing without the outlet."""
    strong = runbooks.planned(runbooks.runbook(runbooks.STRONG), "forced", "right")
    undo = section(checklist.markdown(strong, catalog()), "db.fence").partition("- undo, ")[2]
    back = re.findall(r"bring `(.+?)` back", undo)
    assert back == [want.resource for want in reversed(strong.step("db.fence").wants)]
    assert len(back) == 3


def test_every_command_on_a_host_names_the_site_of_that_host() -> None:
    """Also where the runbook has no `ssh:`, and the line with that is left out."""
    text = checklist.markdown(runbooks.planned(runbooks.runbook(runbooks.SHOP), "forced", "right"), catalog())
    lines = [line.strip() for line in section(text, "address.switch").splitlines()]
    add, delete = (lines.index(f"ip address {verb} 10.0.9.100/24 dev eth0") for verb in ("add", "del"))
    assert lines[add - 1] == "on the host at right:"
    assert lines[delete - 1] == "on the host at left, where that is another one and answers:"
    look = section(text, "db.check").splitlines()
    control = [n for n, line in enumerate(look) if "pg_controldata" in line]
    assert [look[n - 1].strip() for n in control] == [f"on the server's machine at {s}:" for s in ("left", "right")]


def test_what_counts_as_off_stands_there_also_where_no_name_tag_does() -> None:
    assert "`stopping` is not off yet" in section(checklist.markdown(planned("aws-two-zones"), catalog()), "db.fence")


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
