"""What a failover needs, checked one by one: each check is a line that says what was found and the way out."""

from __future__ import annotations

import importlib
import shlex
import shutil
import stat
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.app.break_glass.kept import is_break_glass
from orchestrator.app.break_glass.opening import again
from orchestrator.app.connection import unknown_search_attributes
from orchestrator.app.executions import Executions
from orchestrator.app.holders import NOT_ASKED, Holders, without_temporal
from orchestrator.app.journals import open_journal, place_of
from orchestrator.app.library import RunbookLibrary
from orchestrator.app.runbook_text import read
from orchestrator.app.settings import HERE, Settings
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.checks import requested
from orchestrator.domain.errors import NotFoundLocally, TideoverError
from orchestrator.domain.holder import Alive
from orchestrator.domain.ledger import GroupRecord
from orchestrator.domain.resolving import resolve
from orchestrator.domain.runbook import Runbook
from orchestrator.runtime import audit, child
from orchestrator.runtime.credentials import ProfileCredentials
from orchestrator.runtime.etcd_journal import EtcdJournal
from orchestrator.runtime.group import Group

Level = Literal["ok", "warn", "fail"]

SLOW_WRITE = 0.25
"""Seconds for one durable write above which each step of a failover is held up."""

NOT_DURABLE = frozenset({"tmpfs", "ramfs"})
_PROBE = "doctor/last"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `way_out`: what to do; empty where nothing is wrong."""

    level: Level
    name: str
    found: str
    way_out: str = ""


def local(settings: Settings, catalog: Catalog) -> Iterator[Check]:
    """Everything on this host: settings, journal, credentials, runbooks and what they need."""
    yield Check("ok", "settings", f"from {HERE}" if HERE.is_file() else "defaults and the environment")
    yield from journal(settings)
    yield from broken_glass(settings)
    yield _credentials_file(settings.credentials)
    library = RunbookLibrary(settings.runbooks, catalog)
    if not library.names():
        where = ", ".join(map(str, settings.runbooks))
        yield Check("fail", "runbooks", f"none in {where}", "`tideover init` makes some to start from")
    for name in library.names():
        yield from _runbook(library.path(name), catalog, settings)


def journal(settings: Settings) -> Iterator[Check]:
    """The journal can be read and durably written, and its audit trail is whole."""
    try:
        found = open_journal(settings)
        began = time.monotonic()
        version = found.read(_PROBE).get(_PROBE, ("", 0))[1]
        if not found.swap((_PROBE, f"{time.time():.0f}", version)):
            yield Check("warn", "journal", "somebody else wrote to it at the same moment", "look again")
            return
        took = time.monotonic() - began
        broken = audit.verify(found)
    except TideoverError as error:
        yield Check("fail", "journal", str(error), "nothing can be started without; a lost one must be restored")
        return
    place = place_of(settings.journal)
    kind = _filesystem(place) if isinstance(place, Path) else ""
    if kind in NOT_DURABLE:
        yield Check("warn", "journal", f"{place} is on {kind}: it is lost with the power", "put it on a disk")
    elif took > SLOW_WRITE:
        yield Check("warn", "journal", f"a durable write took {took:.2f} s", "put it on a faster disk")
    else:
        yield Check("ok", "journal", f"{settings.journal} ({found.id[:8]}), a durable write took {took * 1000:.0f} ms")
    if isinstance(found, EtcdJournal):
        yield from _members(found)
    if broken:
        yield Check("fail", "audit trail", broken.found, broken.way_out)
    else:
        yield Check("ok", "audit trail", f"{sum(1 for _ in audit.entries(found))} entries, the chain verifies")


def _members(journal: EtcdJournal) -> Iterator[Check]:
    """Each member of the etcd answers, and there are enough of them to lose one."""
    trouble = journal.trouble()
    for member, why in trouble.items():
        if why:
            way_out = "start it, or mend the way to it: one more that is lost may make the journal unavailable"
            yield Check("warn", "etcd", f"{member} {why}", way_out)
    if not any(trouble.values()):
        way_out = "" if len(trouble) > 2 else "the loss of one must not lose the journal: name three or five"
        count = f"{len(trouble)} member{'s' if len(trouble) > 1 else ''}, and each answers"
        yield Check("warn" if way_out else "ok", "etcd", count, way_out)


def broken_glass(settings: Settings) -> Iterator[Check]:
    """Each group that a break-glass process holds: whether that lives, else what is left to do."""
    try:
        found, groups = open_journal(settings), _held_groups(settings)
    except TideoverError:
        return  # the journal's own check has told
    for name, record in groups.items():
        if record.execution is None or not is_break_glass(record.execution.id):
            continue
        known = without_temporal(found, record.execution)
        told = f"held by {record.execution}{known.told}"
        if known.alive is Alive.YES:
            yield Check("ok", name, told)
        else:
            way_out = f"`{again(name, record.execution)}` goes on with it; any other execution inherits all of this"
            yield Check("fail", name, f"{told}; {_left_to_do(record)}", way_out)


async def temporal(connected: Callable[[], Awaitable[Executions]], settings: Settings) -> list[Check]:
    """The server answers, knows our search attributes, and a worker polls; no group is held by what has ended."""
    try:
        executions = await connected()
        missing, workers = await unknown_search_attributes(executions.client), await executions.workers()
    except TideoverError as error:
        way_out = "without it there are `tideover status`, `tideover run --break-glass` and `tideover checklist`"
        return [Check("fail", "Temporal", str(error), way_out), *_cannot_be_asked(settings)]
    target = executions.client.service_client.config.target_host
    checks = [Check("ok", "Temporal", f"answers at {target}, namespace {executions.client.namespace}")]
    if missing:
        way_out = "a worker registers them when it starts: start one with `tideover worker`"
        checks.append(Check("fail", "search attributes", f"the server lacks {', '.join(missing)}", way_out))
    if workers:
        since = "within a minute of that it cannot be told from one that was lost since"
        checks.append(Check("ok", "worker", f"{'; '.join(workers)}; {since}"))
    else:
        checks.append(Check("fail", "worker", f"none polls {executions.queue!r}", "start one with `tideover worker`"))
    return [*checks, *await _held(executions, settings)]


async def _held(executions: Executions, settings: Settings) -> list[Check]:
    """A group that is held by an execution which has ended, as after a Terminate: what is left to do."""
    try:
        groups = _held_groups(settings)
    except TideoverError:
        return []  # the journal's own check has told
    checks, holders = list[Check](), Holders(lambda: executions.client, open_journal(settings))
    for name, record in groups.items():
        if record.execution is None or is_break_glass(record.execution.id):
            continue  # `broken_glass` tells of those, also without Temporal
        link = executions.link_to(record.execution.id)
        known = await holders.known(record.execution)
        found = f"held by {record.execution}{known.told}; {_left_to_do(record)}"
        if known.alive is Alive.YES:
            checks.append(Check("ok", name, f"{record.execution} runs: {link}"))
        elif known.alive is Alive.NO:
            way_out = f"`tideover status {name}`; the next execution takes the group over, with all of this; {link}"
            checks.append(Check("fail", name, found, way_out))
        elif known is NOT_ASKED:
            checks.append(_not_asked(name, record))
        else:
            way_out = f"`tideover status {name}`; if you are certain that it is gone, start with --holder-is-gone 'why'"
            checks.append(Check("fail", name, found, way_out))
    return checks


def _cannot_be_asked(settings: Settings) -> Iterator[Check]:
    """Each group that an execution of a Temporal that does not answer holds."""
    with suppress(TideoverError):  # the journal's own check has told
        for name, record in _held_groups(settings).items():
            if record.execution and not is_break_glass(record.execution.id):
                yield _not_asked(name, record)


def _not_asked(name: str, record: GroupRecord) -> Check:
    found = f"held by {record.execution}{NOT_ASKED.told}; {_left_to_do(record)}"
    way_out = f"`tideover status {name}`; to go on without Temporal: --break-glass with --holder-is-gone"
    return Check("warn", name, found, way_out)


def _credentials_file(path: Path) -> Check:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return Check("warn", "credentials", f"there is no {path}", "secrets come from TIDEOVER_SECRET_* alone")
    if mode & 0o077:
        return Check(
            "fail",
            "credentials",
            f"{path} has mode {mode:04o}: others can read it",
            f"chmod 600 {shlex.quote(str(path))}",
        )
    return Check("ok", "credentials", f"{path} has mode {mode:04o}")


def _runbook(path: Path, catalog: Catalog, settings: Settings) -> Iterator[Check]:
    text = read(path, catalog)
    if text.runbook is None or text.findings:
        count = len(text.findings)
        yield Check(
            "fail",
            path.stem,
            f"{count} findings, the first: {text.findings[0]}",
            f"`tideover lint {shlex.quote(str(path))}`",
        )
        return
    lacking = list(_lacking(text.runbook, catalog, ProfileCredentials(settings.credentials)))
    yield from (Check("fail", path.stem, found, way_out) for found, way_out in lacking)
    if not lacking:
        yield Check("ok", path.stem, "no findings; its tools and credentials are here")


def _lacking(runbook: Runbook, catalog: Catalog, credentials: ProfileCredentials) -> Iterator[tuple[str, str]]:
    """(what is not here, the way out): libraries, fence agents and credential profiles."""
    specs = resolve(runbook, catalog).specs.values()
    for module, kind in sorted({(catalog.get(spec.type).adapter.partition(":")[0], spec.type) for spec in specs}):
        try:
            importlib.import_module(module)
        except ImportError as error:
            yield f"{kind} needs {error.name}", f"install the extra {kind.partition('.')[0]!r}"
    agents = {str(place["agent"]) for spec in specs for place in spec.places.values() if "agent" in place}
    for agent in sorted(agents):
        if not shutil.which(agent, path=child.search_path()):
            yield f"the fence agent {agent} is not on PATH", "install it (Debian: the package fence-agents)"
    needed: dict[str, set[str]] = {}
    for spec in specs:
        if spec.credentials:
            needed.setdefault(spec.credentials, set()).update(catalog.get(spec.type).secret)
    for profile, fields in sorted(needed.items()):
        try:
            known = credentials.resolve(profile)
        except NotFoundLocally as error:
            yield str(error), "add the profile"
            continue
        if missing := sorted(field for field in fields if not known.get(field)):
            yield f"the credential profile {profile!r} has no {' and no '.join(missing)}", "add it to the profile"


def _left_to_do(record: GroupRecord) -> str:
    """What an execution that ended without its end left behind."""
    doubts = [f"{doubt.want} may still take effect" for doubt in record.doubts]
    fenced = [f"{resource} is fenced" for resource in record.fenced]
    begun = "; ".join(requested(record))
    return "; ".join([*doubts, *fenced, *([f"it requested: {begun}"] if begun else [])]) or "nothing was requested"


def _filesystem(path: Path) -> str:
    """The kind of file system that holds `path`; empty where the kernel does not tell."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return ""
    where = path.resolve()
    holding = [(point, kind) for point, kind in mounts if where.is_relative_to(point)]
    return max(holding, key=lambda found: len(found[0]), default=("", ""))[1]


def _held_groups(settings: Settings) -> dict[str, GroupRecord]:
    """Every group that an execution holds, by the journal."""
    found = open_journal(settings)
    names = [key.removeprefix("group/") for key in found.read("group/")]
    records = {name: Group(found, name).record() for name in names}
    return {name: record for name, record in records.items() if record.execution}
