"""`--break-glass` on the toy world, in a process of its own that can be killed.

`python -m tests.app.break_glass_process <directory> <group> <mode> <to> [<plan's hash, or nothing> [<max loss>]]`
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from orchestrator.app.break_glass.opening import Order
from orchestrator.app.cli.breaking_glass import broken_glass
from orchestrator.app.cli.exits import Stopped
from orchestrator.domain.durations import parse
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.plan import PlanMode
from tests.workflows.toy.worker import composition

if __name__ == "__main__":
    directory, group, mode, to, *given = sys.argv[1:]
    approve, max_loss = [*given, "", ""][:2]
    order = Order(group, to, cast("PlanMode", mode), "ann", "INC-42")
    try:
        accepted = parse(max_loss) if max_loss else None
        sys.exit(broken_glass(composition(Path(directory)).actor, order, approve or None, accepted))
    except TideoverError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- as the command line does
        sys.exit(error.code if isinstance(error, Stopped) else 4)
