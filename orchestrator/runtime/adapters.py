"""From a resource of the plan to its adapter: loaded when first needed, with its secrets resolved here (I14)."""

from __future__ import annotations

import importlib

from pydantic import BaseModel, ValidationError

from orchestrator.domain.catalog import Catalog
from orchestrator.domain.errors import Misconfigured, NotFoundLocally
from orchestrator.domain.plan import ResourceSpec
from orchestrator.ports import Binding, Credentials, Resource


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
        except (LookupError, NotFoundLocally, ValidationError) as error:
            raise Misconfigured(f"{spec.id} cannot be reached from here: {_line(error)}") from error
        resource: Resource = adapter(binding)
        return resource


def _line(error: Exception) -> str:
    return str(error).replace("\n", " ")
