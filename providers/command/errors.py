"""The one map from how a command fails to our errors. An exit code proves nothing, so only one thing is certain: a
program that could not be started did nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from orchestrator.domain.errors import Doubtful, Misconfigured
from orchestrator.runtime.child import Ended, redacted


def shown(argv: Sequence[str], secret: Mapping[str, str]) -> str:
    """The command as one would type it, shortened."""
    return f"`{redacted(shlex.join(argv), secret, limit=80)}`"


def not_started(argv: Sequence[str], error: OSError, secret: Mapping[str, str]) -> Misconfigured:
    """The program or its directory is not there, or cannot be run: surely not done."""
    missing = error.filename or argv[0]
    return Misconfigured(f"{shown(argv, secret)} cannot be run ({missing}: {error.strerror}): correct the runbook")


def failed(argv: Sequence[str], ended: Ended, timeout: float, secret: Mapping[str, str]) -> Doubtful:
    """It was killed or ended with another code than 0."""
    said = redacted(ended.stderr or ended.stdout, secret) or "nothing was printed"
    if ended.code is None:
        return Doubtful(f"{shown(argv, secret)} was killed after {timeout:.1f} s ({said}): run it by hand")
    return Doubtful(f"{shown(argv, secret)} ended with exit {ended.code} ({said}): run it by hand")


def unreadable(argv: Sequence[str], printed: str, wanted: str, secret: Mapping[str, str]) -> Doubtful:
    """It printed something else than the holder."""
    what = repr(redacted(printed, secret)) if printed.strip() else "nothing"
    return Doubtful(f'{shown(argv, secret)} printed {what}: it must print {{"holder": ...}} with {wanted}')
