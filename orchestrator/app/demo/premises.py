"""The directory of one demo: claimed by one process at a time, and free of what an earlier demo left behind."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.app.demo.account import Account, remove_tree
from orchestrator.app.demo.errors import DemoFailed
from orchestrator.app.demo.host import Host

_MARK = "tideover-demo.lock"
_FAR = Path("/var/tmp")  # noqa: S108  only a subdirectory that is proven to be ours is used


@contextmanager
def claimed(directory: Path, account: Account, progress: Callable[[str], None]) -> Iterator[Path]:
    """The directory for the hosts: empty, passable for `account`, ours alone. Nothing runs there afterwards.

    It is removed in the end, unless we failed. Hosts stand under `directory`, or, where the account may not go there
    (root's home), under /var/tmp. Raises DemoFailed where another demo runs there, or where the directory holds
    something that is not a demo's.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mark = directory / _MARK
    if not mark.exists() and any(directory.iterdir()):
        msg = f"{directory} is not empty and not a demo's: name another directory, the demo deletes what is in its own"
        raise DemoFailed(msg)
    with mark.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            msg = f"a demo runs in {directory} already (process {file.read().strip()}): end it, or name another one"
            raise DemoFailed(msg) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        near, far = directory / "hosts", _far(directory)
        for place in (near, far):
            _clear(place, progress)
        hosts = near if account.can_pass(directory) else far
        hosts.mkdir(mode=0o755)
        hosts.chmod(0o755)  # whatever the umask
        try:
            yield hosts
        finally:
            _end(hosts, lambda _: None)
        remove_tree(hosts)


def _far(directory: Path) -> Path:
    return _FAR / f"tideover-demo-{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}"


def _clear(hosts: Path, progress: Callable[[str], None]) -> None:
    """No process and no file of these hosts is left. A host's own open file tells its processes from all others."""
    try:
        found = hosts.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        msg = f"{hosts} is in the way and not ours: remove it, or name another directory for the demo"
        raise DemoFailed(msg)
    _end(hosts, lambda name: progress(f"ending {name}, which an earlier demo left running"))
    remove_tree(hosts)


def _end(hosts: Path, tell: Callable[[str], None]) -> None:
    for host in (Host(path) for path in sorted(hosts.iterdir())):
        if host.switch.is_file() and not host.is_vacant():
            tell(host.name)
            host.kill()
