"""What a failover and a switchover cost through Tideover, against the same done by hand, on the lab.

Forced: the primary's host is dead, while its power controller reads `on`; from the approval, as it is sent, to the
first commit on the new primary. The floor is what nobody can do without: `fence_ipmilan` has cut the power and read it
back, `pg_promote`, the first commit.
Planned: how long a client that commits through the floating address is not served. The floor is a fast stop, the
replay of what was written, then the promotion and the address.

Every round has a lab of its own for each of the four, so that all of them start from the same. Prints two ratios; the
aims are 3 and 2 at most. Needs what the end-to-end tests need: root, and the packages in tests/e2e/packages.txt.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psycopg

from orchestrator.app.connection import connect
from orchestrator.app.executions import Executions
from orchestrator.app.temporal_binary import find_binary
from orchestrator.app.temporal_server import EmbeddedServer, ServerOptions, start_embedded
from tests.e2e.lab.committing import Attempt
from tests.e2e.lab.database import CLIENT_PASSWORD, CLIENT_USER, DATA, Database, prepare_pair, programs
from tests.e2e.lab.faults import Faults
from tests.e2e.lab.needs import how_to_get_it, missing
from tests.e2e.lab.observer import writer
from tests.e2e.lab.probing import within
from tests.e2e.lab.world import Lab
from tests.e2e.operating import Operation, approval
from workflows import search_attributes

ROUNDS = 5
AIMS = {"forced": 3.0, "planned": 2.0}


class FirstCommit(threading.Thread):
    """Tries to commit on a standby again and again. `at`: when it first could."""

    def __init__(self, database: Database) -> None:
        super().__init__(daemon=True)
        self._database, self.at = database, 0.0

    def run(self) -> None:
        """It could, or the server is gone."""
        with self._database.connect(user=CLIENT_USER, password=CLIENT_PASSWORD) as connection:
            while not self.at:
                try:
                    connection.execute("INSERT INTO commits VALUES ('bench', 1)")
                except psycopg.errors.ReadOnlySqlTransaction:
                    time.sleep(0.002)
                else:
                    self.at = time.time()


@contextmanager
def one_dead(template: Path) -> Iterator[tuple[Lab, FirstCommit]]:
    """A lab whose primary's host is dead, and somebody who wants to commit on the other.

    It had committed a moment before: what a template holds may be older than the loss that is accepted.
    """
    with Lab(template) as lab:
        primary, standby = lab.databases["pg-a"], lab.databases["pg-b"]
        primary.ask("INSERT INTO commits VALUES ('before', 1) RETURNING n")
        within(60, lambda: standby.ask("SELECT n FROM commits WHERE source = 'before'") == 1, "pg-b follows pg-a")
        Faults(lab).crash_host("pg-a")
        waiting = FirstCommit(standby)
        waiting.start()
        yield lab, waiting


def forced_by_hand(template: Path) -> float:
    """Seconds from the wish to the first commit."""
    with one_dead(template) as (lab, waiting):
        began = time.time()
        lab.bmcs["pg-a"].fence("off")
        lab.databases["pg-b"].ask("SELECT pg_promote(wait => false)")
        waiting.join()
    return waiting.at - began


async def forced(template: Path, server: EmbeddedServer) -> float:
    """Seconds from the approval, as it is sent, to the first commit."""
    with one_dead(template) as (lab, waiting):
        began = await approved(lab, server, "forced")
        waiting.join()
    return waiting.at - began


def planned_by_hand(template: Path) -> float:
    """Seconds for which the client is not served."""
    with Lab(template) as lab:
        client, old, new = writer(lab), lab.databases["pg-a"], lab.databases["pg-b"]
        client.wait_for_ack("writer")
        old.stop()
        end = lab.machines["pg-a"].run(programs() / "pg_controldata", "-D", DATA, user="postgres")
        position = next(line.split()[-1] for line in end.split("\n") if line.startswith("Latest checkpoint location"))
        while not new.ask("SELECT pg_last_wal_replay_lsn() > %s::pg_lsn", [position]):
            time.sleep(0.005)
        new.ask("SELECT pg_promote(wait => false)")
        lab.take_floating("pg-b")  # first, as we do: a client between two holders would wait for a second
        lab.machines["pg-a"].run("ip", "address", "delete", f"{lab.floating}/24", "dev", "eth0")
        client.wait_for_ack("writer")
        return outage(client.acked("writer"))


async def planned(template: Path, server: EmbeddedServer) -> float:
    """Seconds for which the client is not served."""
    with Lab(template) as lab:
        client = writer(lab)
        client.wait_for_ack("writer")
        await approved(lab, server, "planned")
        client.wait_for_ack("writer")
        return outage(client.acked("writer"))


def outage(acked: Sequence[Attempt]) -> float:
    """The longest time between two acknowledged commits."""
    return max(later.ended - earlier.ended for earlier, later in pairwise(acked))


async def approved(lab: Lab, server: EmbeddedServer, mode: str) -> float:
    """When the approval was sent of an execution that has succeeded since."""
    executions = Executions(await connect(address=server.address), server.ui)
    operation = Operation(lab, server.address, executions)
    operation.describe()
    with operation.worker():
        handle = await operation.failover(mode)
        offered = await operation.shown(handle, lambda now: "approve" in now.may)
        sent = time.time()
        await operation.say(handle, approval(offered))
        result = await operation.end(handle)
    assert result.end == "SUCCEEDED", result.why  # noqa: S101
    return sent


async def compare(
    mode: str, template: Path, server: EmbeddedServer,
    by_hand: Callable[[Path], float], by_us: Callable[[Path, EmbeddedServer], Awaitable[float]],
) -> None:  # fmt: skip
    """Print the medians and the ratio of one mode."""
    pairs = [(await by_us(template, server), await asyncio.to_thread(by_hand, template)) for _ in range(ROUNDS)]
    ours, floor = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{mode:8} through Tideover {ours:6.3f} s   by hand {floor:6.3f} s   (medians of {ROUNDS})")
    print(f"{mode:8} ratio {ours / floor:.2f}   (aim: at most {AIMS[mode]:g})")


async def main(template: Path) -> None:
    """Compare both modes."""
    binary = find_binary(lambda line: print(line, file=sys.stderr))
    async with start_embedded(binary, ServerOptions(search_attributes=search_attributes.ALL)) as server:
        await compare("forced", template, server, forced_by_hand, forced)
        await compare("planned", template, server, planned_by_hand, planned)


if __name__ == "__main__":
    if lacks := missing():
        sys.exit(f"the lab lacks {'; '.join(lacks)}. As root: {how_to_get_it()}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the database's own user reads it
        prepare_pair(Path(folder))
        asyncio.run(main(Path(folder)))
