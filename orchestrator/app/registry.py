"""What providers there are: every folder `providers/<name>/` with a `spec.py`. SDKs are not imported here."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import providers
from orchestrator.domain.catalog import Catalog, ResourceType
from orchestrator.domain.errors import Misconfigured


@cache
def catalog() -> Catalog:
    """The resource types of all providers. Raises Misconfigured where two declare the same name."""
    found: list[ResourceType] = []
    for module in pkgutil.iter_modules(providers.__path__):
        if module.ispkg:
            found += importlib.import_module(f"providers.{module.name}.spec").RESOURCES
    names = [kind.name for kind in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Misconfigured(f"declared by two providers: {', '.join(twice)}")
    return Catalog(types=tuple(sorted(found, key=lambda kind: kind.name)))
