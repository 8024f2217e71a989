"""Every change that a provider offers is tried with a frozen worker; a new one cannot be forgotten."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator

import tests.providers
from orchestrator.app.registry import catalog
from orchestrator.domain.catalog import ResourceType
from tests.providers.frozen import ComparedAndSet, FrozenContract


def classes(base: type[FrozenContract]) -> Iterator[type[FrozenContract]]:
    for found in base.__subclasses__():
        yield found
        yield from classes(found)


def covered(base: type[FrozenContract]) -> set[str]:
    for module in pkgutil.iter_modules(tests.providers.__path__):
        if module.name.startswith("test_"):
            importlib.import_module(f"tests.providers.{module.name}")
    return {found.covers for found in classes(base) if hasattr(found, "covers")}


def offered(kinds: Iterable[ResourceType]) -> set[str]:
    return {f"{kind.name} {verb}" for kind in kinds if kind.by_hand for verb in kind.by_hand.do}


def test_every_change_of_every_provider_is_tried() -> None:
    assert covered(FrozenContract) == offered(catalog().types)


def test_every_compare_and_set_is_tried() -> None:
    assert covered(ComparedAndSet) == offered(kind for kind in catalog().types if kind.compare_and_set)
