"""The licence check passes what is installed and stops what may not be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_licences.py"


def check(root: str, site: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, SCRIPT, root], env=environment, capture_output=True, text=True, check=False)


def install(site: Path, name: str, *metadata: str) -> None:
    """The distribution `name` 1.0 is installed in `site`, as far as its metadata tells."""
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir()
    lines = ("Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *metadata)
    (folder / "METADATA").write_text("\n".join(lines) + "\n")


def test_what_tideover_needs_is_allowed(tmp_path: Path) -> None:
    result = check("tideover", tmp_path)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[1]) > 20


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ("License-Expression: GPL-3.0-only", "GPL-3.0-only"),
        ("License-Expression: MIT AND GPL-3.0-only", "MIT AND GPL-3.0-only"),
        ("License-Expression: (MIT OR GPL-3.0-only) AND SSPL-1.0", "(MIT OR GPL-3.0-only) AND SSPL-1.0"),
        ("License-Expression: LGPL-3.0-only", "LGPL-3.0-only"),  # allowed to psycopg alone
        ("License: Proprietary", "Proprietary"),
        ("Classifier: License :: OSI Approved :: GNU Affero General Public License v3", "GNU Affero General Public"),
        ("Summary: says nothing", "unknown licence"),
    ],
)
def test_a_dependency_of_an_extra_that_may_not_be_is_named(tmp_path: Path, metadata: str, shown: str) -> None:
    install(
        tmp_path,
        "top",
        "License-Expression: Apache-2.0",
        "Provides-Extra: cloud",
        "Requires-Dist: middle; extra == 'cloud'",
    )
    install(tmp_path, "middle", "License-Expression: MIT", "Requires-Dist: bottom>=1")
    install(tmp_path, "bottom", metadata)
    result = check("top", tmp_path)
    assert result.returncode == 1
    assert f"bottom 1.0: {shown}" in result.stderr


@pytest.mark.parametrize(
    "metadata",
    [
        "License-Expression: MIT OR GPL-3.0-only",
        "License: Apache 2.0",
        "Classifier: License :: OSI Approved :: BSD License",
    ],
)
def test_an_allowed_choice_and_older_spellings_pass(tmp_path: Path, metadata: str) -> None:
    install(tmp_path, "top", metadata)
    result = check("top", tmp_path)
    assert result.returncode == 0, result.stderr


def test_a_dependency_that_is_not_installed_cannot_be_cleared(tmp_path: Path) -> None:
    install(tmp_path, "top", "License-Expression: MIT", "Requires-Dist: not-installed-anywhere")
    result = check("top", tmp_path)
    assert result.returncode == 1
    assert "not-installed-anywhere" in result.stderr
