"""From a resource of the plan to its adapter: loaded when first needed, with its secrets resolved here (I14)."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.errors import Doubtful, Misconfigured, NotFoundLocally, TideoverError
from orchestrator.domain.plan import ResourceSpec
from orchestrator.domain.world import Reading, State
from orchestrator.ports import Binding, Call, Credentials, Glanced, Inspected, Resource, Resumed


class Adapters:
    """Builds adapters. `catalog`: what providers declare; `credentials`: where secrets come from."""

    def __init__(self, catalog: Catalog, credentials: Credentials) -> None:
        self.catalog, self.credentials = catalog, credentials

    def open(self, spec: ResourceSpec) -> Resource:
        """The adapter of `spec`. Raises Misconfigured where its provider, settings or secret cannot be had here."""
        try:
            kind = self.catalog.get(spec.type)
            binding = Binding[BaseModel, BaseModel](
                resource=spec.id,
                component=spec.component,
                site=spec.site,
                settings=kind.settings.model_validate(spec.settings),
                places={site: kind.place.model_validate(place) for site, place in spec.places.items()},
                sites=spec.sites,
                secret=self.credentials.resolve(spec.credentials) if spec.credentials else {},
            )
            module, _, name = kind.adapter.partition(":")
            adapter = getattr(importlib.import_module(module), name)
        except ImportError as error:
            extra = spec.type.partition(".")[0]
            why = f"{spec.id} needs {error.name or error}: install it with `uv sync --extra {extra}`"
            raise Misconfigured(why) from error
        except (LookupError, AttributeError, NotFoundLocally, ValidationError) as error:
            raise Misconfigured(f"{spec.id} cannot be reached from here: {_line(error)}") from error
        return _Contained(spec.id, adapter(binding))


class _Contained:
    """A resource whose unforeseen errors are Doubtful, and told without their text: it may hold a secret (I14)."""

    def __init__(self, name: str, inner: Resource) -> None:
        self._name, self._inner = name, inner

    def observe(self) -> Reading:
        """What the adapter reads. Raises ProviderError and nothing else."""
        with self._contained():
            return self._inner.observe()

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """What the adapter does. Raises ProviderError or GuardRefused and nothing else."""
        with self._contained():
            self._inner.apply(desired, observed, call)

    def resume(self, token: str) -> None:
        """The adapter follows what left the token, where it leaves any."""
        if isinstance(self._inner, Resumed):
            self._inner.resume(token)

    def glance(self) -> Reading:
        """What the adapter reads, soon where it knows how. Raises ProviderError and nothing else."""
        with self._contained():
            return self._inner.glance() if isinstance(self._inner, Glanced) else self._inner.observe()

    def hazards(self) -> tuple[str, ...]:
        """What the adapter sees coming; nothing where it does not look ahead. Raises ProviderError and nothing else."""
        if not isinstance(self._inner, Inspected):
            return ()
        with self._contained():
            return self._inner.hazards()

    @contextmanager
    def _contained(self) -> Iterator[None]:
        try:
            yield
        except TideoverError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever an SDK or a bug raises
            raise Doubtful(self._unforeseen(error)) from None

    def _unforeseen(self, error: Exception) -> str:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return f"{self._name}: an error that its adapter does not foresee, {type(error).__name__} at {where}: report it"


def _line(error: Exception) -> str:
    """What the error says, without the values that it was raised for."""
    if not isinstance(error, ValidationError):
        return str(error).replace("\n", " ")
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in problems)
