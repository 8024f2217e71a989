"""Draws random schedules of process faults and carries them out, one after the other, until the time is over.

`python -m tests.e2e.process_faults.soak MINUTES [SEED]`; with a seed, the one schedule that it draws. A failure prints
what does it again, and ends with exit code 1.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from orchestrator.app.temporal_binary import ServerBinary, find_binary
from tests.e2e.lab.database import prepare_pair
from tests.e2e.lab.needs import how_to_get_it, missing
from tests.e2e.lab.world import Lab
from tests.e2e.process_faults.running import carry_out
from tests.e2e.process_faults.schedule import drawn, plans

PLANS = plans()


def main(minutes: float, seed: int | None) -> int:
    """The exit code: 0 where every schedule held."""
    if lacks := missing():
        _say(f"the lab lacks {'; '.join(lacks)}. As root: {how_to_get_it()}")
        return 1
    binary, deadline, count = find_binary(_say), time.monotonic() + 60 * minutes, 0
    with tempfile.TemporaryDirectory(prefix="tideover-lab-template-") as folder:
        template = Path(folder)
        template.chmod(0o755)
        prepare_pair(template)
        while count == 0 or (seed is None and time.monotonic() < deadline):
            count += 1
            if not _held(template, binary, random.SystemRandom().randrange(10**9) if seed is None else seed):
                return 1
    _say(f"{count} schedules, and every invariant held")
    return 0


def _held(template: Path, binary: ServerBinary, seed: int) -> bool:
    schedule = drawn(PLANS, seed)
    _say(f"seed {seed}: {schedule}")
    with Lab(template) as lab:
        try:
            account = asyncio.run(carry_out(lab, binary, schedule, PLANS))
        except Exception:  # noqa: BLE001 -- whatever it was, it is shown, with what does it again
            _say(traceback.format_exc())
            for name, text in lab.logs().items():
                _say(f"---- {name}\n{text}")
            _say(f"again: make soak SEED={seed}   or: make faults SCHEDULE='{schedule}'")
            return False
    _say(f"seed {seed}: {account}")
    return True


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- it is a program


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(float(given[0]), int(given[1]) if len(given) > 1 else None))
