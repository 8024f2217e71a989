"""The component types of the runbook language, and what each means for order and safety."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ComponentType:
    """What the derivation needs to know of a type.

    writers: `one` is fenced and promoted; `none` holds no data of its own.
    fenced: its machine acts on the world, so the source's must be off before a promotion (I2).
    shared: the sites share one instance, which is pointed at a site.
    early: in a forced failover it moves beside the fence, not after the promotion: a standby that holds the address
        answers "read-only" and is asked again at once, where a lost SYN costs a client a second.
    """

    name: str
    writers: Literal["one", "none"] = "none"
    fenced: bool = False
    shared: bool = False
    early: bool = False


TYPES = {
    kind.name: kind
    for kind in (
        ComponentType("postgresql", writers="one", fenced=True),
        ComponentType("vm", fenced=True),
        ComponentType("floating-ip", shared=True, early=True),
        ComponentType("dns", shared=True),
        ComponentType("command", shared=True),
    )
}
