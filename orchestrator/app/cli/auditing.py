"""`audit`: the trail shown, verified, and its end handed out as a checkpoint that is kept elsewhere."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from orchestrator.app.cli.exits import ExitCode, Stopped
from orchestrator.app.cli.flags import NO_FLAGS, Flags
from orchestrator.app.cli.terminal import Output, data, say
from orchestrator.app.journals import open_journal
from orchestrator.domain.audit import Checkpoint
from orchestrator.runtime import audit
from orchestrator.runtime.audit import AuditEntry


def show(group: str | None = None, /, *, output: Output = "text", flags: Flags = NO_FLAGS) -> ExitCode:
    """List what was done and said, by whom, oldest first.

    Parameters
    ----------
    group
        Only what is about this group.
    output
        How to print it.
    """
    journal = open_journal(flags.settings())
    found = [entry for entry in audit.entries(journal) if group in (None, entry.group)]
    if output == "json":
        data(json.dumps([entry.model_dump(mode="json") for entry in found], indent=2))
        return ExitCode.DONE
    if output == "markdown":
        data("| # | when (UTC) | group | what | who | |\n|---|---|---|---|---|---|")
    for entry in found:
        cells = (str(entry.number), _when(entry), entry.group, entry.what, entry.who, _told(entry))
        row = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        data(row if output == "markdown" else "  ".join(cells))
    return ExitCode.DONE


def verify(*, checkpoint: Path | None = None, output: Output = "text", flags: Flags = NO_FLAGS) -> ExitCode:
    """Find what was changed in the audit trail by another hand.

    The chain itself shows what was flipped, deleted or reordered. That its tail was cut, or that all of it was written
    anew, shows only against a checkpoint that was kept elsewhere.

    Parameters
    ----------
    checkpoint
        A file of checkpoints, one to a line: the trail must still hold what each of them saw.
    output
        How to print the verdict.
    """
    journal = open_journal(flags.settings())
    seen = _checkpoints(checkpoint) if checkpoint else []
    broken = audit.verify(journal, seen)
    number = audit.checkpoint(journal).number if broken is None else None
    if output == "json":
        verdict = {"whole": True, "entries": number} if broken is None else {"whole": False, "found": broken.found}
        data(json.dumps({**verdict, "checkpoints": len(seen), "way_out": broken.way_out if broken else ""}, indent=2))
    elif broken:
        data(f"{broken.found}\n{broken.way_out}")
    else:
        against = f" and holds what {len(seen)} checkpoints saw" if seen else ""
        data(f"{number} entries: the chain verifies{against}")
        if not seen:
            say("a cut tail or a trail written anew shows only against a checkpoint: `tideover audit checkpoint`")
    return ExitCode.NOT_READY if broken else ExitCode.DONE


def checkpoint(*, to: Path | None = None, flags: Flags = NO_FLAGS) -> ExitCode:
    """Tell where the audit trail ends now: one line of JSON, to be kept where the journal's host cannot change it.

    It is refused where the trail is broken, or holds no more what the checkpoints in the file saw.

    Parameters
    ----------
    to
        The file to add the line to; it is printed where none is given.
    """
    journal = open_journal(flags.settings())
    broken = audit.verify(journal, _checkpoints(to) if to and to.exists() else [])
    if broken:
        raise Stopped(ExitCode.NOT_READY, f"no checkpoint was taken: {broken}")
    line = audit.checkpoint(journal).model_dump_json()
    if to is None:
        data(line)
        return ExitCode.DONE
    try:
        with to.open("a") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise Stopped(ExitCode.USAGE, f"{to} cannot be written: {error.strerror}") from error
    say(f"added to {to}: keep it where whoever can write the journal cannot")
    return ExitCode.DONE


def _checkpoints(file: Path) -> list[Checkpoint]:
    """Every checkpoint in the file. Raises Stopped naming the line that is none."""
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise Stopped(ExitCode.USAGE, f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Stopped(ExitCode.USAGE, f"{file} is no text: it holds no checkpoints") from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found += [Checkpoint.model_validate_json(line)] if line.strip() else []
        except ValidationError:
            raise Stopped(ExitCode.USAGE, f"{file}:{number} is no checkpoint: `tideover audit checkpoint`") from None
    if not found:
        raise Stopped(ExitCode.USAGE, f"{file} holds no checkpoint: nothing could be checked against it")
    return found


def _when(entry: AuditEntry) -> str:
    with suppress(OverflowError, ValueError, OSError):  # no such time: that it was changed, `verify` tells
        return f"{datetime.fromtimestamp(entry.at, UTC):%Y-%m-%d %H:%M:%S}"
    return f"{entry.at:g}"


def _told(entry: AuditEntry) -> str:
    """What the entry says beside the columns, in one line."""
    return " ".join(f"{name}={_plain(value)}" for name, value in entry.detail.items() if value not in (None, ""))


def _plain(value: object) -> str:
    return value.replace("\n", " ") if isinstance(value, str) else json.dumps(value)
