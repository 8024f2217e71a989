"""Any text at all has findings or is a runbook; none ever raises."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orchestrator.app.registry import catalog
from orchestrator.app.runbook_text import RunbookText, parse
from orchestrator.domain.findings import CODES
from orchestrator.domain.lint import lint
from tests.domain.runbooks import FOLDER, PAIR, SHOP
from tests.domain.valid_runbook import VALID

NESTED = YAML(typ="safe")
DOCUMENTS = [NESTED.load(text) for text in (VALID, SHOP, PAIR, *(f.read_text() for f in sorted(FOLDER.glob("*.yaml"))))]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    "",
    "left",
    "5m",
    [],
    ["left"],
    [[]],
    {},
    {"left": {}},
    {"1": 2},
]
PARTS = [
    "runbook: a",
    "\n",
    " ",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&a",
    "*a",
    "!!set",
    "!x",
    "<<",
    "'",
    '"',
    "|",
    "\t",
]


def assert_well_told(found: RunbookText, text: str) -> None:
    lines = text.count("\n") + 2
    assert found.runbook is not None or found.findings, "a runbook, or a reason why there is none"
    for finding in found.findings:
        assert 1 <= finding.line <= lines
        assert finding.column >= 1
        assert finding.finding.code in CODES
        assert "\n" not in str(finding)


@given(st.one_of(st.text(), st.lists(st.sampled_from(PARTS)).map("".join)))
@example("a: 0x_")
@example("? {a: b}\n: 1")
@example("[" * 500)
@example("a: !!timestamp x")
@settings(deadline=None)
def test_any_text_has_findings_and_never_raises(text: str) -> None:
    found = parse(text, "any.yaml", catalog())
    assert found.runbook is None, "no text that is made at random is a runbook"
    assert_well_told(found, text)


@given(st.sampled_from([VALID, SHOP, PAIR]), st.data())
@settings(deadline=None, max_examples=50)
def test_a_runbook_with_characters_lost_or_added_never_raises(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = start + data.draw(st.integers(0, 12))
    broken = text[:start] + data.draw(st.one_of(st.sampled_from(PARTS), st.text(max_size=3))) + text[end:]
    assert_well_told(parse(broken, "any.yaml", catalog()), broken)


Place = tuple[dict[Any, Any] | list[Any], Any]


def places(node: Any) -> list[Place]:
    """Each (container, key or position) of a nested document."""
    if not isinstance(node, dict | list):
        return []
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    return [(node, key) for key in keys] + [place for key in keys for place in places(node[key])]


def drop(container: Any, key: Any, _: Any) -> None:
    del container[key]


def rename(container: Any, key: Any, value: Any) -> None:
    if isinstance(container, dict):
        container[value if isinstance(value, str) else f"{key}s"] = container.pop(key)


def retype(container: Any, key: Any, value: Any) -> None:
    container[key] = copy.deepcopy(value)


Mutation = Callable[[Any, Any, Any], None]


@given(
    st.sampled_from(DOCUMENTS),
    st.lists(
        st.tuples(st.sampled_from([drop, rename, retype]), st.integers(0, 200), st.sampled_from(VALUES)),
        min_size=1,
        max_size=3,
    ),
)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_runbook_has_a_verdict_and_never_raises(
    document: dict[str, Any], mutations: list[tuple[Mutation, int, Any]]
) -> None:
    mutated = copy.deepcopy(document)
    for mutate, at, value in mutations:
        if found := places(mutated):
            mutate(*found[at % len(found)], value)
    runbook, told = lint(mutated, catalog())
    assert runbook is not None or told
    assert {finding.code for finding in told} <= CODES.keys()
