"""How an attempt ends. There are four ways, and a time-out is none of the good ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.domain.base import Frozen
from orchestrator.domain.world import Evidence


class Done(Frozen):
    """The wanted state was read back.

    Not `answered`: the request was never answered, so what was read may be the work of another one, and this may still
    be on its way.
    """

    kind: Literal["done"] = "done"
    evidence: Evidence
    changed: bool
    answered: bool = True


class Refused(Frozen):
    """The attempt was not allowed to act, or would not: surely not sent.

    `superseded`: its execution does not hold the group (any more), so nothing that it asks for will ever be sent.
    """

    kind: Literal["refused"] = "refused"
    why: str
    superseded: bool = False


class Failed(Frozen):
    """The attempt met an error that proves the request had no effect: surely not sent, or a definite no."""

    kind: Literal["failed"] = "failed"
    why: str


class Unknown(Frozen):
    """The request was sent, or maybe; its effect may come at any later time. `lost`: the worker went silent."""

    kind: Literal["unknown"] = "unknown"
    why: str
    lost: bool = False


Outcome = Annotated[Done | Refused | Failed | Unknown, Field(discriminator="kind")]
