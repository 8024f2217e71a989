"""`probe.tcp`: something accepts connections where clients look for it."""

from __future__ import annotations

from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.world import Reading, Running, State
from orchestrator.ports import Binding, Call
from orchestrator.runtime.lookup import knock, look_up
from providers.probe.spec import TcpSettings

_SECONDS = 3.0


class TcpProbe:
    """Connects and hangs up."""

    def __init__(self, binding: Binding[TcpSettings, TcpSettings]) -> None:
        self._target = binding.settings.tcp

    def __repr__(self) -> str:
        return f"TcpProbe({self._target})"

    def observe(self) -> Reading:
        """Running where a connection comes about. A failed one is a reading too: it never proves anything else."""
        host, _, port = self._target.rpartition(":")
        try:
            knock(look_up(host.strip("[]"), _SECONDS), int(port), _SECONDS)
        except (OSError, ValueError) as error:
            return self._reading(False, str(error))
        return self._reading(True, "connected")

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """Never: a probe only looks."""
        raise Misconfigured(f"{self._target}: a probe changes nothing")

    def _reading(self, running: bool, said: str) -> Reading:
        return Reading(
            states=(Running(running=running),), authority=f"a connection to {self._target}", facts={"said": said}
        )
