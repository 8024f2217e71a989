"""Promotion of a PostgreSQL standby, also where the answer to it is lost."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress

import pytest

from orchestrator.app.demo.cluster import ADMIN
from orchestrator.domain.errors import Doubtful, WrongIdentity
from providers.postgresql.session import Endpoint
from tests.postgres import Pair
from tests.providers.contract import RecordedCall, settle
from tests.providers.postgresql_pair import PRIMARY, STANDBY, change, replication
from tests.ssh import free_port

pytest_plugins = ["tests.providers.postgresql_pair"]


def test_a_primary_is_promoted_without_a_request(untouched: Pair) -> None:
    call, resource = RecordedCall(), untouched.resource("az-a")
    resource.apply(PRIMARY, resource.observe(), call)
    assert call.guards == 0


def test_another_database_in_its_place_is_not_promoted(untouched: Pair) -> None:
    resource, call = untouched.resource("az-b"), RecordedCall()
    with pytest.raises(WrongIdentity, match="another database answers in its place"):
        resource.apply(PRIMARY, resource.observe().model_copy(update={"identity": "4711"}), call)
    assert call.guards == 0
    assert resource.observe().state("role") == STANDBY


def test_a_promotion_is_a_new_timeline_at_once_though_the_control_file_keeps_the_old_one(pair: Pair) -> None:
    reading = change(pair.resource("az-b"), PRIMARY)
    assert replication(reading).timeline == 2


class Proxy:
    """Passes bytes both ways; cuts both connections at the client's first message that holds `word`."""

    def __init__(self, address: str, port: int, word: bytes, *, after: bool) -> None:
        self.port, self._far, self._word, self._after = free_port(), (address, port), word, after
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._far)
                threading.Thread(target=self._pass, args=(far, near), daemon=True).start()
                threading.Thread(target=self._watch, args=(near, far), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def _watch(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := near.recv(65536):
                if self._word in data:
                    near.shutdown(socket.SHUT_RDWR)
                    if self._after:
                        far.sendall(data)
                    far.shutdown(socket.SHUT_WR)
                    return
                far.sendall(data)
        with suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("after", [True, False])
def test_a_promotion_whose_answer_is_lost_is_doubtful(pair: Pair, after: bool) -> None:
    server = pair.at("az-b")
    proxy = Proxy(server.address, server.port, b"pg_promote", after=after)
    through = pair.resource("az-b", pair.places(az_b={"host": "127.0.0.1", "port": proxy.port}))
    call = RecordedCall()
    try:
        with pytest.raises(Doubtful):
            through.apply(PRIMARY, through.observe(), call)
    finally:
        proxy.close()
    assert call.guards == 1
    if after:
        settle(pair.resource("az-b"), PRIMARY)
    else:
        time.sleep(0.5)
        assert pair.resource("az-b").observe().state("role") == STANDBY


def test_a_server_that_hangs_in_a_statement_is_doubtful_by_the_deadline(untouched: Pair) -> None:
    server = untouched.at("az-a")
    endpoint = Endpoint(server.address, server.port, ADMIN, "postgres", untouched.cluster.password)
    began, process = time.monotonic(), 0

    def hang() -> None:
        nonlocal process
        with endpoint.session(1.0) as session:
            process = session.process
            os.kill(process, signal.SIGSTOP)
            session.do("select 1")

    try:
        with pytest.raises(Doubtful, match=r"no answer within 1\.0 s"):
            hang()
    finally:
        os.kill(process, signal.SIGCONT)
    assert time.monotonic() - began < 3
