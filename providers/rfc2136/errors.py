"""The one map from what a DNS server or the way to it says to our errors.

Two tables: exceptions, for a conversation that did not come to an answer, and response codes, for an answer. A code
that is not in the table is Doubtful.
"""

from __future__ import annotations

import dns.exception
import dns.rcode
import dns.tsig

from orchestrator.domain.errors import (
    AuthenticationFailed,
    Conflict,
    Doubtful,
    Misconfigured,
    NotFound,
    ProviderError,
    Rejected,
)

# The first class that fits decides; anything else is Doubtful.
EXCEPTIONS: tuple[tuple[type[Exception], type[ProviderError], str], ...] = (
    (dns.tsig.PeerBadKey, AuthenticationFailed, "does not know the TSIG key: compare key_name and algorithm (BADKEY)"),
    (dns.tsig.PeerBadSignature, AuthenticationFailed, "finds the signature wrong: compare the key's secret (BADSIG)"),
    (dns.tsig.PeerBadTime, AuthenticationFailed, "finds the request's time too far from its own (BADTIME)"),
    (dns.tsig.PeerBadTruncation, AuthenticationFailed, "does not take truncated signatures: use hmac-sha256"),
    (dns.tsig.PeerError, AuthenticationFailed, "does not accept the TSIG signature"),
    # The answer came but cannot be believed, so that the request may have had its effect.
    (dns.tsig.BadSignature, Doubtful, "signed its answer with another key: someone stands between, or the key differs"),
    (dns.tsig.BadTime, Doubtful, "signed its answer at a time far from ours: set both clocks by NTP"),
    (dns.exception.FormError, Doubtful, "gave an answer that cannot be read or is not signed"),
    (TimeoutError, Doubtful, "did not answer in time"),
    (OSError, Doubtful, "closed the connection without an answer"),
)

# Answers to an UPDATE (RFC 2136, 2.2 and 3) and to a query. The four that prerequisites give come from updates alone.
CODES: dict[dns.rcode.Rcode, tuple[type[ProviderError], str]] = {
    dns.rcode.NXRRSET: (Conflict, "holds other records than were read: someone changed them; read again"),
    dns.rcode.YXRRSET: (Conflict, "holds records where none were read: someone added them; read again"),
    dns.rcode.NXDOMAIN: (Conflict, "no longer has the name: someone removed it; read again"),
    dns.rcode.YXDOMAIN: (Conflict, "has the name where none was read: someone added it; read again"),
    dns.rcode.REFUSED: (
        AuthenticationFailed,
        "refuses: check the zone's name, and that its policy allows this key and host (REFUSED)",
    ),
    dns.rcode.NOTAUTH: (NotFound, "does not answer for this zone, or not for this key: check zone and ACL (NOTAUTH)"),
    dns.rcode.NOTZONE: (Misconfigured, "says that the record lies outside the zone: correct `zone` (NOTZONE)"),
    dns.rcode.NOTIMP: (Rejected, "does not take dynamic updates: name the zone's primary (NOTIMP)"),
    dns.rcode.FORMERR: (Rejected, "cannot read the request (FORMERR)"),
    dns.rcode.SERVFAIL: (Doubtful, "failed inside (SERVFAIL): look at its log"),
}


def from_exception(server: str, error: Exception) -> ProviderError:
    """What a conversation that began and came to no answer means."""
    for kind, meaning, text in EXCEPTIONS:
        if isinstance(error, kind):
            return meaning(f"{server} {text}")
    return Doubtful(f"{server} gave no usable answer ({type(error).__name__}): look at its log")


def from_code(server: str, code: dns.rcode.Rcode) -> ProviderError:
    """What an answer other than NOERROR means."""
    meaning, text = CODES.get(code, (Doubtful, f"answered {dns.rcode.to_text(code)}: look at its log"))
    return meaning(f"{server} {text}")


def unsigned(server: str, code: dns.rcode.Rcode, changing: bool) -> ProviderError:
    """What an error without a signature means where one was due: servers sign nothing for a zone they do not know.

    Anyone may have sent it. That is good enough to explain why a query failed, and proves nothing of an update.
    """
    if changing:
        return Doubtful(f"{server} answered {dns.rcode.to_text(code)} without a signature: read the records again")
    return from_code(server, code)


def clock_skew(server: str, seconds: int, allowed: int) -> AuthenticationFailed:
    """BADTIME, where the server told its time: `seconds` is how far its clock is ahead of ours."""
    where = "ahead of" if seconds > 0 else "behind"
    return AuthenticationFailed(
        f"{server} refuses the time of the signature: its clock is {abs(seconds)} s {where} ours, "
        f"{allowed} s are allowed; set both clocks by NTP (BADTIME)"
    )
