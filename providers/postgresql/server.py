"""`postgresql.server`: one site's server."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress

from orchestrator.domain.errors import (
    Conflict,
    Misconfigured,
    ProviderError,
    Rejected,
    Unreachable,
    WrongIdentity,
)
from orchestrator.domain.world import PRIMARY, STANDBY, STOPPED, Reading, ReplicatesFrom, Role, State
from orchestrator.ports import Binding, Call
from orchestrator.runtime.host import Host
from orchestrator.runtime.lookup import Lookup
from providers.postgresql import reading
from providers.postgresql.data_directory import DataDirectory
from providers.postgresql.rebuild import Rebuild
from providers.postgresql.session import Endpoint, Session
from providers.postgresql.spec import PostgresqlPlace, PostgresqlSettings
from providers.postgresql.upstream import Upstream, slot_name

_READ_SECONDS = 4.0
_REQUEST_SECONDS = 10.0
_CATCHING_UP, _CATCHING_UP_SECONDS = 4, 0.05
"""A standby is often a few bytes behind for an instant. One that still is after so many looks lags."""
_PEER_SECONDS = 0.5
"""A peer that may be dark costs an observation no more than this: it is asked for a confirmation only."""
_GLANCE_SECONDS = 0.1
"""Every failover from a dark host waits for this; one round trip within a continent takes less."""

_NAMES = Lookup()

ROLE_QUERY = (
    "select pg_is_in_recovery() as in_recovery, (select system_identifier from pg_control_system())::text as identity"
)


class Server:
    """A PostgreSQL server, read over SQL, or through its files while it is down."""

    def __init__(self, binding: Binding[PostgresqlSettings, PostgresqlPlace]) -> None:
        if binding.site is None:
            raise Misconfigured(f"{binding.resource}: a PostgreSQL server belongs to one site")
        self._site, self._place = binding.site, binding.place
        self._peers = {
            site: Upstream(site, place, _endpoint(binding, place), binding.settings, binding.secret)
            for site, place in binding.places.items()
        }
        self._endpoint = self._peers.pop(self._site).endpoint

    def __repr__(self) -> str:
        return f"Server({self._site}, {self._endpoint})"

    def observe(self) -> Reading:
        """The role, the position in the log and the upstream; from the files where the server is surely down."""
        try:
            with self._endpoint.session(_READ_SECONDS) as session:
                row = session.row(reading.SERVER)
                for _ in range(_CATCHING_UP):
                    if row["receiver"] != "streaming" or row["last_contact_at"] is not None:
                        break
                    time.sleep(_CATCHING_UP_SECONDS)
                    row = session.row(reading.SERVER)
        except Unreachable as unreachable:
            if not self._endpoint.refuses():
                raise
            return self._observe_files(unreachable)
        upstream = self._confirmed_upstream(row["sender_host"], row["sender_port"], row["slot"], row["identity"])
        return reading.of_running_server(row, str(self._endpoint), upstream if row["receiver"] == "streaming" else None)

    def glance(self) -> Reading:
        """What a server that answers says of itself; one that does not is not looked for in its files."""
        if not self._endpoint.answers(_GLANCE_SECONDS):
            raise Unreachable(f"{self._endpoint}: nothing answers within {_GLANCE_SECONDS:g} s")
        return self.observe()

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """Ask for a role, or for a place behind another site's server."""
        match desired:
            case Role(role="primary"):
                self._become_primary(observed, call)
            case Role(role="standby"):
                self._become_standby(observed, call)
            case Role(role="stopped"):
                self._stop(observed, call)
            case ReplicatesFrom(site=site):
                self._replicate_from(site, observed, call)
            case _:
                raise Misconfigured(f"{self._endpoint}: a PostgreSQL server has no state {desired}")

    def hazards(self) -> tuple[str, ...]:
        """What starts it when its machine boots (I9). A standby counts: the next failover may make it the old primary.

        `standby.signal` is no help: a server that was fenced by its power went down without it.
        """
        if self._place.data_directory is None:
            return ()
        data = self._data()
        return tuple(
            f"{starter.name} starts it when its machine boots: fenced by power in a failover and powered on again, it"
            f" would come up as a second writable primary; on {data.host}: {starter.mend}"
            for starter in data.at_boot()
        )

    # observing

    def _observe_files(self, unreachable: Unreachable) -> Reading:
        if self._place.data_directory is None:
            raise Unreachable(f"{unreachable}; set data_directory to read its role while it is down")
        data = self._data()
        found = data.look()
        if found.running:
            raise Unreachable(f"{self._endpoint}: a server runs on {data} but takes no connections (yet)")
        return reading.of_files(found, f"control file of {data}")

    def _confirmed_upstream(self, host: str | None, port: int | None, slot: str | None, identity: str) -> str | None:
        """The site that streams to us and says so itself; None where it does not, or cannot be asked."""
        if host is None:
            return None
        named = [peer for peer in self._peers.values() if (peer.place.host, peer.place.port) == (host, port)]
        for peer in named or self._peers.values():
            if not peer.endpoint.answers(_PEER_SECONDS):
                continue
            try:
                streams = peer.streams_to(slot, identity, _READ_SECONDS)
            except WrongIdentity:
                raise
            except ProviderError:  # it is the standby that is read here; its peer's own reading tells what is wrong
                continue
            if streams:
                return peer.site
        return None

    # changing

    def _become_primary(self, observed: Reading, call: Call) -> None:
        if observed.state("role") in (None, STOPPED):
            self._start_as_primary(observed, call)
            return
        with self._endpoint.session(min(call.remaining, _REQUEST_SECONDS)) as session:
            if self._role(session, observed) == "primary":
                return
            call.guard()
            # Not awaited: the first write succeeds before the server's own wait, which polls each 0.1 s, is over.
            session.do("select pg_promote(wait => false)")

    def _start_as_primary(self, observed: Reading, call: Call) -> None:
        """A standby is refused: started so, and not promoted, it would go on in its old primary's own timeline."""
        found = self._data().look()
        self._refuse_another(found.identity, observed)
        if not found.ended_as_primary:
            raise Conflict(f"{self._endpoint}: it is down, and was no primary before ({found.state}): rebuild it")
        self._data().start("primary", call)

    def _become_standby(self, observed: Reading, call: Call) -> None:
        if observed.state("role") == STANDBY:
            return
        if observed.state("role") == PRIMARY:
            raise Conflict(f"{self._endpoint}: is a running primary; stop it before it becomes a standby")
        self._refuse_another(self._data().look().identity, observed)
        self._data().start("standby", call)

    def _stop(self, observed: Reading, call: Call) -> None:
        if observed.state("role") in (PRIMARY, STANDBY):
            self._stop_running(observed, call)
            return
        self._refuse_another(self._data().look().identity, observed)
        self._data().settle(call)

    def _stop_running(self, observed: Reading, call: Call) -> None:
        """While our session is open its server process proves that the files are those of this very server."""
        data = self._data()
        with self._endpoint.session(_READ_SECONDS + call.remaining) as session:
            self._role(session, observed)
            data.stop(session.process, call)

    def _replicate_from(self, site: str, observed: Reading, call: Call) -> None:
        if site not in self._peers:
            raise Misconfigured(f"{self._endpoint}: there is no other site {site} to replicate from")
        if observed.state("role") == PRIMARY:
            by_hand = f"its unit, or pg_ctl stop -m fast -D {shlex.quote(str(self._place.data_directory))}"
            raise Conflict(
                f"{self._endpoint}: is a running primary; stop it before it is rebuilt ({by_hand}), and retry"
            )
        data, upstream, slot = self._data(), self._peers[site], slot_name(self._site)
        upstream.prepare(slot, observed.identity, call)
        if observed.state("role") == STANDBY:
            self._stop_running(observed, call)
        Rebuild(data, upstream, slot, observed.identity).run(call)
        with suppress(Rejected):  # it streams; that slots are left over is one of its warnings
            self._drop_slots_of_former_standbys(call)

    def _drop_slots_of_former_standbys(self, call: Call) -> None:
        """A slot that we kept while we were primary would hold back WAL here for ever."""
        ours = tuple(slot_name(site) for site in self._peers)
        with self._endpoint.session(min(call.remaining, _REQUEST_SECONDS)) as session:
            idle = "select slot_name from pg_replication_slots where not active and slot_name = any(%s)"
            for row in session.rows(idle, list(ours)):
                call.guard()
                session.do("select pg_drop_replication_slot(%s)", row["slot_name"])

    # knowing that it is the one

    def _role(self, session: Session, observed: Reading) -> str:
        row = session.row(ROLE_QUERY)
        self._refuse_another(row["identity"], observed)
        return "standby" if row["in_recovery"] else "primary"

    def _refuse_another(self, identity: str, observed: Reading) -> None:
        if observed.identity is not None and identity != observed.identity:
            found = f"its system identifier is {identity}, not {observed.identity}"
            raise WrongIdentity(
                f"{self._endpoint}: {found}: another database answers in its place; look at host and port"
            )

    def _data(self) -> DataDirectory:
        place = self._place
        if place.data_directory is None:
            raise Misconfigured(f"{self._endpoint}: set data_directory (and ssh) to stop, start or rebuild this server")
        return DataDirectory(Host(place.ssh, place.run_as), place.data_directory, place)


def _endpoint(binding: Binding[PostgresqlSettings, PostgresqlPlace], place: PostgresqlPlace) -> Endpoint:
    settings = binding.settings
    password = binding.secret.get("password")
    # Where the name servers are lost as well, the address that a server had last is better than none.
    return Endpoint(
        place.host, place.port, settings.user, settings.database, password, settings.connect, _NAMES.addresses
    )
