"""The lab for end-to-end tests: a fresh one for every test that asks for it, from one prepared pair of databases."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.app.connection import connect
from orchestrator.app.executions import Executions
from orchestrator.app.temporal_server import EmbeddedServer
from orchestrator.runtime import audit
from tests.e2e.lab import description
from tests.e2e.lab.database import prepare_pair
from tests.e2e.lab.faults import Faults
from tests.e2e.lab.needs import how_to_get_it, missing
from tests.e2e.lab.observer import Watch
from tests.e2e.lab.world import Lab
from tests.e2e.operating import Operation
from tests.e2e.secrecy import search

_missing_here = cache(missing)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs the lab says by its name what is missing here; on CI that is a failure."""
    if item.get_closest_marker("lab") is None or not (lacks := _missing_here()):
        return
    text = f"{item.name} cannot run: the lab lacks {'; '.join(lacks)}. As root: {how_to_get_it()}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the ends of its lab's logs."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and report.when == "call" and isinstance(lab, Lab):
        report.sections += [(f"lab: {name}", text) for name, text in lab.logs().items()]
    return report


@pytest.fixture(scope="session")
def lab_template() -> Iterator[Path]:
    """A stopped primary and its standby, to be copied. Everyone may enter the folder, the database's user too."""
    folder = Path(tempfile.mkdtemp(prefix="tideover-lab-template-"))
    folder.chmod(0o755)
    try:
        prepare_pair(folder)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def lab(lab_template: Path) -> Iterator[Lab]:
    """A running lab: pg-a in site dc is the primary, pg-b in site cloud its standby."""
    with Lab(lab_template) as built:
        yield built


@pytest.fixture
def faults(lab: Lab) -> Faults:
    """The lab's faults."""
    return Faults(lab)


@pytest.fixture
def watch(lab: Lab) -> Watch:
    """The observer and two clients, from now on."""
    return Watch(lab)


@pytest_asyncio.fixture
async def operation(lab: Lab, temporal_env: EmbeddedServer) -> AsyncIterator[Operation]:
    """The lab's service as Tideover knows it. In the end the audit trail is whole and no secret is anywhere."""
    executions = Executions(await connect(address=temporal_env.address), temporal_env.ui)
    operating = Operation(lab, temporal_env.address, executions)
    operating.describe()
    yield operating
    await operating.close()
    assert audit.verify(operating.journal) is None
    assert await search(operating, description.secrets()) == []
