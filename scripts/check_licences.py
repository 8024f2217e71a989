"""Fails where a run-time dependency's licence is unknown or does not go with an Apache-2.0 distribution.

Walks the installed metadata from a distribution with all its extras; the `dev` group is no part of either. Markers
hold for the Python and platform that this runs on. A licence is what `License-Expression` says, else the classifiers,
else the first line of `License`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0",
    "MPL-2.0",  # copyleft by file: unchanged files of a separately installed package bind nobody else's
    "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
}  # fmt: skip

# The LGPL lets any program use a library that its user can replace: these are installed by pip beside Tideover, never
# copied into it.
LGPL_INSTALLED_SEPARATELY = {
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
    "psycopg-pool": "LGPL-3.0-only",
}

# What metadata older than PEP 639 says, as an SPDX expression.
SPELLINGS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}


def main(root: str) -> int:
    """0 where every licence is allowed; else 1, with a line for each one that is not."""
    findings, seen = [], 0
    for dependency in closure(root):
        seen += 1
        licence = licence_of(dependency)
        if not (allowed(licence) or LGPL_INSTALLED_SEPARATELY.get(canonicalize_name(dependency.name)) == licence):
            findings.append(f"{dependency.name} {dependency.version}: {licence or 'unknown licence'}")
    for finding in sorted(findings):
        print(f"licence not allowed: {finding}", file=sys.stderr)
    print(f"licences: {seen} distributions from {root} with its extras, {len(findings)} not allowed")
    return 1 if findings else 0


def closure(root: str) -> Iterator[Distribution]:
    """The distribution, with all its extras, and everything that it needs at run time, each once."""
    top = distribution(root)
    waiting = [(top, extra) for extra in ("", *(top.metadata.get_all("Provides-Extra") or ()))]
    visited: set[tuple[str, str]] = set()
    while waiting:
        found, extra = waiting.pop()
        name = canonicalize_name(found.name)
        if (name, extra) in visited:
            continue
        if not any(name == other for other, _ in visited):
            yield found
        visited.add((name, extra))
        for text in found.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(installed(requirement.name, name), wanted) for wanted in ("", *requirement.extras)]


def installed(name: str, needed_by: str) -> Distribution:
    """The distribution; ends the check where it is missing, because what cannot be read cannot be cleared."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        sys.exit(f"licence unknown: {name}, which {needed_by} needs, is not installed; run uv sync --all-extras")


def licence_of(dependency: Distribution) -> str:
    """An SPDX expression, or what the metadata says in words of its own; empty where it says nothing."""
    if expressions := dependency.metadata.get_all("License-Expression"):
        return str(expressions[0])
    classifiers = [
        c.rpartition(" :: ")[2] for c in dependency.metadata.get_all("Classifier") or () if c.startswith("License")
    ]
    # Several classifiers do not say whether all or any of them hold: all must be allowed.
    words = [c for c in classifiers if c not in {"OSI Approved", "DFSG approved"}]
    words = words or str(*dependency.metadata.get_all("License") or ()).strip().splitlines()[:1]
    return " AND ".join(SPELLINGS.get(word.lower(), word) for word in words)


def allowed(licence: str) -> bool:
    """True where a choice that the expression leaves is allowed as a whole."""
    bare = re.sub(r"[()]", " ", licence)
    if "(" in licence and " OR " in licence:
        # A mix is rare enough to be decided by the strictest reading: every name in it must be allowed.
        return all(name in ALLOWED for name in re.split(r"\s+(?:AND|OR)\s+", bare.strip()))
    return any(all(name.strip() in ALLOWED for name in choice.split(" AND ")) for choice in bare.split(" OR "))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "tideover"))
