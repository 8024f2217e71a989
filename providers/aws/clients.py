"""SDK clients, built once for each service, region and credentials: building one costs a tenth of a second and more.

No client retries. A mutating request that is sent twice by the SDK would hide a doubt from the ledger; a read is
asked again by whoever drives the adapter.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from typing import Any

import boto3  # type: ignore[import-untyped]  # boto3 ships no types
from botocore.config import Config  # type: ignore[import-untyped]

from orchestrator.domain.catalog import Site
from orchestrator.domain.errors import Misconfigured
from providers.aws.errors import translated

CONNECT_TIMEOUT, READ_TIMEOUT = 2.0, 5.0
SECRET_FIELDS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")

_CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT,
    read_timeout=READ_TIMEOUT,
    retries={"total_max_attempts": 1, "mode": "standard"},
    user_agent_extra="tideover",
)
_building = threading.Lock()
_clients: dict[tuple[str, str, str], Any] = {}


def client(service: str, region: str, secret: Mapping[str, str]) -> Any:
    """A thread-safe client with the profile's keys, or with boto3's own chain where the profile has none."""
    keys = {name: secret[name] for name in SECRET_FIELDS if secret.get(name)}
    with _building:
        known = (service, region, _fingerprint(keys))
        if known not in _clients:
            with translated(f"preparing to talk to AWS {service} in {region}"):
                _clients[known] = boto3.Session(region_name=region, **keys).client(service, config=_CONFIG)
        return _clients[known]


def _fingerprint(keys: Mapping[str, str]) -> str:
    """Changes with the keys and with every AWS_* variable, for those choose endpoint, profile and credentials."""
    environment = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    return hashlib.sha256(repr((sorted(keys.items()), environment)).encode()).hexdigest()


def region_of(sites: Mapping[str, Site], names: tuple[str, ...], what: str) -> str:
    """The one region of these sites. Raises Misconfigured where one has none, or where they differ."""
    regions = {name: sites[name].region for name in names}
    missing = sorted(name for name, region in regions.items() if not region)
    if missing:
        msg = f"{what}: site {', '.join(missing)} has no region; add `region:` to it under `sites:`"
        raise Misconfigured(msg)
    different = sorted({region for region in regions.values() if region})
    if len(different) != 1:
        shown = ", ".join(f"{name} in {region}" for name, region in sorted(regions.items())) or "no site at all"
        msg = f"{what} exists in one region only, but its sites are {shown}; use `dns` between regions"
        raise Misconfigured(msg)
    return different[0]
