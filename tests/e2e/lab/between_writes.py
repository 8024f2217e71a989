"""Signals a worker while none of its threads writes the SQLite journal: frozen in that it would stop every worker.

python -m tests.e2e.lab.between_writes JOURNAL PID SIGNAL
"""

from __future__ import annotations

import signal
import sqlite3
import sys
from contextlib import closing

from tests.e2e.lab.probing import send, within
from tests.processes import stands_still


def send_between_writes(journal: str, worker: int, number: signal.Signals, patience: float = 5.0) -> None:
    """The worker has taken the signal, which stops or ends it: each of its threads, before any could write again.

    Raises sqlite3.OperationalError where the journal was written for all of `patience` seconds, and LabBroken where a
    thread still runs 5 s later.
    """
    with closing(sqlite3.connect(journal, timeout=patience, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        send(number, [worker])
        within(5.0, lambda: stands_still(worker), f"every thread of {worker} takes {number.name}")


if __name__ == "__main__":
    send_between_writes(sys.argv[1], int(sys.argv[2]), signal.Signals(int(sys.argv[3])))
