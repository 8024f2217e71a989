"""How a server that is down becomes a standby: by pg_rewind, else by a base backup; done is what the upstream says."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.domain.errors import Conflict, Doubtful, ProviderError, Rejected
from orchestrator.ports import Call
from providers.postgresql.data_directory import DataDirectory
from providers.postgresql.upstream import Upstream

_STREAM_SECONDS = 15.0
_POLL_SECONDS = 0.1
_ASK_SECONDS = 4.0


@dataclass(frozen=True)
class Rebuild:
    """One server, the upstream that it shall follow, and the slot that is kept for it there."""

    data: DataDirectory
    upstream: Upstream
    slot: str
    identity: str | None

    def run(self, call: Call) -> None:
        """The upstream streams to the server. Raises Doubtful where even a base backup does not get so far."""
        why = self._rewind(call)
        if why is not None:
            upstream = self.upstream
            settings = upstream.standby_settings(self.slot)
            self.data.rebuild("backup", upstream.replication_source, upstream.replication_password, settings, call)
            self.data.start("standby", call)
            if not self._streams(call):
                raise Doubtful(
                    f"{self.data}: rebuilt ({why}), but {upstream.endpoint} does not stream to it: see its log"
                )
        with suppress(Rejected):  # it streams; what could not be removed is in nobody's way
            self.data.discard(call)

    def _rewind(self, call: Call) -> str | None:
        """None where the rewound server streams; else why it needs a base backup."""
        found = self.data.look()
        if found.running:
            raise Conflict(f"{self.data}: a server runs there; stop it before it is rebuilt")
        if found.broken:
            return "an earlier rewind was broken off"
        upstream = self.upstream
        settings = upstream.standby_settings(self.slot)
        try:
            self.data.rebuild("rewind", upstream.source, upstream.endpoint.password, settings, call)
        except Conflict:
            raise
        except Rejected as rejected:
            return f"pg_rewind would not: {rejected}"
        try:
            self.data.start("standby", call)
        except Rejected as rejected:
            return f"it did not start after pg_rewind: {rejected}"
        if self._streams(call):
            return None
        return self._stop_what_does_not_stream(call)

    def _streams(self, call: Call) -> bool:
        """True once the upstream confirms it; False where that does not happen in time."""
        deadline = time.monotonic() + min(_STREAM_SECONDS, call.remaining / 2)
        while time.monotonic() < deadline:
            try:
                if self.upstream.streams_to(self.slot, self.identity, _ASK_SECONDS):
                    return True
            except ProviderError as error:
                if error.surely_not_done and not error.retryable:
                    raise
            time.sleep(_POLL_SECONDS)
        return False

    def _stop_what_does_not_stream(self, call: Call) -> str:
        self.data.halt(call)
        return "it does not stream after pg_rewind"
