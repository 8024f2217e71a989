"""The engine: a pure state machine that every driver shares. It never sleeps, reads a clock or calls a provider.

    state = start(plan, execution, record)
    state = fold(plan, state, event)          what has happened
    actions = next_actions(plan, state)       what to do now; empty while events are awaited

A driver performs the actions (folding `Issued` and `LookStarted` before it does) and folds what comes back, until
`state.finish` is set. The Temporal workflow, the break-glass process and rehearsal are such drivers; what they need
beside these three stands in `driving`.
"""

from orchestrator.domain.engine.actions import next_actions
from orchestrator.domain.engine.fold import fold, start

__all__ = ["fold", "next_actions", "start"]
