"""One record on real Knot servers, a primary alone or with its secondary, and the adapter for it.

A test module takes it in with `pytest_plugins` and uses the fixture `knot` or `knots`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.catalog import DnsPlace, Site
from orchestrator.domain.world import Records
from orchestrator.ports import Binding
from providers.rfc2136.record import Record
from providers.rfc2136.spec import RecordSettings
from tests.providers.knot_servers import KEY, KEY_NAME, NAME, ZONE, Knot, free_port

PRIMARY, SECONDARY, WAY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
AT_A, AT_B = "10.0.1.10", "10.0.2.10"
SECRET = {"key_name": KEY_NAME, "algorithm": "hmac-sha256", "key": KEY}
PLACES = {"az-a": DnsPlace(a=AT_A), "az-b": DnsPlace(a=AT_B)}


def a(*values: str, ttl: int = 30) -> Records:
    return Records(records={"A": values} if values else {}, ttl=ttl)


def record(port: int, secret: dict[str, str] = SECRET, places: dict[str, DnsPlace] = PLACES, **settings: Any) -> Record:
    given = {
        "zone": ZONE,
        "record": NAME,
        "ttl": "30s",
        "primary": PRIMARY,
        "authorities": [PRIMARY, SECONDARY],
        "port": port,
        "timeout": "30s",
        **settings,
    }
    return Record(
        Binding(
            resource="name",
            component="name",
            site=None,
            settings=RecordSettings.model_validate(given),
            places=places,
            sites={"az-a": Site(provider="on-prem"), "az-b": Site(provider="on-prem")},
            secret=secret,
        )
    )


class World:
    """A primary with one record."""

    servers: tuple[str, ...] = (PRIMARY,)

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.port = free_port()
        self.primary = stack.enter_context(
            Knot(directory / "primary", PRIMARY, self.port, SECONDARY, primary=True, a=AT_A)
        )

    def record(self, **settings: Any) -> Record:
        return record(self.port, **{"authorities": self.servers, **settings})


class Pair(World):
    """A primary and its secondary, both answering with the same record."""

    servers = (PRIMARY, SECONDARY)

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        super().__init__(directory, stack)
        self.secondary = stack.enter_context(
            Knot(directory / "secondary", SECONDARY, self.port, PRIMARY, primary=False, a=AT_A)
        )


@pytest.fixture
def knot(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


@pytest.fixture
def knots(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, stack)
