"""The journal that the settings name, opened and made here alone: a file on this host, or a prefix in etcd."""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.settings import Settings
from orchestrator.domain.errors import NotFoundLocally
from orchestrator.ports import Journal
from orchestrator.runtime.credentials import ProfileCredentials
from orchestrator.runtime.etcd_gateway import Access, Gateway
from orchestrator.runtime.etcd_journal import EtcdJournal
from orchestrator.runtime.journal import SqliteJournal

PREFIX = "tideover"
BESIDE = Path(".tideover/journal.db")
"""What this host keeps beside its journal stands beside this path where the journal is elsewhere."""
PORT = 2379
EXAMPLE = "etcds://10.0.1.5,10.0.2.5,10.0.3.5/tideover"

_ETCD = re.compile(r"(?P<scheme>etcds?)://(?P<members>[^/?#\s]+)(/(?P<prefix>[\w./-]*))?")
_MEMBER = re.compile(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:.]+])(:(?P<port>\d{1,5}))?")
_FIELDS = frozenset({"user", "password", "ca", "certificate", "key"})


@dataclass(frozen=True)
class EtcdPlace:
    """Where a journal on etcd is: `host:port` of each member, with TLS or without, and the prefix of its keys."""

    members: tuple[str, ...]
    tls: bool
    prefix: str


def open_journal(settings: Settings) -> Journal:
    """The journal that the settings name. Raises JournalUnavailable where it is not there, else NotFoundLocally."""
    place = place_of(settings.journal)
    if isinstance(place, Path):
        return SqliteJournal(place)
    return EtcdJournal(_gateway(place, settings), place.prefix)


def make_journal(settings: Settings) -> bool:
    """The journal that the settings name stands; True where it was made now."""
    place = place_of(settings.journal)
    if isinstance(place, Path):
        if place.exists():
            SqliteJournal(place)
            return False
        SqliteJournal.create(place)
        return True
    return EtcdJournal.create(_gateway(place, settings), place.prefix).made


def place_of(journal: str) -> Path | EtcdPlace:
    """What the setting means. Raises NotFoundLocally; its text never holds what may be a password."""
    scheme = re.match(r"([A-Za-z][\w+.-]*):/", journal)
    if scheme is None:
        return Path(journal)
    found = _ETCD.fullmatch(journal)
    members = [_MEMBER.fullmatch(member) for member in found["members"].split(",")] if found else []
    if found is None or not all(members):
        shown = f"{scheme[1]}://…" if "@" in journal else journal
        advice = "; user and password belong into the profile that TIDEOVER_JOURNAL_CREDENTIALS names"
        wanted = f"a path, or members and a prefix such as {EXAMPLE}"
        raise NotFoundLocally(f"the journal {shown} is not {wanted}{advice if '@' in journal else ''}")
    at = tuple(f"{member['host']}:{member['port'] or PORT}" for member in members if member)
    return EtcdPlace(at, found["scheme"] == "etcds", (found["prefix"] or "").strip("/") or PREFIX)


def _gateway(place: EtcdPlace, settings: Settings) -> Gateway:
    profile = settings.journal_credentials
    secret = ProfileCredentials(settings.credentials).resolve(profile) if profile else {}
    if unknown := sorted(secret.keys() - _FIELDS):
        known = ", ".join(sorted(_FIELDS))
        raise NotFoundLocally(
            f"credential profile {profile!r} has {', '.join(unknown)}; a journal on etcd uses {known}"
        )
    if not place.tls and secret.keys() - {"user", "password"}:
        raise NotFoundLocally(f"credential profile {profile!r} has certificates, which need TLS: say etcds://")
    tls = _tls(profile, secret) if place.tls else None
    return Gateway(place.members, Access(tls, secret.get("user", ""), secret.get("password", "")))


def _tls(profile: str, secret: Mapping[str, str]) -> ssl.SSLContext:
    """TLS that trusts `ca`, or else what this host trusts, and shows `certificate`; all are PEM texts."""
    try:
        context = ssl.create_default_context(cadata=secret.get("ca"))
        if "certificate" in secret:
            with tempfile.NamedTemporaryFile(
                "w"
            ) as file:  # Python reads a key from a file only; this one is ours alone
                file.write(f"{secret['certificate']}\n{secret.get('key', '')}\n")
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as error:
        why = getattr(error, "reason", None) or "no PEM text"
    else:
        return context
    raise NotFoundLocally(f"the certificates of credential profile {profile!r} cannot be used: {why}")
