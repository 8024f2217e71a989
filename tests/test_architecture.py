"""The layout that DESIGN describes, held by tests: who may import whom, what a provider brings, how long code is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROVIDERS = sorted(path.parent for path in (ROOT / "providers").glob("*/__init__.py"))
SDKS = ("temporalio", "boto3", "botocore", "psycopg", "dns", "google", "azure", "pyVmomi", "kubernetes", "httpx2")
"""Packages that cost seconds to import: they are loaded when an adapter or a workflow is, and never before."""

NOTHING_TO_TRANSLATE = {"probe"}
"""Providers that import an SDK and raise nothing for what it raises: for a probe, a failure to see is a reading."""

MODULE_LINES, FUNCTION_LINES = 350, 60


def sources() -> Iterator[Path]:
    """Every module of the product."""
    for folder in ("orchestrator", "workflows", "providers", "tideover"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_the_import_contracts_hold() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_reading_linting_and_planning_load_no_sdk_and_no_temporal() -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from orchestrator.app.registry import catalog\n"
        "from orchestrator.app.runbook_text import read\n"
        "from orchestrator.domain.derivation import derive\n"
        "for path in sorted(Path('runbooks').glob('*.yaml')):\n"
        "    runbook = read(path, catalog()).valid()\n"
        "    for mode in ('forced', 'planned', 'reprotect', 'unfence'):\n"
        "        derive(runbook, catalog(), runbook.direction[1], mode, 'journal').hash\n"
        f"print(sorted(set({SDKS!r}) & {{name.partition('.')[0] for name in sys.modules}}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("folder", PROVIDERS, ids=lambda folder: folder.name)
class TestEachProvider:
    def test_declares_its_resources_in_a_spec_that_imports_no_sdk(self, folder: Path) -> None:
        program = (
            f"import sys, providers.{folder.name}.spec as spec\n"
            f"assert spec.RESOURCES and all(kind.provider == {folder.name!r} for kind in spec.RESOURCES)\n"
            f"print(sorted(set({SDKS!r}) & {{name.partition('.')[0] for name in sys.modules}}))\n"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "[]"

    def test_translates_foreign_errors_in_one_place(self, folder: Path) -> None:
        modules = [path for path in folder.glob("*.py") if set(SDKS) & imported(path)]
        if modules and folder.name not in NOTHING_TO_TRANSLATE:
            assert (folder / "errors.py").is_file(), f"{[path.name for path in modules]} import an SDK"

    def test_has_its_own_tests(self, folder: Path) -> None:
        tests = ROOT / "tests" / "providers"
        assert sorted(tests.glob(f"test_{folder.name}*.py")), f"tests/providers/test_{folder.name}.py is missing"

    def test_names_adapters_that_exist(self, folder: Path) -> None:
        names = [node.value for node in ast.walk(ast.parse((folder / "spec.py").read_text()))
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)
                 and node.value.startswith(f"providers.{folder.name}.") and ":" in node.value]  # fmt: skip
        assert names
        for name in names:
            module, _, adapter = name.partition(":")
            path = ROOT / (module.replace(".", "/") + ".py")
            defined = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}
            assert adapter in defined, f"{name} names nothing"

    def test_imports_no_sibling(self, folder: Path) -> None:
        for path in folder.glob("*.py"):
            others = {name for name in imported(path, whole=True) if name.startswith("providers.")}
            assert all(name.split(".")[1] == folder.name for name in others), f"{path} imports {others}"


def imported(path: Path, whole: bool = False) -> set[str]:
    """The packages that a module imports, anywhere in it; their whole names where that is asked for."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {
                f"{node.module}.{alias.name}" for alias in node.names if node.module == "providers"
            }
    return found if whole else {name.partition(".")[0] for name in found}


def test_modules_and_functions_are_short() -> None:
    long = [f"{path.relative_to(ROOT)}: {lines} lines" for path in sources()
            if (lines := len(path.read_text().splitlines())) > MODULE_LINES]  # fmt: skip
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines")
    assert long == [], "there is a second idea in each of these"


def test_no_module_has_a_name_that_says_nothing() -> None:
    generic = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert [str(path) for path in sources() if path.stem in generic] == []


def test_what_the_documents_name_is_there() -> None:
    """`path.py` in a document is a file; names in the same breath stand in it."""
    named, pattern = 0, re.compile(r"`((?:orchestrator|workflows|providers|tests)/[\w/.]+)`((?:,? `\w+`)*)")
    for document in sorted((ROOT / "docs").glob("*.md")):
        for path, names in pattern.findall(document.read_text()):
            assert (ROOT / path).exists(), f"{document.name} names {path}"
            for name in re.findall(r"\w+", names):
                assert name in (ROOT / path).read_text(), f"{document.name} names {name} in {path}"
                named += 1
    assert named > 10, "nothing was looked at"
