"""What a command of the operator's own can do: tell and change which site holds something."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from orchestrator.domain.by_hand import ByHand
from orchestrator.domain.catalog import ResourceType, Settings
from orchestrator.domain.durations import Seconds

Argv = Annotated[tuple[str, ...], Field(min_length=1)]


class HolderSettings(Settings):
    """Two programs, each a list of the program and its arguments. No shell reads them.

    observe: prints {"holder": "<site>"} or {"holder": null} and exits 0; without side effect.
    apply: reads {"holder": "<site wanted>", "before": "<site read>"} from stdin and sets it. Asked twice for the
        same it does no harm. Its exit code proves nothing: `observe` decides.
    directory: where both run; else the worker's own.
    timeout: each is killed after this time, with the children it started.

    Each field of the credential profile reaches both as an environment variable TIDEOVER_SECRET_<FIELD>. Of the
    worker's own environment they get PATH and HOME.
    """

    observe: Argv
    apply: Argv
    directory: Path | None = None
    timeout: Seconds = Field(default=30.0, gt=0)

    @field_validator("observe", "apply")
    @classmethod
    def _can_be_started(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv[0] or any("\0" in part for part in argv):
            msg = "the first item must name a program, and no item may hold a NUL character"
            raise ValueError(msg)
        return argv

    @field_validator("directory")
    @classmethod
    def _absolute(cls, directory: Path | None) -> Path | None:
        if directory and not directory.is_absolute():
            msg = f"{str(directory)!r} is relative, and workers start anywhere: write an absolute path"
            raise ValueError(msg)
        return directory


RESOURCES: tuple[ResourceType, ...] = (
    ResourceType(
        name="command.holder",
        serves="command",
        adapter="providers.command.holder:CommandHolder",
        settings=HolderSettings,
        shared=True,
        by_hand=ByHand(
            look=("cd {directory}", "{observe}    # prints the site that holds it"),
            do={
                "holder": (
                    "cd {directory}",
                    """echo '{"holder": "{site:quoted}", "before": "{there:quoted}"}' | {apply}""",
                    "its exit code proves nothing: read it back",
                )
            },
        ),
        late_effect=None,  # what a killed command has set going elsewhere is not known
    ),
)
