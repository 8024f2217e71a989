"""The flags that override settings, and the composition that a command works with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from orchestrator.app.settings import Settings

_SETTINGS = Group.create_ordered("Settings (also TIDEOVER_*, ./tideover.toml)")


@Parameter(name="*", group=_SETTINGS)
@dataclass(frozen=True)
class Flags:
    """Where things are.

    Parameters
    ----------
    runbooks
        Folder with runbooks; may be repeated.
    journal
        The safety state: a file, or etcd://HOST,HOST,HOST/PREFIX (etcds:// with TLS).
    journal_credentials
        The credential profile that etcd is shown.
    credentials
        The file of credential profiles.
    reports
        Where reports are written.
    ui
        The Temporal UI's address, for links.
    """

    runbooks: Annotated[list[Path] | None, Parameter(negative="")] = None
    journal: str | None = None
    journal_credentials: str | None = None
    credentials: Path | None = None
    reports: Path | None = None
    ui: str | None = None

    def settings(self) -> Settings:
        """The settings with what was given on the command line. Raises NotFoundLocally."""
        from orchestrator.app.settings import load  # `lint` needs none

        return load(**{name: value for name, value in asdict(self).items() if value is not None})


NO_FLAGS = Flags()
