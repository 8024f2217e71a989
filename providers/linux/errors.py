"""What the programs `ip` and `arping` complain of, as our errors: the one map of this provider."""

from __future__ import annotations

from orchestrator.domain.errors import Doubtful, Misconfigured, NotFound, ProviderError, Rejected
from orchestrator.runtime.command import Completed
from orchestrator.runtime.host import Host

# A part of the complaint (LC_ALL=C) -> our error and what to do.
BY_COMPLAINT: tuple[tuple[str, type[ProviderError], str], ...] = (
    ("Cannot find device", NotFound, "check the key interface"),
    ("does not exist", NotFound, "check the key interface"),
    ("Operation not permitted", Misconfigured, "log in as root, or allow sudo without a password"),
    ("arping is missing", Misconfigured, "install iputils-arping there"),
    ("RTNETLINK answers:", Rejected, "the kernel did not accept it"),
)


def complained(host: Host, what: str, done: Completed) -> ProviderError:
    """The error for a command that ended with a code; Doubtful where the map does not know its complaint."""
    for words, kind, advice in BY_COMPLAINT:
        if words in done.stderr:
            return kind(f"{host}: {what}: {done.complaint}; {advice}")
    return Doubtful(f"{host}: {what}: {done.complaint}")
