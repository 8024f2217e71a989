"""Build hook: every providers/<name>/requirements.txt is the optional dependency set <name>."""

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ProviderExtras(MetadataHookInterface):
    """After `update`, the metadata names one extra for each provider folder with requirements, and `all`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Read the requirement files beside this hook into `optional-dependencies`."""
        extras: dict[str, list[str]] = {}
        for file in sorted(Path(self.root, "providers").glob("*/requirements.txt")):
            lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
            extras[file.parent.name] = [line for line in lines if line]
        extras["all"] = sorted({line for lines in extras.values() for line in lines})
        metadata["optional-dependencies"] = extras
