"""`probe.tcp`: something accepts connections where clients look for it."""

from __future__ import annotations

import socket

from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.world import Reading, Running, State
from orchestrator.ports import Binding, Call
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
            socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
        except OSError as error:
            return self._reading(False, str(error))
        return self._reading(True, "connected")

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """Never: a probe only looks."""
        raise Misconfigured(f"{self._target}: a probe changes nothing")

    def _reading(self, running: bool, said: str) -> Reading:
        return Reading(
            states=(Running(running=running),), authority=f"a connection to {self._target}", facts={"said": said}
        )
