"""What PostgreSQL and libpq say, as our errors: the one map of this provider."""

from __future__ import annotations

import psycopg

from orchestrator.domain.errors import (
    AuthenticationFailed,
    Conflict,
    Doubtful,
    Misconfigured,
    NotFound,
    ProviderError,
    Unreachable,
    WrongIdentity,
)

# SQLSTATE, or its class of two characters -> our error. Source: PostgreSQL's appendix A, "Error Codes".
BY_STATE: dict[str, type[ProviderError]] = {
    "28": AuthenticationFailed,  # invalid authorization
    "3D": NotFound,  # no such database
    "42": Misconfigured,  # no privilege for it, or no such function: another version than is meant
    "42710": Conflict,  # the slot exists already
    "55": Conflict,  # not in the state that the request needs ("recovery is not in progress"), or in use
    "25006": Conflict,  # read-only: a standby
    "0A": Misconfigured,  # this server cannot do it
    "22": Misconfigured,  # an invalid value
    "53300": Unreachable,  # too many connections: this one never became a session
    "57P03": Unreachable,  # starting up or shutting down: never became a session
}

# Before there is a session libpq passes on no SQLSTATE, only text. What does not fit is Unreachable: nothing was sent.
BY_CONNECT_TEXT: tuple[tuple[str, type[ProviderError], str], ...] = (
    ("authentication failed", AuthenticationFailed, "check the credential profile"),
    ("no password supplied", AuthenticationFailed, "the credential profile has no field password"),
    ("no pg_hba.conf entry", AuthenticationFailed, "allow this client in the server's pg_hba.conf"),
    ("pg_hba.conf rejects", AuthenticationFailed, "allow this client in the server's pg_hba.conf"),
    ("not permitted to log in", AuthenticationFailed, "alter role … login"),
    ("permission denied for database", AuthenticationFailed, "grant connect on the database"),
    ("Hot standby mode is disabled", Misconfigured, "set hot_standby = on and restart the standby"),
    ("certificate verify failed", WrongIdentity, "the server's certificate is not from the CA in sslrootcert"),
    ("does not match host name", WrongIdentity, "the server's certificate is for another host"),
    ("root certificate file", Misconfigured, "name the CA in connect: {sslrootcert: …}"),
    ("server does not support SSL", Misconfigured, "enable ssl on the server, or change connect: {sslmode: …}"),
)


def translated(error: psycopg.Error, server: str, user: str) -> ProviderError:
    """Our error for one that came while a statement ran; Doubtful where the map does not know it."""
    state = error.sqlstate or ""
    known = BY_STATE.get(state) or BY_STATE.get(state[:2]) or Doubtful
    if known is AuthenticationFailed or state == "42501":
        return known(f"{server}: user {user}: {one_line(error)}")
    return known(f"{server}: {one_line(error)}")


def refused_connection(error: psycopg.Error, server: str, user: str) -> ProviderError:
    """Our error where no session came about; surely nothing was sent."""
    text = one_line(error)
    if "database" in text and text.endswith("does not exist"):
        return NotFound(f"{server}: {_last_words(text)}")
    if "role" in text and text.endswith("does not exist"):
        return AuthenticationFailed(f"{server}: user {user}: {_last_words(text)}; check the key user")
    for words, kind, advice in BY_CONNECT_TEXT:
        if words in text:
            return kind(f"{server}: user {user}: {_last_words(text)}; {advice}")
    if isinstance(error, psycopg.ProgrammingError):
        return Misconfigured(f"{server}: {text}; check the key connect")
    return Unreachable(f"{server}: {_last_words(text)}")


def one_line(error: Exception) -> str:
    """The error's text without line breaks."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip()) or type(error).__name__


def _last_words(text: str) -> str:
    """What follows libpq's long preamble ("connection to server at … failed: FATAL:  …")."""
    return text.rpartition("FATAL:")[2].strip() if "FATAL:" in text else text.rpartition(" failed: ")[2].strip()
