"""The account that the demo's databases run as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.demo.errors import DemoFailed


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """True where a process has to change its user to become this one."""
        return self.uid != os.geteuid()

    def own(self, path: Path) -> None:
        """`path` belongs to this account afterwards."""
        if self.is_other:
            os.chown(path, self.uid, self.gid)

    def can_pass(self, directory: Path) -> bool:
        """True where this account may go through `directory` and all that lies above it."""
        return not self.is_other or all(self._can_enter(place.stat()) for place in (directory, *directory.parents))

    def _can_enter(self, found: os.stat_result) -> bool:
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def database_account() -> Account:
    """Ourselves; or, where we are root, `postgres` or else `nobody`."""
    if os.geteuid() != 0:
        own = pwd.getpwuid(os.geteuid())
        return Account(own.pw_name, own.pw_uid, own.pw_gid)
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(found.pw_name, found.pw_uid, found.pw_gid)
    msg = "running as root, and neither the user 'postgres' nor 'nobody' exists: run it as an unprivileged user"
    raise DemoFailed(msg)


def remove_tree(directory: Path) -> None:
    """`directory` and all in it is gone; that it was not there is fine."""
    if directory.is_dir() and not directory.is_symlink():
        shutil.rmtree(directory)
