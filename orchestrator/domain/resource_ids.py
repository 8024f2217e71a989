"""What the ID of a resource is made of: `db@left`, its fence `db@left:fence_agents`; `db` where sites share it."""

from __future__ import annotations


def instance(component: str, site: str | None) -> str:
    """The component's own resource at the site."""
    return f"{component}@{site}"


def fence(resource: str, provider: str) -> str:
    """A fence method of what stands at `resource`."""
    return f"{resource}:{provider}"


def component_of(resource: str) -> str:
    """The component that it belongs to."""
    return place_of(resource).partition("@")[0]


def place_of(resource: str) -> str:
    """What a fence method cuts off; anything else is its own place."""
    return resource.partition(":")[0]


def method_of(resource: str) -> str:
    """The method's own name; empty for what is no fence method."""
    return resource.partition(":")[2]
