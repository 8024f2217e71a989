"""The map from PostgreSQL's states and refusals to our errors."""

from __future__ import annotations

import psycopg
import pytest

from orchestrator.domain.errors import Doubtful, ProviderError, Unreachable
from providers.postgresql import errors


class StatementError(psycopg.Error):
    """An error with any SQLSTATE."""

    def __init__(self, state: str | None) -> None:
        super().__init__("first line\nsecond line")
        self.sqlstate = state


@pytest.mark.parametrize(("state", "error"), list(errors.BY_STATE.items()))
def test_each_state_that_the_map_knows(state: str, error: type[ProviderError]) -> None:
    found = errors.translated(StatementError(state.ljust(5, "9")), "server", "user")
    assert type(found) is error
    assert "\n" not in str(found)


@pytest.mark.parametrize("state", [None, "08006", "57014", "57P01", "57P02", "XX000", "40001", "99999"])
def test_a_state_that_the_map_does_not_know_is_doubtful(state: str | None) -> None:
    assert type(errors.translated(StatementError(state), "server", "user")) is Doubtful


@pytest.mark.parametrize(("words", "error"), [(words, error) for words, error, _ in errors.BY_CONNECT_TEXT])
def test_each_refusal_that_the_map_knows(words: str, error: type[ProviderError]) -> None:
    text = f'connection to server at "10.0.0.1", port 5432 failed: FATAL:  {words} for it\nDETAIL:  more'
    assert type(errors.refused_connection(psycopg.OperationalError(text), "server", "user")) is error


def test_no_session_is_surely_nothing_sent() -> None:
    found = errors.refused_connection(psycopg.OperationalError("something new"), "server", "user")
    assert type(found) is Unreachable
