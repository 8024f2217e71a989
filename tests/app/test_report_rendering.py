"""The report as files: nothing breaks out of its place, nothing comes from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import external_file

from orchestrator.app.report import build, markdown, page, write
from orchestrator.app.report.markup import tag
from orchestrator.app.report.summary import numbers
from tests.app import told
from tests.app.test_report import EVERY, record_of, report_of

HOSTILE = "</title><script>alert(1)</script>\"'&|`x`|\n\x1b[31m\u202etxt.exe <img src=http://evil.example/x>"
EXPECTED = Path(__file__).parent / "expected"


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 -- our own page


@pytest.mark.parametrize("name", EVERY)
def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(name: str) -> None:
    text = page(report_of(name))
    root = parsed(text)
    tags = {element.tag for element in root.iter()}
    assert not tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    for element in root.iter():
        assert not {"src", "href", "onload", "onclick", "style"} & set(element.attrib)
    assert not re.search(r"https?:|@import|url\((?!#stripes)", text)


@pytest.mark.parametrize("name", EVERY)
def test_the_page_is_told_to_those_who_cannot_see_it(name: str) -> None:
    root = parsed(page(report_of(name)))
    assert root.get("lang") == "en"
    assert len(list(root.iter("h1"))) == 1
    for drawing in root.iter("svg"):
        assert drawing.get("role") == "img"
        assert drawing.findtext("title")
    for table in root.iter("table"):
        assert all(cell.get("scope") == "col" for cell in table.iter("th"))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", EVERY)
def test_the_timeline_has_a_bar_for_every_try_inside_of_its_frame(name: str) -> None:
    report = report_of(name)
    drawing = next(svg for svg in parsed(page(report)).iter("svg") if svg.get("class") == "timeline")
    width, height = (float(part) for part in drawing.get("viewBox", "").split()[2:])
    bars = [rect for rect in drawing.iter("rect") if rect.get("class", "").startswith("bar ")]
    assert len(bars) == len(report.tries)
    for rect in drawing.iter("rect"):
        x, y, w, h = (float(rect.get(key, "")) for key in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
    flags = [rect for rect in drawing.iter("rect") if rect.get("class") == "flag-human"]
    assert len(flags) == len(report.decisions)
    barrier = [line for line in drawing.iter("line") if line.get("class") == "pole-barrier"]
    assert len(barrier) == (report.barrier_at is not None)


def test_hostile_text_stays_text() -> None:
    record = told.recorded("forced")
    execution = record.execution.model_copy(update={"who": HOSTILE})
    report = build(record.model_copy(update={"reason": HOSTILE, "execution": execution}))
    text = page(report)
    assert "<script" not in text
    assert "<img" not in text
    assert not set(text) & {"\x1b", "\u202e"}
    assert "alert(1)" in "".join(parsed(text).itertext())
    written = markdown(report)
    assert "<script" not in written.replace("\\<", "")
    assert not set(written) & {"\x1b", "\u202e"}
    for line in written.splitlines():
        if "alert" in line:
            assert "\\`x\\`" in line


@settings(max_examples=200)
@given(st.text(), st.text())
def test_an_element_is_well_formed_whatever_it_holds(inside: str, attribute: str) -> None:
    element = ET.fromstring(tag("p", inside, title=attribute))  # noqa: S314 -- our own markup
    assert element.tag == "p"
    assert not list(element)


@pytest.mark.parametrize("name", EVERY)
def test_the_markdown_tables_have_as_many_cells_as_columns(name: str) -> None:
    width = 0
    for line in markdown(report_of(name)).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (cells and width) or cells == width, line
        width = cells


@pytest.mark.parametrize("name", EVERY)
def test_all_three_tell_the_same_numbers(name: str, tmp_path: Path) -> None:
    paths = write(record_of(name), tmp_path / "reports", name=name)
    report = report_of(name)
    told_in_json = json.loads(paths.json_file.read_text())
    assert told_in_json["recovery"]["achieved"] == report.recovery.achieved
    shown = "".join(parsed(paths.html_file.read_text()).itertext())
    for number in numbers(report):
        assert f"**{number.value}** " in paths.markdown_file.read_text()
        assert number.value in shown
    for command in report.next_commands:
        assert command in paths.markdown_file.read_text()
        assert command in shown


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave out the folders"):
        write(told.recorded("refused"), tmp_path, name="../elsewhere")
    assert write(told.recorded("refused"), tmp_path).html_file.name.startswith("demo-2")


@pytest.mark.parametrize("name", ["forced", "attested", "refused"])
def test_the_markdown(name: str) -> None:
    assert markdown(report_of(name)) == external_file(str(EXPECTED / f"{name}.md"), format=".txt")
