"""Where runbooks are found by name: the folders that the settings list, in order."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from orchestrator.app import runbook_text
from orchestrator.domain.catalog import Catalog
from orchestrator.domain.errors import NotFoundLocally, RunbookInvalid
from orchestrator.domain.findings import did_you_mean
from orchestrator.domain.runbook import Runbook


class RunbookLibrary:
    """Runbooks in folders; a file `<name>.yaml` holds the runbook of that name."""

    def __init__(self, folders: Sequence[Path], catalog: Catalog) -> None:
        self.folders, self.catalog = tuple(folders), catalog

    def names(self) -> list[str]:
        """Every runbook that a name leads to, sorted."""
        return sorted({file.stem for folder in self.folders for file in folder.glob("*.yaml")})

    def path(self, name: str) -> Path:
        """The file of this name. Raises NotFoundLocally naming the folders and a near name."""
        for folder in self.folders:
            if _is_file(folder / f"{name}.yaml"):
                return folder / f"{name}.yaml"
        where = ", ".join(str(folder) for folder in self.folders)
        raise NotFoundLocally(f"there is no runbook {name!r} in {where}{did_you_mean(name, self.names())}")

    def runbook(self, name: str) -> Runbook:
        """The runbook of this name. Raises NotFoundLocally, or RunbookInvalid with its findings."""
        found = runbook_text.read(self.path(name), self.catalog).valid()
        if found.runbook != name:  # its journal and its execution go by its own name: two names would be two groups
            said = f"it holds `runbook: {found.runbook}`, and is looked for as {name!r}"
            raise RunbookInvalid(f"{self.path(name)}: {said}: make the two names one")
        return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise
