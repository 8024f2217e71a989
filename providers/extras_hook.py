"""Build hook: providers/<name>/requirements.txt is the optional dependency set <name>; the demo has its own."""

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ProviderExtras(MetadataHookInterface):
    """After `update`, the metadata names one extra for each provider folder with requirements, and `all`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Read the requirement files into `optional-dependencies`; `all` is every provider, not the demo."""
        providers = sorted(Path(self.root, "providers").glob("*/requirements.txt"))
        extras = {file.parent.name: _requirements(file) for file in providers}
        extras["all"] = sorted({line for lines in extras.values() for line in lines})
        extras["demo"] = _requirements(Path(self.root, "orchestrator", "app", "demo", "requirements.txt"))
        metadata["optional-dependencies"] = extras


def _requirements(file: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]
