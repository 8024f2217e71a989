"""Bindings as the registry would make them, for two zones of one region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from orchestrator.domain.catalog import NoSettings, Site
from orchestrator.ports import Binding

SITES = {
    "az-a": Site(provider="aws", region="eu-central-1", zone="eu-central-1a"),
    "az-b": Site(provider="aws", region="eu-central-1", zone="eu-central-1b"),
}
SECRET = {"aws_access_key_id": "AKIACANARY0000000001", "aws_secret_access_key": "canary/never-to-be-shown/1"}


def bind(
    places: Mapping[str, BaseModel],
    *,
    settings: BaseModel | None = None,
    site: str | None = None,
    sites: Mapping[str, Site] = SITES,
    secret: Mapping[str, str] = SECRET,
) -> Binding[Any, Any]:
    """What the registry would construct an adapter with."""
    return Binding(
        resource="aws.test",
        component="test",
        site=site,
        settings=settings or NoSettings(),
        places=places,
        sites=sites,
        secret=secret,
    )
