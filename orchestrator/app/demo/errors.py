"""The one error of the demo's world."""

from orchestrator.domain.errors import TideoverError


class DemoFailed(TideoverError):
    """The demo's world could not be built, or does not do what it should; nothing outside of it was touched."""
