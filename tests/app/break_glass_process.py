"""`--break-glass` on the toy world, in a process of its own that can be killed.

`python -m tests.app.break_glass_process <directory> <group> <mode> <to> [<plan's hash>]`
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from orchestrator.app.break_glass.opening import Order
from orchestrator.app.cli.breaking_glass import broken_glass
from orchestrator.app.cli.exits import Stopped
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.plan import PlanMode
from tests.workflows.toy.worker import composition

if __name__ == "__main__":
    directory, group, mode, to, *approve = sys.argv[1:]
    given = approve[0] if approve else None
    order = Order(group, to, cast("PlanMode", mode), "ann", "INC-42")
    try:
        sys.exit(broken_glass(composition(Path(directory)).actor, order, given))
    except TideoverError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- as the command line does
        sys.exit(error.code if isinstance(error, Stopped) else 4)
