"""What a provider of your own needs, and nothing else: import from here, not from the packages behind it.

A provider is a folder: a `spec.py` that lists its `RESOURCES`, and modules that hold the adapters (docs/providers.md).
"""

from orchestrator.domain.by_hand import ByHand
from orchestrator.domain.catalog import DnsPlace, DnsSettings, NoSettings, ResourceType, Settings, Site, Weakness
from orchestrator.domain.durations import Seconds
from orchestrator.domain.errors import (
    AuthenticationFailed,
    Conflict,
    Doubtful,
    GuardRefused,
    Misconfigured,
    NotFound,
    ProviderError,
    Rejected,
    Unreachable,
    WrongIdentity,
)
from orchestrator.domain.spelling import canonical
from orchestrator.domain.world import (
    Holder,
    Power,
    Reading,
    Records,
    ReplicatesFrom,
    Replication,
    Role,
    Running,
    State,
)
from orchestrator.ports import Adapter, Binding, Call, Resource

__all__ = [
    "Adapter",
    "AuthenticationFailed",
    "Binding",
    "ByHand",
    "Call",
    "Conflict",
    "DnsPlace",
    "DnsSettings",
    "Doubtful",
    "GuardRefused",
    "Holder",
    "Misconfigured",
    "NoSettings",
    "NotFound",
    "Power",
    "ProviderError",
    "Reading",
    "Records",
    "Rejected",
    "ReplicatesFrom",
    "Replication",
    "Resource",
    "ResourceType",
    "Role",
    "Running",
    "Seconds",
    "Settings",
    "Site",
    "State",
    "Unreachable",
    "Weakness",
    "WrongIdentity",
    "canonical",
]
