"""What more than one folder of tests needs."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from orchestrator.app.temporal_binary import ServerBinary, find_binary
from orchestrator.app.temporal_server import EmbeddedServer, ServerOptions, start_embedded
from orchestrator.runtime import ssh
from tests import etcd, etcd_binary
from workflows import search_attributes

pytest.register_assert_rewrite(
    "tests.app.toy_shop",
    "tests.providers.contract",
    "tests.providers.frozen",
    "tests.providers.knot_worlds",
    "tests.providers.postgresql_pair",
)
signal.signal(signal.SIGINT, signal.default_int_handler)
"""A suite that a shell started in the background ignores SIGINT, and so would every program that a test interrupts."""


@pytest.fixture(autouse=True)
def no_session_is_left() -> Iterator[None]:
    """No test is served by the SSH session of another."""
    yield
    ssh.forget()


@pytest.fixture(scope="session")
def temporal_binary() -> ServerBinary:
    """A real Temporal server's binary, found, downloaded or built; `make test` did it before and said so."""
    return find_binary(lambda line: print(line, file=sys.stderr))  # noqa: T201  progress, where a person looks for it


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal_env(temporal_binary: ServerBinary) -> AsyncIterator[EmbeddedServer]:
    """A real Temporal server with Tideover's search attributes, one for each test process: it starts within a second,
    and nothing that one process does to it can reach the tests of another. Tests connect clients of their own."""
    async with start_embedded(temporal_binary, ServerOptions(search_attributes=search_attributes.ALL)) as server:
        yield server


@pytest.fixture(scope="session")
def etcd_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[etcd.Cluster]:
    """Three real etcd members that nobody harms, one cluster for each test process; each test has its own prefix."""
    with etcd.cluster(etcd_binary.find(), tmp_path_factory.mktemp("etcd")) as found:
        yield found
