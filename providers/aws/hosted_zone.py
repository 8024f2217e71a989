"""Finding the hosted zone that is meant, and names as Route 53 writes them."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.domain.errors import Misconfigured, NotFound, WrongIdentity
from providers.aws.errors import translated


def find_zone(route53: Any, name: str, identifier: str | None) -> str:
    """The ID of the zone with this name: the given one, whose name is checked, or the only one there is."""
    wanted = presented(name)
    if identifier:
        with translated(f"hosted zone {identifier}, reading its name"):
            found = presented(route53.get_hosted_zone(Id=identifier)["HostedZone"]["Name"])
        if found != wanted:
            msg = f"hosted zone {identifier} is named {found}, not {wanted}; correct `hosted_zone:` or `zone:`"
            raise WrongIdentity(msg)
        return identifier
    with translated(f"hosted zone {wanted}, looking for it"):
        page = route53.list_hosted_zones_by_name(DNSName=wanted, MaxItems="100")
    zones = {
        zone["Id"].rpartition("/")[2]: "private" if zone.get("Config", {}).get("PrivateZone") else "public"
        for zone in page["HostedZones"]
        if presented(zone["Name"]) == wanted
    }
    if not zones:
        msg = f"Route 53 shows no hosted zone named {wanted} to these credentials; correct `zone:` or the account"
        raise NotFound(msg)
    if len(zones) > 1:
        shown = ", ".join(f"{zone} ({kind})" for zone, kind in sorted(zones.items()))
        msg = f"{len(zones)} hosted zones are named {wanted}: {shown}; choose one with `hosted_zone:`"
        raise Misconfigured(msg)
    return str(next(iter(zones)))


def presented(name: str) -> str:
    r"""The name as we write it: lower case, one trailing dot, `*` instead of Route 53's `\052`."""
    unescaped = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), name)
    return unescaped.lower().rstrip(".") + "."
