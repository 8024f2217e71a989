"""Whether the execution that holds a group still runs, and what it takes to go on in its place (I6)."""

from __future__ import annotations

from enum import Enum

from orchestrator.domain.ledger import Execution, Gone


class Alive(Enum):
    """What is known of an execution, or of the process that drives it. CANNOT_TELL: nobody here can know."""

    YES = "it runs"
    NO = "it runs no more"
    CANNOT_TELL = "whether it runs cannot be told from here"


def gone(holder: Execution, alive: Alive, word: str) -> Gone | None:
    """The holder as one that runs no more; None where it may yet run.

    `word`: who is certain that it does not, and why; empty where nobody says so. It counts where nothing else can tell,
    and never against what is known to run.
    """
    match alive:
        case Alive.YES:
            return None
        case Alive.NO:
            return Gone(execution=holder.id, why=word or alive.value)
        case Alive.CANNOT_TELL:
            return Gone(execution=holder.id, why=word) if word else None


def held(group: str, holder: Execution, alive: Alive) -> str:
    """Why the group cannot be claimed, and the way out."""
    told = f"{group} is held by {holder}"
    if alive is Alive.YES:
        return f"{told}: wait for it, or end it first"
    return f"{told}; {alive.value}: if you are certain that it does not, start again with --holder-is-gone 'why'"
