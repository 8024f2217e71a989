"""No secret is anywhere but in the file of profiles (I14). Every other scenario of the lab looks for them as well."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.e2e.lab import description
from tests.e2e.lab.faults import Faults
from tests.e2e.lab.world import Lab
from tests.e2e.operating import ROOT, Operation
from tests.e2e.secrecy import search

pytestmark = pytest.mark.lab


def _report(operation: Operation) -> None:
    """The report of the newest execution is written in every format, as an operator would."""
    argv = [sys.executable, "-m", "orchestrator.app.cli", "report", operation.group]
    subprocess.run(argv, cwd=ROOT, env={**os.environ, **operation.environment}, check=True, capture_output=True)


async def test_secrets_are_nowhere_and_what_is_no_secret_is_found(
    lab: Lab, faults: Faults, operation: Operation
) -> None:
    with operation.worker():
        with faults.refuse_sql("pg-a"):  # errors of the SQL client are shown to the operator, too
            await operation.succeeds(await operation.failover())
        await operation.succeeds(await operation.reprotect("dc"))  # by pg_rewind, with the replication's password
    _report(operation)
    assert await search(operation, description.secrets()) == []
    found = await search(operation, {lab.address("pg-b")})
    for place in ("the history of", "journal.db", ".html", ".json", ".md"):
        assert any(place in where for where in found), f"the search does not look into {place}: {found}"
    assert operation.group in operation.logs[0].read_text(), "the worker's output is where it is looked for"
