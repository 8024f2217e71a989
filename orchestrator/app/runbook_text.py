"""A runbook's text: read with positions, so that every finding names its line and column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, NodeEvent, ScalarEvent

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.errors import NotFoundLocally, RunbookInvalid
from orchestrator.domain.findings import Finding
from orchestrator.domain.lint import lint
from orchestrator.domain.runbook import Runbook

MAX_BYTES = 1_000_000
DEEPEST = 50


@dataclass(frozen=True)
class Located:
    """A finding with its place in the file; line and column count from 1."""

    file: str
    line: int
    column: int
    finding: Finding

    def __str__(self) -> str:
        warning = "warning: " if self.finding.level == "warning" else ""
        return f"{self.file}:{self.line}:{self.column}: {self.finding.code} {warning}{self.finding.message}"


@dataclass(frozen=True)
class RunbookText:
    """A file's text and what was found in it. `runbook` is None where its shape is wrong.

    `findings` must be mended before it can be used; `warnings` should be.
    """

    file: str
    runbook: Runbook | None
    findings: tuple[Located, ...]
    warnings: tuple[Located, ...] = ()

    def valid(self) -> Runbook:
        """The runbook. Raises RunbookInvalid with every finding, one a line."""
        if self.runbook is None or self.findings:
            raise RunbookInvalid("\n".join(str(finding) for finding in self.findings))
        return self.runbook


def read(path: Path, catalog: Catalog) -> RunbookText:
    """The runbook in the file at `path`. Raises NotFoundLocally where there is no readable file."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise NotFoundLocally(f"{path} cannot be read: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise NotFoundLocally(f"{path} is no runbook: it has {len(raw)} bytes, more than {MAX_BYTES}")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        finding = Finding(code="YAML", path=(), message=f"not UTF-8 at byte {error.start}: {error.reason}")
        line = raw[: error.start].count(b"\n") + 1
        return RunbookText(str(path), None, (Located(str(path), line, 1, finding),))
    return parse(text, str(path), catalog)


def parse(text: str, file: str, catalog: Catalog) -> RunbookText:
    """The runbook in `text`, with every finding located in `file`."""
    document = _document(text, file)
    if isinstance(document, Located):
        return _only(file, document)
    if not isinstance(document, CommentedMap):
        finding = Finding(code="YAML", path=(), message="a runbook is a mapping: begin with `runbook: name`")
        return _only(file, Located(file, 1, 1, finding))
    runbook, findings = lint(_plain(document), catalog)
    located = sorted((_locate(document, file, finding) for finding in findings), key=lambda f: (f.line, f.column))
    errors = tuple(found for found in located if found.finding.level == "error")
    return RunbookText(file, runbook, errors, tuple(found for found in located if found not in errors))


def _document(text: str, file: str) -> Any:
    """What the text holds, or the Located finding that says why it cannot be read."""
    try:
        return _refused_syntax(text, file) or YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        return _syntax(file, error, "DUPLICATE")
    except MarkedYAMLError as error:
        return _syntax(file, error, "YAML")
    except Exception as error:  # noqa: BLE001 -- ruamel's constructors raise whatever int() or date() did, or IndexError
        first = str(error).partition("\n")[0]
        return Located(file, 1, 1, Finding(code="YAML", path=(), message=f"a value cannot be read: {first}"))


def _only(file: str, located: Located) -> RunbookText:
    return RunbookText(file, None, (located,))


def _refused_syntax(text: str, file: str) -> Located | None:
    """Anchors, aliases, tags and merge keys: a runbook says each thing once, where it is read. And nesting that
    would take minutes to read."""
    depth = 0
    for event in YAML(typ="rt").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if isinstance(event, NodeEvent) and event.anchor:  # an alias is such an event too
            what = "an anchor or alias"
        elif depth > DEEPEST:
            what = f"nesting of more than {DEEPEST} levels"
        elif tag := getattr(event, "tag", None):
            what = f"the tag {tag}"
        elif isinstance(event, ScalarEvent) and event.value == "<<" and event.style is None:
            what = "a merge key"
        else:
            continue
        mark = event.start_mark
        message = f"{what} is not part of the language: write the value out"
        return Located(file, mark.line + 1, mark.column + 1, Finding(code="YAML", path=(), message=message))
    return None


def _syntax(file: str, error: MarkedYAMLError, code: str) -> Located:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    first = (error.problem or str(error)).partition("\n")[0]
    message = first.replace("found duplicate key", "the key stands twice:").partition(" with value")[0]
    return Located(file, line, column, Finding(code=code, path=(), message=message))


def _locate(document: CommentedMap, file: str, finding: Finding) -> Located:
    """The deepest part of the finding's path that stands in the document."""
    node: Any = document
    line, column = 0, 0
    for part in finding.path:
        try:
            if isinstance(node, CommentedMap) and part in node:
                line, column = node.lc.key(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                line, column = node.lc.item(part)
            else:
                break
        except (KeyError, TypeError):
            break
        node = node[part]
    return Located(file, line + 1, column + 1, finding)


def _plain(node: Any) -> Any:
    """The document as plain dicts, lists and scalars."""
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
