"""The demo's hosts: real PostgreSQL behind a power switch, and the agent that throws it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from orchestrator.app.demo import binaries, cluster
from orchestrator.app.demo.account import Account, database_account
from orchestrator.app.demo.cluster import ADDRESSES, ADMIN, REPLICATION, Cluster, Server
from orchestrator.app.demo.errors import DemoFailed
from orchestrator.app.demo.host import Host
from orchestrator.domain.catalog import NoSettings, Site
from orchestrator.domain.errors import NotFoundLocally, ProviderError
from orchestrator.domain.world import Power
from orchestrator.ports import Binding
from providers.fence_agents.machine import Machine
from providers.fence_agents.spec import MachinePlace
from tests.app.demo_directory import demo_directory
from tests.providers.contract import RecordedCall


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with demo_directory() as made:
        yield made


@pytest.fixture(scope="module")
def built(directory: Path) -> Iterator[Cluster]:
    made = cluster.build(directory)
    yield made
    made.kill()


@pytest.fixture
def left(built: Cluster) -> Server:
    """The primary, on and running."""
    host = built.left.host
    host.power_on()
    if host.is_vacant():
        built.left.start()
    return built.left


def postmaster(server: Server) -> int:
    return int((server.host.data_directory / "postmaster.pid").read_text().split()[0])


def is_alive(pid: int) -> bool:
    """A killed process that init has not reaped yet is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def answers(server: Server, password: str) -> bool:
    try:
        server.connect(ADMIN, password).close()
    except psycopg.OperationalError:
        return False
    return True


# The pair of servers


def test_the_right_server_streams_from_the_left_one(built: Cluster, left: Server) -> None:
    with left.connect(ADMIN, built.password) as primary, built.right.connect(ADMIN, built.password) as standby:
        primary.execute("create table if not exists streamed (n int)")
        deadline = time.monotonic() + 10
        while standby.execute("select to_regclass('streamed')").fetchone() != ("streamed",):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert standby.execute("select pg_is_in_recovery()").fetchone() == (True,)
        assert standby.execute("show wal_retrieve_retry_interval").fetchone() == ("100ms",)
        assert standby.execute("show wal_log_hints").fetchone() == ("on",)


def test_a_wrong_password_is_refused(built: Cluster, left: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        left.connect(ADMIN, "wrong")
    left.connect(REPLICATION, built.replication_password).close()


def test_what_pg_rewind_copies_is_the_same_on_both_hosts(built: Cluster, left: Server) -> None:
    settings = [(server.host.data_directory / "postgresql.conf").read_text() for server in built.servers]
    assert settings[0] == settings[1]
    for server in built.servers:
        with server.connect(ADMIN, built.password) as connection:
            assert connection.execute("show listen_addresses").fetchone() == (server.address,)


def test_a_directory_that_the_account_may_not_enter_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        assert database_account().can_pass(tmp_path)  # our own processes need no other account
        return
    tmp_path.chmod(0o700)
    with pytest.raises(DemoFailed, match="choose another directory"):
        cluster.build(tmp_path / "hosts")


def test_a_reserved_port_is_nobody_elses_until_it_is_given_back() -> None:
    with cluster.reserved_port(ADDRESSES) as port:
        with cluster.reserved_port(ADDRESSES, port) as other:
            assert other != port
        for _ in range(2):  # a server comes, goes, and comes back
            with socket.create_server((ADDRESSES[1], port)) as server:
                socket.create_connection((ADDRESSES[1], port)).close()
                server.accept()[0].close()


def test_a_server_that_does_not_start_says_why(built: Cluster) -> None:
    right = built.right
    right.stop()
    try:
        with socket.create_server((right.address, right.port)), pytest.raises(DemoFailed, match="could not bind"):
            right.start()
    finally:
        right.start()


# Power


def test_power_off_kills_every_process_of_this_host_and_of_no_other(built: Cluster, left: Server) -> None:
    killed, spared = left.host.processes(), postmaster(built.right)
    assert postmaster(left) in killed
    assert len(killed) > 4, "the checkpointer and its siblings belong to the host as well"
    left.host.power_off()
    assert not [pid for pid in killed if is_alive(pid)]
    assert left.host.power == "off"
    assert not answers(left, built.password)
    assert is_alive(spared)
    assert answers(built.right, built.password)


def test_nothing_starts_while_the_power_is_off(built: Cluster, left: Server) -> None:
    left.host.power_off()
    for program in ("pg_ctl", "postgres", "pg_controldata"):
        with pytest.raises(subprocess.CalledProcessError) as caught:
            left.run(program, "--version")
        assert caught.value.output == "host pg-left is powered off\n"
    left.host.power_on()
    assert left.host.is_vacant(), "switching on starts nothing"
    left.start()
    assert answers(left, built.password)


def test_a_start_that_races_with_power_off_leaves_nothing_running(built: Cluster, left: Server) -> None:
    def start() -> None:
        with suppress(DemoFailed):  # it may come through or not; what counts is what is left
            left.start()

    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.05):
        left.host.kill()
        left.host.power_on()
        starting = threading.Thread(target=start)
        starting.start()
        time.sleep(delay)
        left.host.power_off()
        assert left.host.is_vacant()
        starting.join()
        assert left.host.is_vacant()
        assert left.host.power == "off"


def test_a_crash_leaves_the_power_on(built: Cluster, left: Server) -> None:
    left.host.kill()
    assert left.host.power == "on"
    assert left.host.is_vacant()
    left.start()
    assert answers(left, built.password)


def test_a_host_that_is_switched_off_but_still_has_a_process_reads_on(left: Server) -> None:
    left.host.switch.write_text("off\n")
    assert left.host.power == "on"


# The agent


def agent(host: Host, action: str, **more: str) -> subprocess.CompletedProcess[str]:
    options = {"action": action, "plug": host.name, "power_dir": str(host.directory.parent), **more}
    return subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator.app.demo.fence_demo"],
        input="".join(f"{name}={value}\n" for name, value in options.items()),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_agent_keeps_the_contract(built: Cluster, left: Server) -> None:
    said = {}
    for step, action in enumerate(("status", "monitor", "off", "status", "off", "monitor", "on", "on", "status")):
        done = agent(left.host, action)
        said[step, action] = (done.returncode, done.stdout.strip())
    assert list(said.values()) == [
        (0, "Status: ON"),
        (0, "Status: ON"),
        (0, "Status: OFF"),
        (2, "Status: OFF"),
        (0, "Status: OFF"),
        (0, "Status: OFF"),
        (0, "Status: ON"),
        (0, "Status: ON"),
        (0, "Status: ON"),
    ]
    assert f"{left.host.name},{left.host.directory}\n" in agent(left.host, "list").stdout
    assert '<resource-agent name="fence_demo"' in agent(left.host, "metadata").stdout


@pytest.mark.parametrize(
    "wrong", [{"plug": "nobody"}, {"plug": "../pg-left"}, {"plug": ""}, {"power_dir": "."}, {"action": "reboot"}]
)
def test_the_agent_refuses_what_it_does_not_know(built: Cluster, left: Server, wrong: dict[str, str]) -> None:
    done = agent(left.host, **{"action": "off", **wrong})
    assert done.returncode == 1
    assert done.stderr.startswith("fence_demo: ")
    assert answers(left, built.password)


def test_the_fence_agents_provider_cuts_a_demo_host(built: Cluster, left: Server, directory: Path) -> None:
    program = directory / "fence_demo"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m orchestrator.app.demo.fence_demo "$@"\n')
    program.chmod(0o755)
    options = {"plug": left.name, "power_dir": str(directory)}
    place = MachinePlace(agent=str(program), options=options)
    sites = {"left": Site(provider="on-prem")}
    machine = Machine(Binding("db@left:fence_agents", "db", "left", NoSettings(), {"left": place}, sites))
    before = machine.observe()
    assert before.satisfies(Power(power="on"))
    machine.apply(Power(power="off"), before, RecordedCall())
    after = machine.observe()
    assert after.satisfies(Power(power="off"))
    assert after.latched
    assert not answers(left, built.password)
    place = MachinePlace(agent=str(program), options={**options, "plug": "nobody"})
    with pytest.raises(ProviderError, match="there is no host 'nobody'"):
        Machine(Binding("db@left:fence_agents", "db", "left", NoSettings(), {"left": place}, sites)).observe()


# Where PostgreSQL comes from


def test_without_a_system_postgresql_the_wheel_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as hidden:
        hidden.setenv("PATH", "/nonexistent")
        found = binaries.find(debian=Path("/nonexistent"))
    assert found.from_wheel
    with demo_directory() as place:
        made = cluster.build(place, found=found)
        try:
            with made.right.connect(ADMIN, made.password) as connection:
                version = connection.execute("show server_version_num").fetchone()
            assert version is not None
            assert int(version[0]) // 10_000 == found.version
            assert "pg_rewind" in made.left.run("pg_rewind", "--version")
        finally:
            made.kill()


def test_programs_out_of_the_accounts_reach_are_copied_with_their_libraries(tmp_path: Path) -> None:
    wheel = binaries.wheel_directory()
    assert wheel is not None, "the extra 'demo' is not installed"
    nobody = Account("someone-else", os.geteuid() + 1, os.getegid() + 1)
    tmp_path.chmod(0o700)
    workshop = tmp_path / "workshop"
    out_of_reach = tmp_path / "site"
    out_of_reach.symlink_to(wheel.parents[2])
    unreachable = binaries.Binaries(out_of_reach / wheel.relative_to(wheel.parents[2]), 18, from_wheel=True)
    copied = unreachable.usable_by(nobody, workshop)
    assert copied.directory.is_relative_to(workshop)
    told = subprocess.run([copied.directory / "initdb", "--version"], capture_output=True, text=True, check=True)
    assert "PostgreSQL" in told.stdout


def test_no_postgresql_at_all_names_the_places_that_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
    with pytest.raises(NotFoundLocally, match=r"tried PATH, pg_config, /nowhere/\*/bin and the wheel no-such"):
        binaries.find(debian=Path("/nowhere"))
