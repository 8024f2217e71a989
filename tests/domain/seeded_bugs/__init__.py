"""Ways to break the product, one rule at a time: what rehearsal has to find. A module for each place of rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Sabotage = Callable[[pytest.MonkeyPatch], None]


def nothing(*_: Any, **__: Any) -> None:
    """The answer of a rule that finds nothing wrong."""


def everywhere(patch: pytest.MonkeyPatch, name: str, broken: object, *modules: object) -> None:
    for module in modules:
        patch.setattr(module, name, broken)
