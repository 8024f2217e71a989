"""`postgresql.query`: a query as a client would ask it, for the verification at the end."""

from __future__ import annotations

from orchestrator.domain.errors import Misconfigured, NotFound
from orchestrator.domain.world import Reading, Running, State
from orchestrator.ports import Binding, Call
from providers.postgresql.session import Endpoint
from providers.postgresql.spec import PostgresqlPlace, QuerySettings

_SECONDS = 5.0


class Query:
    """A query that must return a row from the site that now serves."""

    def __init__(self, binding: Binding[QuerySettings, PostgresqlPlace]) -> None:
        settings, place = binding.settings, binding.place
        self._sql = settings.sql
        self._endpoint = Endpoint(
            host=settings.via or place.host,
            port=place.port,
            user=settings.user,
            database=settings.database,
            password=binding.secret.get("password"),
            options=settings.connect,
        )

    def __repr__(self) -> str:
        return f"Query({self._endpoint})"

    def observe(self) -> Reading:
        """Running where the query returns a row. Raises ProviderError where it cannot be asked."""
        with self._endpoint.session(_SECONDS) as session:
            try:
                session.row(self._sql)
            except NotFound:
                return self._reading(running=False)
        return self._reading(running=True)

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """Never: a probe only looks."""
        raise Misconfigured(f"{self._endpoint}: a query changes nothing")

    def _reading(self, *, running: bool) -> Reading:
        return Reading(states=(Running(running=running),), authority=f"a query at {self._endpoint}")
