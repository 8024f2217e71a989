"""Reading the world without changing it: all resources of a check, or one until a condition is met."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from orchestrator.domain.ensure import POLL
from orchestrator.domain.errors import ProviderError
from orchestrator.domain.state import Condition, ReadError, met
from orchestrator.domain.world import Reading
from orchestrator.ports import Glanced, Inspected, Resource

READS = 2
"""How often a check reads a resource that does not answer."""


def check(resources: Mapping[str, Callable[[], Resource]]) -> tuple[dict[str, Reading], dict[str, ReadError]]:
    """A reading or an error of every resource; all are read at the same time. `resources` maps to what builds each."""
    with ThreadPoolExecutor(max_workers=max(1, len(resources))) as pool:
        found = list(pool.map(read, resources.values()))
    readings = {name: f for name, f in zip(resources, found, strict=True) if isinstance(f, Reading)}
    errors = {name: f for name, f in zip(resources, found, strict=True) if isinstance(f, ReadError)}
    return readings, errors


def look_until(
    resource: Resource, condition: Condition, timeout: float, cancelled: Callable[[], bool]
) -> tuple[Reading | None, str]:
    """The first reading that meets the condition and "", else the last reading and why it is not enough."""
    deadline, last, why = time.monotonic() + timeout, None, "nothing was read in time"
    while True:
        try:
            last = resource.observe()
        except ProviderError as error:
            why = str(error)
            if not error.retryable:
                return None, why
        else:
            if met(condition, last):
                return last, ""
            why = f"not reached in {timeout:g}s; last read: {', '.join(str(s) for s in last.states) or 'nothing'}"
        if cancelled() or time.monotonic() >= deadline:
            return last, why
        time.sleep(POLL)


def glance(resource: Resource) -> tuple[Reading | None, str]:
    """One reading and "", or why there is none: at once where nothing answers, since a dark host must not cost time."""
    try:
        return (resource.glance() if isinstance(resource, Glanced) else resource.observe()), ""
    except ProviderError as error:
        return None, str(error)


def read(build: Callable[[], Resource]) -> Reading | ReadError:
    """A reading of the resource that `build` makes, with its hazards among the warnings, or why there is none."""
    for left in reversed(range(READS)):
        try:
            resource = build()
            reading = resource.observe()
        except ProviderError as error:
            if error.retryable and left:
                continue
            return ReadError(error=type(error).__name__, why=str(error), lasting=not error.retryable)
        return reading.model_copy(update={"warnings": (*reading.warnings, *_hazards(resource))})
    raise AssertionError


def _hazards(resource: Resource) -> tuple[str, ...]:
    """What the resource itself sees coming; that it could not be looked at is one of them."""
    if not isinstance(resource, Inspected):
        return ()
    try:
        return resource.hazards()
    except ProviderError as error:
        return (f"what would make a later recovery unsafe could not be looked at: {error}",)
