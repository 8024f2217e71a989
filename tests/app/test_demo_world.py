"""The demo's whole world, real: kill the primary, move the name, and ask the client what it saw."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestrator.app import runbook_text
from orchestrator.app.demo import cluster
from orchestrator.app.demo.account import database_account
from orchestrator.app.demo.errors import DemoFailed
from orchestrator.app.demo.premises import claimed
from orchestrator.app.demo.world import DemoWorld
from orchestrator.app.registry import catalog
from orchestrator.domain.catalog import DnsPlace, NoSettings, Site
from orchestrator.domain.world import Power, ReplicatesFrom, Role, State
from orchestrator.ports import Binding, Resource
from orchestrator.runtime.credentials import ProfileCredentials
from providers.aws.route53_record import Route53Record
from providers.aws.spec import RecordSettings
from providers.fence_agents.machine import Machine
from providers.fence_agents.spec import MachinePlace
from providers.postgresql.server import Server as DatabaseServer
from providers.postgresql.spec import PostgresqlPlace, PostgresqlSettings
from tests.app.demo_directory import demo_directory
from tests.providers.contract import RecordedCall, settle

SITES = {site: Site(provider="on-prem") for site in ("left", "right")}
EXAMPLE = Path(__file__).parents[2] / "runbooks" / "demo.yaml"


@pytest.fixture(scope="module")
def world() -> Iterator[DemoWorld]:
    with demo_directory() as directory, DemoWorld(directory / "demo", preferred_port=0) as made:
        yield made


def component(world: DemoWorld, name: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(world.runbook)["components"][name]
    return found


def name_of_the_service(world: DemoWorld) -> tuple[Route53Record, Binding[RecordSettings, DnsPlace]]:
    """The provider's own adapter, bound as the demo's runbook and credentials say."""
    written = component(world, "name")
    settings = RecordSettings(**{key: written[key] for key in ("zone", "record", "ttl")})
    places = {site: DnsPlace(**place) for site, place in written["at"].items()}
    secret = ProfileCredentials(world.credentials).resolve(written["credentials"])
    binding = Binding("name", "name", None, settings, places, SITES, secret)
    return Route53Record(binding), binding


def database(world: DemoWorld, site: str) -> DatabaseServer:
    written = component(world, "db")
    settings = PostgresqlSettings(user=written["user"], replication_user=written["replication_user"])
    places = {
        name: PostgresqlPlace(**{key: value for key, value in place.items() if key != "fence"})
        for name, place in written["at"].items()
    }
    secret = ProfileCredentials(world.credentials).resolve(written["credentials"])
    return DatabaseServer(Binding(f"db@{site}", "db", site, settings, places, SITES, secret))


def machine(world: DemoWorld, site: str) -> Machine:
    place = MachinePlace(**component(world, "db")["at"][site]["fence"][0]["fence_agents"])
    return Machine(Binding(f"db@{site}:fence_agents", "db", site, NoSettings(), {site: place}, SITES))


def ensure(resource: Resource, wanted: State) -> None:
    resource.apply(wanted, resource.observe(), RecordedCall(remaining=60.0))
    settle(resource, wanted)


def point_name_to(world: DemoWorld, site: str) -> None:
    record, binding = name_of_the_service(world)
    ensure(record, binding.places[site].records(binding.settings.ttl))


def test_a_client_commits_through_the_name_to_the_left_site(world: DemoWorld) -> None:
    since = time.time()
    world.wait_for_ack(since + 0.5)
    seen = world.verdict(since)
    assert (seen.lost, seen.served_by, seen.over) == (0, "127.0.1.1", True)
    assert 10 < seen.acknowledged < 100
    assert world.primary()[0] == "left"


def test_the_runbook_is_the_example_with_other_places(world: DemoWorld) -> None:
    yaml = YAML(typ="safe")
    ours, example = (yaml.load(file) for file in (world.runbook, EXAMPLE))
    for file in (world.runbook, EXAMPLE):
        assert runbook_text.read(file, catalog()).valid().direction == ("left", "right")
    for site, place in ours["components"]["db"]["at"].items():
        server = world.servers[site]
        assert Path(place["data_directory"], "PG_VERSION").is_file() or database_account().is_other
        assert place.pop("run_as", None) == (server.account.name if server.account.is_other else None)
        fence = place["fence"][0]["fence_agents"]
        assert os.access(fence["agent"], os.X_OK)
        assert Path(fence["options"]["power_dir"], fence["options"]["plug"], "power").is_file()
        expected = example["components"]["db"]["at"][site]
        assert place.keys() == expected.keys()
        expected.update(place)
    assert ours == example


def test_the_secrets_are_in_one_private_file(world: DemoWorld) -> None:
    assert world.credentials.stat().st_mode & 0o777 == 0o600
    assert ProfileCredentials(world.credentials).resolve("demo-db")["password"] == world.cluster.password
    others = [path for path in world.directory.iterdir() if path.is_file() and path != world.credentials]
    for path in others:
        assert world.cluster.password not in path.read_text()
    arguments = b" ".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert world.cluster.password.encode() not in arguments


def test_there_and_back_as_the_client_saw_it(world: DemoWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    left, right = database(world, "left"), database(world, "right")

    # the primary dies: fence, promote, move the name
    since = time.time()
    world.wait_for_ack(since + 0.3)
    assert world.kill_primary() == "left"
    killed = time.time()
    with pytest.raises(DemoFailed, match="0 servers take writes"):
        world.primary()
    ensure(machine(world, "left"), Power(power="off"))
    ensure(right, Role(role="primary"))
    point_name_to(world, "right")
    back = world.wait_for_ack(killed)
    assert (back.address, world.primary()[0]) == ("127.0.1.2", "right")
    seen = world.verdict(since)
    assert (seen.over, seen.served_by) == (True, "127.0.1.2")
    assert since < seen.outage_began <= killed
    assert 0 < seen.outage < 60
    assert seen.lost_seconds < 1

    # the old primary becomes a standby
    ensure(machine(world, "left"), Power(power="on"))
    assert world.servers["left"].host.is_vacant(), "a host that boots does not start its database"
    ensure(left, ReplicatesFrom(site="right"))

    # and the service goes home, planned: nothing is lost
    since = time.time()
    ensure(right, Role(role="stopped"))
    ensure(left, Role(role="primary"))
    point_name_to(world, "left")
    assert world.wait_for_ack(time.time()).address == "127.0.1.1"
    seen = world.verdict(since)
    assert (seen.lost, seen.served_by, world.primary()[0]) == (0, "127.0.1.1", "left")
    assert 0 < seen.outage < 60


# Coming and going


def running_under(directory: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(directory) in line]


def test_a_demo_that_was_killed_is_cleared_away_by_the_next_one() -> None:
    script = (
        "import sys, time; from pathlib import Path; from orchestrator.app.demo.world import DemoWorld\n"
        "with DemoWorld(Path(sys.argv[1]), preferred_port=0): print('up', flush=True); time.sleep(60)"
    )
    with demo_directory() as place:
        directory = place / "demo"
        argv = [sys.executable, "-c", script, str(directory)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == "up\n"
            with pytest.raises(DemoFailed, match=f"already .process {first.pid}."), DemoWorld(directory):
                pytest.fail("two demos in one directory")
            first.kill()
        assert running_under(directory), "the databases outlive a demo that was killed"
        said: list[str] = []
        with claimed(directory, database_account(), said.append):
            assert said == [f"ending {name}, which an earlier demo left running" for name in ("pg-left", "pg-right")]
            assert running_under(directory) == []


def test_an_interrupted_demo_leaves_nothing_running() -> None:
    script = (
        "import sys, time; from pathlib import Path; from orchestrator.app.demo.world import DemoWorld\n"
        "with DemoWorld(Path(sys.argv[1]), print, preferred_port=0): time.sleep(60)"
    )
    with demo_directory() as place:
        directory = place / "demo"
        argv = [sys.executable, "-u", "-c", script, str(directory)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as demo:
            assert demo.stdout is not None
            first = demo.stdout.readline()
            assert first.startswith("PostgreSQL")
            time.sleep(0.8)  # in the middle of building the cluster
            demo.send_signal(signal.SIGINT)
            demo.stdout.read()
            demo.wait(20)
        assert demo.returncode != 0
        assert running_under(directory) == []


def test_hosts_of_another_directory_are_left_alone() -> None:
    with demo_directory() as mine, demo_directory() as other:
        made = cluster.build(other / "hosts")
        try:
            with claimed(mine / "demo", database_account(), print):
                assert not made.left.host.is_vacant()
        finally:
            made.kill()


def test_a_directory_with_somebody_elses_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "thesis.tex").touch()
    with (
        pytest.raises(DemoFailed, match="is not empty and not a demo's"),
        claimed(tmp_path, database_account(), print),
    ):
        pytest.fail("a foreign directory was taken")
    assert (tmp_path / "hosts" / "thesis.tex").exists()


def test_where_the_account_may_not_go_the_hosts_stand_elsewhere(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with claimed(tmp_path / "demo", database_account(), print) as hosts:
        assert database_account().can_pass(hosts)
        assert hosts.is_relative_to(tmp_path) != database_account().is_other
    assert not hosts.exists()
