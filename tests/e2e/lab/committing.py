"""A process that commits all the time and writes down what became of every commit: a client, or the observer's probes.

`python -m tests.e2e.lab.committing <plan.json>` runs until SIGTERM or until its parent is gone. Each stream is a
thread in a network namespace. A client's stream goes through a name or a shared address. An observer's probe sits in
the database machine's own network and talks to the server's own address, so that no cut cable blinds it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.e2e.lab import database
from tests.e2e.lab.names import Resolver
from tests.e2e.lab.network import LabBroken, enter

_ROOT = Path(__file__).parents[3]

# One round trip; autocommit's answer is complete only when the commit is. A standby refuses it as read-only. The
# file's name tells the timeline at once after a promotion; the control file only after the next checkpoint.
_COMMIT = b"""
INSERT INTO commits (source, n) VALUES (%s, %s)
RETURNING extract(epoch FROM clock_timestamp())::float8, current_setting('cluster_name'),
          (SELECT system_identifier::text FROM pg_control_system()), pg_walfile_name(pg_current_wal_lsn())
"""


@dataclass(frozen=True)
class Attempt:
    """One commit that was tried. Times are seconds since the epoch.

    A commit that was acknowledged (`error` is None) took effect between `executed`, the server's clock when it had
    run the statement, and `ended`. One that failed may have taken effect, or may yet.
    """

    source: str
    n: int
    begun: float
    ended: float
    error: str | None = None
    executed: float = 0.0
    server: str = ""
    system: str = ""
    timeline: int = 0

    @property
    def acked(self) -> bool:
        return self.error is None


@dataclass(frozen=True)
class Stream:
    """What one thread does: commit as `source` to `host`, or to where the name points that `name_servers` resolve."""

    source: str
    namespace: str
    host: str | None = None
    name_servers: tuple[str, ...] = ()


class Committing:
    """The running process. `attempts` can be read at any time; `stop` ends it."""

    def __init__(self, directory: Path, streams: Sequence[Stream], interval: float) -> None:
        directory.mkdir()
        self._directory, self._streams = directory, streams
        plan = {"directory": str(directory), "interval": interval, "streams": [asdict(stream) for stream in streams]}
        (directory / "plan.json").write_text(json.dumps(plan))
        with (directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.lab.committing", str(directory / "plan.json")],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_trying(self, within: float = 60.0) -> None:
        """Every stream has tried at least once."""
        deadline = time.monotonic() + within
        while not all(self.attempts(stream.source) for stream in self._streams):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise LabBroken(self._died("has not begun"))
            time.sleep(0.01)

    def attempts(self, source: str) -> list[Attempt]:
        """Everything that this stream has tried so far, in order."""
        path = self._directory / f"{source}.jsonl"
        if not path.exists():
            return []
        whole, _, _ = path.read_text().rpartition("\n")  # the last line may be half written
        return [Attempt(**json.loads(line)) for line in whole.split("\n") if line]

    def acked(self, source: str) -> list[Attempt]:
        """The commits of this stream that were acknowledged, in order."""
        return [attempt for attempt in self.attempts(source) if attempt.acked]

    def wait_for_ack(self, source: str, within: float = 60.0) -> None:
        """The stream gets a commit acknowledged, now. Raises LabBroken if it does not."""
        before, deadline = len(self.acked(source)), time.monotonic() + within
        while len(self.acked(source)) == before:
            if time.monotonic() > deadline:
                msg = f"{source} got no commit acknowledged within {within} s"
                raise LabBroken(msg)
            time.sleep(0.01)

    def is_silent(self, source: str, seconds: float = 0.6) -> bool:
        """The stream gets no commit acknowledged for so long, after a moment for what was under way."""
        time.sleep(0.2)
        before = len(self.acked(source))
        time.sleep(seconds)
        return len(self.acked(source)) == before

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(stream.source for stream in self._streams)

    def stop(self) -> None:
        """No more commits; raises LabBroken where the process had ended by itself and was no witness any more."""
        if self.process.poll() is not None:
            raise LabBroken(self._died("had ended by itself"))
        self.process.terminate()
        self.process.wait(timeout=10)

    def _died(self, what: str) -> str:
        return f"the process that commits as {self.sources} {what}: {(self._directory / 'log').read_text()[-400:]}"


class _Committer(threading.Thread):
    def __init__(self, stream: Stream, output: Path, interval: float, stopped: threading.Event) -> None:
        super().__init__(daemon=True, name=stream.source)
        self._stream, self._interval, self._stopped = stream, interval, stopped
        self._resolver = Resolver(stream.name_servers)
        self._output = output.open("a", buffering=1)
        self._connection: psycopg.Connection[Any] | None = None

    def run(self) -> None:
        enter(self._stream.namespace)
        for n in self._numbers():
            begun = time.time()
            try:
                found = self._commit(n)
            except (psycopg.Error, LookupError) as error:
                name = type(error).__name__
                attempt = Attempt(self._stream.source, n, begun, time.time(), error=f"{name}: {error}"[:200])
                if not isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                    self._disconnect()
            else:
                attempt = Attempt(self._stream.source, n, begun, time.time(), **found)
            self._output.write(json.dumps(asdict(attempt)) + "\n")

    def _numbers(self) -> Iterator[int]:
        n = 0
        while not self._stopped.wait(self._interval):
            n += 1
            yield n

    def _commit(self, n: int) -> dict[str, Any]:
        if self._connection is None:
            self._connection = psycopg.connect(
                host=self._stream.host or self._resolver.address(),
                user=database.CLIENT_USER,
                password=database.CLIENT_PASSWORD,
                dbname=database.DATABASE,
                autocommit=True,
                connect_timeout=2,  # libpq knows nothing shorter
                tcp_user_timeout=1000,
                keepalives_idle=1,
                keepalives_interval=1,
                keepalives_count=2,
            )
        row = self._connection.execute(_COMMIT, (self._stream.source, n)).fetchone()
        assert row is not None
        return {"executed": row[0], "server": row[1], "system": row[2], "timeline": int(row[3][:8], 16)}

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def main(plan_path: Path) -> None:
    """Commit until SIGTERM, or until the process that started this one is gone."""
    plan = json.loads(plan_path.read_text())
    stopped, parent = threading.Event(), os.getppid()
    # waited for, and not handled: a handler that sets what the same thread waits for may come while it holds its lock
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    committers = [
        _Committer(Stream(**stream), Path(plan["directory"], f"{stream['source']}.jsonl"), plan["interval"], stopped)
        for stream in plan["streams"]
    ]
    for committer in committers:
        committer.start()
    while signal.sigtimedwait({signal.SIGTERM}, 0.2) is None and os.getppid() == parent:
        dead = [committer.name for committer in committers if not committer.is_alive()]
        if dead:
            sys.exit(f"{dead} ended")
    stopped.set()
    for committer in committers:
        committer.join(timeout=3)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
