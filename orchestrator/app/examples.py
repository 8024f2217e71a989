"""The runbooks that come with Tideover, to start from."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

TO_START_FROM = ("aws-two-zones.yaml", "on-prem-to-aws.yaml")
"""What a newcomer changes into a runbook of their own."""


def example(name: str) -> Traversable:
    """The file of this name: in an installed wheel it lies inside of the package, in a checkout beside it."""
    package = files("orchestrator.app")
    installed = package / "runbooks" / name
    return installed if installed.is_file() else Path(str(package)).parents[1] / "runbooks" / name
