"""`lint`, `plan` and `schema`: what they print, with which exit code, and what they do not import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it brings no types
import pytest
from ruamel.yaml import YAML

from orchestrator.app import runbook_schema
from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.registry import catalog
from orchestrator.runtime.journal import SqliteJournal

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
DEMO = str(RUNBOOKS / "demo.yaml")
SCHEMA = json.loads((RUNBOOKS / "runbook.schema.json").read_text())

BROKEN = """\
runbook: shop
sites:
  a: {provider: on-prem}
  b: {provider: on-prem}
failover: a -> b
componets: {}
"""


@pytest.fixture
def broken(tmp_path: Path) -> str:
    file = tmp_path / "shop.yaml"
    file.write_text(BROKEN)
    return str(file)


def test_lint_says_nothing_on_stdout_where_nothing_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", DEMO]) is ExitCode.DONE
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "1 runbook: no findings\n"


def test_lint_names_the_place_the_code_and_the_near_key(broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", DEMO, broken]) is ExitCode.FINDINGS
    lines = capsys.readouterr().out.splitlines()
    assert f"{broken}:6:1: UNKNOWN-KEY unknown key 'componets'; did you mean 'components'?" in lines


def test_lint_as_json_keeps_findings_by_file(broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", DEMO, broken, "--output", "json"]) is ExitCode.FINDINGS
    good, bad = json.loads(capsys.readouterr().out)
    assert good == {"file": DEMO, "findings": [], "warnings": []}
    assert {finding["code"] for finding in bad["findings"]} == {"UNKNOWN-KEY", "MISSING"}


def test_a_missing_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "nowhere.yaml"]) is ExitCode.USAGE
    assert capsys.readouterr().err == "tideover: nowhere.yaml cannot be read: No such file or directory\n"


def test_a_missing_file_hides_no_finding_of_the_others(broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "nowhere.yaml", broken]) is ExitCode.USAGE
    told = capsys.readouterr()
    assert "UNKNOWN-KEY" in told.out
    assert told.err.endswith("tideover: nowhere.yaml cannot be read: No such file or directory\n")


def test_plan_shows_the_barrier_between_the_fence_and_the_promotion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", DEMO]) is ExitCode.DONE
    told = capsys.readouterr().out
    fence, barrier, promote = (told.index(word) for word in ("db.fence", "BARRIER", "db.promote"))
    assert fence < barrier < promote


def test_the_hash_is_the_one_that_a_worker_with_this_journal_would_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = str(SqliteJournal.create(tmp_path / "journal.db").path)
    assert run(["plan", DEMO, "--output", "json", "--journal", journal]) is ExitCode.DONE
    told = capsys.readouterr()
    assert json.loads(told.out)["journal"] == SqliteJournal(Path(journal)).id
    assert told.err == ""
    assert run(["plan", DEMO, "--journal", journal]) is ExitCode.DONE
    assert json.loads(told.out)["hash"] in capsys.readouterr().out


def test_mermaid_lets_no_edge_pass_the_barrier_but_through_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", DEMO, "--output", "mermaid"]) is ExitCode.DONE
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "flowchart TD"
    assert [line for line in lines if line.endswith(" s_db_promote")] == ["barrier ==> s_db_promote"]


def test_the_start_of_a_machine_passes_the_barrier_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", str(RUNBOOKS / "on-prem-to-aws.yaml"), "--output", "mermaid"]) is ExitCode.DONE
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    to_it = [line for line in lines if line.endswith(" s_orders_start")]
    assert to_it == ["barrier ==> s_orders_start", "s_db_verify --> s_orders_start"]


@pytest.fixture
def odd(tmp_path: Path) -> str:
    """The demo with a verification that is full of what tables and flowcharts are made of."""
    file = tmp_path / "odd.yaml"
    asked = 'sql: "select \'a\' || `x`\\n  from \\"T\\" # <b> &lt;"'
    file.write_text((RUNBOOKS / "demo.yaml").read_text().replace("sql: select 1", asked))
    return str(file)


def test_a_table_in_markdown_has_one_row_and_six_cells_for_each_step(
    odd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", odd, "--output", "markdown"]) is ExitCode.DONE
    rows = [line for line in capsys.readouterr().out.splitlines() if "`verify-1`" in line]
    [cells] = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
    assert cells[2] == r""" from outside: sql select 'a' \|\| \`x\` from "T" # \<b> \&lt;<br>verify-1: running """
    assert len(cells) == 6


def test_a_label_in_mermaid_is_text_on_one_line(odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", odd, "--output", "mermaid"]) is ExitCode.DONE
    [label] = [line for line in capsys.readouterr().out.splitlines() if "from outside" in line]
    told = "select 'a' || `x` from #quot;T#quot; #35; #lt;b> #amp;lt;"
    assert label == f'    s_verify_2d_1["verify-1<br/>from outside: sql {told}"]'


def test_steps_of_names_that_look_alike_are_each_a_node_in_mermaid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = (RUNBOOKS / "demo.yaml").read_text()
    head, _, name = demo.partition("  name:\n")
    record, _, verify = name.partition("verify:\n")
    twins = f"  my-name:\n{record}  my_name:\n{record.replace('db.demo', 'db2.demo')}verify:\n{verify}"
    file = tmp_path / "twins.yaml"
    file.write_text(head + twins)
    assert run(["plan", str(file), "--output", "mermaid"]) is ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    nodes = [line.partition('["')[0].strip() for line in lines if '["' in line]
    assert len(nodes) == len(set(nodes))
    assert {"s_my_2d_name_switch", "s_my_5f_name_switch", "s_db_promote"} <= set(nodes)


@pytest.mark.parametrize("mode", ["planned", "forced", "reprotect", "unfence"])
@pytest.mark.parametrize("to", ["left", "right"])
def test_every_mode_and_direction_can_be_shown(mode: str, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", DEMO, "--to", to, "--mode", mode, "--output", "markdown"]) is ExitCode.DONE
    assert capsys.readouterr().out.startswith("### demo: ")


def test_a_warning_is_told_and_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "weak.yaml"
    file.write_text((RUNBOOKS / "aws-two-zones.yaml").read_text().replace(", zone: eu-central-1a", ""))
    assert run(["lint", str(file)]) is ExitCode.DONE
    told = capsys.readouterr()
    assert "FENCE-PATH warning: the fence of db at az-a has no way that is independent" in told.out
    assert "1 runbook: no findings, 1 warning" in told.err
    assert run(["lint", str(file), "--output", "json"]) is ExitCode.DONE
    [shown] = json.loads(capsys.readouterr().out)
    assert (shown["findings"], shown["warnings"][0]["code"]) == ([], "FENCE-PATH")
    assert run(["lint", str(file), "--output", "markdown"]) is ExitCode.DONE
    assert f"- `{file}:" in capsys.readouterr().out


WARNING = "FENCE-PATH warning: the fence of db at az-a has no way that is independent"


@pytest.fixture
def weak(tmp_path: Path) -> str:
    """A runbook that can be used, with a fence that lint warns of."""
    file = tmp_path / "weak.yaml"
    file.write_text((RUNBOOKS / "aws-two-zones.yaml").read_text().replace(", zone: eu-central-1a", ""))
    return str(file)


@pytest.mark.parametrize("output", ["table", "json", "mermaid"])
def test_plan_tells_the_warnings_of_lint_beside_its_output(
    output: str, weak: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", weak, "--output", output]) is ExitCode.DONE
    told = capsys.readouterr()
    assert WARNING in told.err
    assert "FENCE-PATH" not in told.out


@pytest.mark.parametrize("command", [["plan", "--output", "markdown"], ["checklist"]], ids=["plan", "checklist"])
def test_what_is_printed_as_markdown_lists_the_warnings_of_lint(
    command: list[str], weak: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, weak]) is ExitCode.DONE
    told = capsys.readouterr().out
    listed = told[told.index("**`tideover lint` warns:**\n\n- `") :].splitlines()[2:]
    assert [line for line in listed if WARNING.replace("PATH w", "PATH** w") in line]
    assert all(line.startswith(f"- `{weak}:") for line in listed)
    assert run([*command, DEMO]) is ExitCode.DONE
    assert "warns" not in capsys.readouterr().out


def test_plan_of_a_broken_runbook_names_its_findings(broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", broken]) is ExitCode.FINDINGS
    assert f"{broken}:6:1: UNKNOWN-KEY" in capsys.readouterr().err


def test_plan_to_an_unknown_site_names_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", DEMO, "--to", "rigth"]) is ExitCode.USAGE
    assert "did you mean 'right'?" in capsys.readouterr().err


def test_the_schema_in_the_repository_is_up_to_date() -> None:
    assert runbook_schema.text(catalog()) == (RUNBOOKS / "runbook.schema.json").read_text(), (
        "run: uv run tideover schema > runbooks/runbook.schema.json"
    )


@pytest.mark.parametrize("file", sorted(RUNBOOKS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_runbook_fits_the_schema_and_has_no_findings(file: Path) -> None:
    jsonschema.validate(YAML(typ="safe").load(file.read_text()), SCHEMA)
    assert run(["lint", str(file)]) is ExitCode.DONE


def test_the_schema_refuses_what_lint_refuses() -> None:
    document = YAML(typ="safe").load((RUNBOOKS / "demo.yaml").read_text())
    document["components"]["db"]["at"]["left"]["hots"] = document["components"]["db"]["at"]["left"].pop("host")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize(
    "command",
    [["lint", DEMO], ["plan", DEMO], ["checklist", DEMO], ["schema"], ["rehearse", DEMO]],
    ids=lambda c: c[0],
)
def test_a_review_loads_no_sdk_and_no_temporal(command: list[str]) -> None:
    heavy = ("temporalio", "boto3", "botocore", "psycopg", "dns", "workflows", "moto")
    script = (
        "import sys; from orchestrator.app.cli.application import run; code = run(sys.argv[1:]);"
        f"found = sorted(m for m in sys.modules if m.partition('.')[0] in {heavy!r});"
        "sys.exit(f'loaded: {found}' if found else int(code))"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
