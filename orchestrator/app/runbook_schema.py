"""The JSON Schema of the runbook language, with the keys that each provider adds: for editors and reviewers."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from orchestrator.domain.catalog import Catalog, ResourceType
from orchestrator.domain.component_types import TYPES, ComponentType
from orchestrator.domain.resolving.fence_paths import MethodKeys, PlaceKeys
from orchestrator.domain.runbook import Component, Runbook, Verification

Schema = dict[str, Any]


def text(catalog: Catalog) -> str:
    """The schema as it stands in runbooks/runbook.schema.json."""
    return json.dumps(schema(catalog), indent=2, ensure_ascii=False) + "\n"


def schema(catalog: Catalog) -> Schema:
    """One schema for whole runbooks. What depends on more than one place (a site's provider) is left to `lint`."""
    models: list[type[BaseModel]] = [Runbook, Component, Verification, MethodKeys, PlaceKeys]
    models += [model for kind in catalog.types for model in (kind.settings, kind.place)]
    names, whole = models_json_schema([(model, "validation") for model in dict.fromkeys(models)])
    parts = _Parts(catalog, {m: names[m, "validation"]["$ref"].rpartition("/")[2] for m in models}, whole["$defs"])
    runbook = parts.of(Runbook)
    runbook["properties"]["components"]["additionalProperties"] = {
        "oneOf": [{"$ref": f"#/$defs/component-{name}"} for name in TYPES]
    }
    runbook["properties"]["verify"]["items"] = {"oneOf": parts.probes()}
    components = {f"component-{kind.name}": parts.component(kind) for kind in TYPES.values()}
    defs = {**whole["$defs"], **components, "fence": parts.fence()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **runbook,
        "title": "Tideover runbook",
        "$defs": _reachable(runbook, defs),
    }


class _Parts:
    """The schemas of the models, put together as the resolving of a runbook puts their keys together."""

    def __init__(self, catalog: Catalog, names: dict[type[BaseModel], str], defs: dict[str, Schema]) -> None:
        self.catalog, self.names, self.defs = catalog, names, defs

    def of(self, model: type[BaseModel]) -> Schema:
        """The model's own schema."""
        return dict(self.defs[self.names[model]])

    def component(self, kind: ComponentType) -> Schema:
        """A component of this type: one shape for each resource type that implements it."""
        serving = [found for found in self.catalog.types if found.serves == kind.name]
        shapes = [self._shape(kind, found) for found in serving] or [self._shape(kind, None)]
        return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}

    def fence(self) -> Schema:
        """An ordered list of methods: a provider's name, or that with settings."""
        machines = [found for found in self.catalog.types if found.serves == "machine"]
        methods: list[Schema] = [{"enum": sorted(found.provider for found in machines)}]
        for found in machines:
            core = {"credentials": {"type": "string"}, **self.of(MethodKeys)["properties"]}
            place = self._keys(found.place, core)
            one = {"type": "object", "properties": {found.provider: place}, "required": [found.provider]}
            methods.append({**one, "additionalProperties": False})
        return {"type": "array", "items": {"anyOf": methods}}

    def probes(self) -> list[Schema]:
        """One shape for each telling key; the other settings may come from the component that it names."""
        shapes = []
        for found in self.catalog.types:
            if not found.serves.startswith("verify:"):
                continue
            core = {name: self.of(Verification)["properties"][name] for name in ("component", "within")}
            key = found.serves.partition(":")[2]
            shapes.append({**self._keys(found.settings, core), "title": f"{key} ({found.name})", "required": [key]})
        return shapes

    def _shape(self, kind: ComponentType, found: ResourceType | None) -> Schema:
        core = self.of(Component)["properties"]
        keys: Schema = {"type": {"const": kind.name}, "needs": core["needs"], "credentials": core["credentials"]}
        if kind.name == "dns" and found:
            keys["server"] = {"enum": sorted(found.selectors)}
        fenced: Schema = {}
        if kind.fenced:
            own = self.of(PlaceKeys)["properties"]
            keys["fencing"] = core["fencing"]
            fenced = {"fence": {"$ref": "#/$defs/fence"}, "machine": {"type": "string"}, **own}
        place = self._keys(found.place, fenced) if found else _closed(fenced, [])
        keys["at"] = {"type": "object", "additionalProperties": place}
        shape = self._keys(found.settings, keys) if found else _closed(keys, [])
        needed = ["type", *(["server"] if "server" in keys else []), *shape.get("required", [])]
        return {"title": f"{kind.name} ({found.name})" if found else kind.name, **shape, "required": needed}

    def _keys(self, model: type[BaseModel], more: Schema) -> Schema:
        own = self.of(model)
        return _closed({**more, **own.get("properties", {})}, own.get("required", []))


def _closed(properties: Schema, required: list[str]) -> Schema:
    needed = {"required": required} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False}


def _reachable(root: Schema, defs: dict[str, Schema]) -> dict[str, Schema]:
    """The definitions that `root` leads to."""
    found: dict[str, Schema] = {}
    waiting = [root]
    while waiting:
        for name in _references(waiting.pop()):
            if name not in found:
                found[name] = defs[name]
                waiting.append(defs[name])
    return dict(sorted(found.items()))


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"].rpartition("/")[2]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in node.values()))
    return set().union(*(_references(value) for value in node)) if isinstance(node, list) else set()
