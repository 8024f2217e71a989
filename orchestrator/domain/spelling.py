"""The one form in which addresses, host names and labels of people's own are compared, however they are written."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def canonical(given: str) -> str:
    """The same text for every spelling; empty for a blank one.

    Blanks, the case of letters, a name's last dot, the brackets and zeros of an IPv6 address, and an IPv4 address
    that is written within IPv6 make no difference.
    """
    plain = " ".join(given.split()).casefold().rstrip(".")
    try:
        address = ip_address(plain.removeprefix("[").removesuffix("]"))
    except ValueError:
        return plain
    within = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(within or address)
