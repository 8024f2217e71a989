"""What the AWS tests share. A test module takes it in with `pytest_plugins` and uses the fixture `aws`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.providers.aws_world import AwsWorld
from tests.providers.aws_world.loopback import only_loopback

__all__ = ["aws", "only_loopback", "world"]


@pytest.fixture(scope="session")
def world() -> Iterator[AwsWorld]:
    with AwsWorld() as running:
        yield running


@pytest.fixture
def aws(world: AwsWorld, only_loopback: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsWorld]:
    """The world, with every AWS setting of the machine hidden; fails where a planned fault was not met."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    world.faults.came.clear()
    yield world
    assert not world.faults.left, f"faults that no request met: {world.faults.left}"
