"""What starts a PostgreSQL server with its machine: real units, read by the real systemctl, over SSH.

The machine is an sshd in a mount namespace of its own, with a copy of /etc and nothing in /run/systemd: what a test
does to its units is gone with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.domain.checks import CheckFinding, judge
from orchestrator.domain.engine import fold, start
from orchestrator.domain.errors import Conflict, Misconfigured
from orchestrator.domain.ledger import Execution, GroupRecord
from orchestrator.domain.plan import PlanMode
from orchestrator.domain.state import Checked
from orchestrator.domain.world import ReplicatesFrom, Role
from orchestrator.runtime import looking, ssh
from providers.postgresql.server import Server
from tests.domain import runbooks
from tests.postgres import Pair, postgresql_pair
from tests.providers.contract import RecordedCall, settle
from tests.ssh import Sshd

NEEDED = ("/usr/bin/systemctl", "/usr/bin/pg_conftool", "/usr/lib/systemd/system/postgresql@.service")
INSTALL = "not here: apt-get install -y systemd postgresql (nothing needs to be started by them)"
RED_HAT = """
[Service]
Environment=PGDATA={data}/
ExecStart=/usr/bin/postmaster -D ${{PGDATA}}
[Install]
WantedBy=multi-user.target
"""


@dataclass
class Machine:
    """`etc`: its own. `run`: a shell command line, there."""

    etc: Path
    sshd: Sshd
    sites: Pair

    def run(self, command: str) -> str:
        assert self.sshd.process
        enter = ["nsenter", f"--mount=/proc/{self.sshd.process.pid}/ns/mnt", "sh", "-ec", command]
        done = subprocess.run(enter, env={**os.environ, "SYSTEMD_OFFLINE": "1"}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def unit(self, name: str, text: str) -> None:
        path = self.etc / "systemd/system" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(data=self.data))

    def cluster(self, mode: str | None) -> None:
        """Debian's 15/main is on our data directory; `mode`: what its start.conf says."""
        folder = self.etc / "postgresql/15/main"
        shutil.rmtree(self.etc / "postgresql", ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "postgresql.conf").write_text(f"port = 5432\ndata_directory = '{self.data}'  # as Debian has it\n")
        if mode is not None:
            (folder / "start.conf").write_text(f"# Automatic startup\n\n{mode}\n")

    @property
    def data(self) -> Path:
        return self.sites.data("az-a")

    def server(self, site: str = "az-a", **place: str) -> Server:
        far = {"ssh": self.sshd.destination, **place}
        return self.sites.resource(site, self.sites.places(az_a=far, az_b=far))

    def starters(self) -> list[tuple[str, str]]:
        """What its hazards name: what starts it, and the command that ends it."""
        return [(text.split(" ", 1)[0], text.partition(f"{self.sshd.destination}: ")[2]) for text in self.hazards()]

    def hazards(self) -> tuple[str, ...]:
        return self.server().hazards()


@pytest.fixture(scope="module")
def built() -> Iterator[Pair]:
    with postgresql_pair() as pair:
        yield pair


@pytest.fixture
def pair(built: Pair) -> Pair:
    if not built.pristine:
        built.reset()
    return built


@pytest.fixture
def machine(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for needed in NEEDED:
        if not Path(needed).exists():
            raise RuntimeError(f"{needed} is {INSTALL}")
    etc = tmp_path / "etc"
    subprocess.run(["cp", "-a", "/etc", etc], check=True)
    shutil.rmtree(etc / "postgresql", ignore_errors=True)
    own = f'mount --bind {shlex.quote(str(etc))} /etc; mount -t tmpfs none /run/systemd; exec "$@"'
    sshd = Sshd(tmp_path / "ssh", prefix=["unshare", "--mount", "sh", "-ec", own, "sh"])
    monkeypatch.setenv(ssh.CONFIG_VARIABLE, str(sshd.config))
    sshd.start()
    try:
        yield Machine(etc, sshd, pair)
    finally:
        sshd.stop()


# ---- units that name the directory


def test_nothing_starts_it(machine: Machine) -> None:
    machine.unit("postgresql-15.service", RED_HAT)
    assert machine.hazards() == ()


def test_an_enabled_unit_that_names_the_directory(machine: Machine) -> None:
    machine.unit("postgresql-15.service", RED_HAT)
    machine.unit("postgresql-16.service", RED_HAT.replace("{data}", "/var/lib/pgsql/16/data"))
    machine.run("systemctl enable postgresql-15 postgresql-16")
    (text,) = machine.hazards()
    assert "postgresql-15.service starts it when its machine boots" in text
    ssh, mend = text.rpartition("; on ")[2].split(": ", 1)
    assert (ssh, mend) == (machine.sshd.destination, "systemctl disable postgresql-15.service")
    machine.run(mend)
    assert machine.hazards() == (), "the way out that it names is one"


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("pg.service", "[Service]\nExecStart=/opt/pg/bin/postgres \\\n  -D '{data}'\n"),
        ("pg.service", "[Service]\nEnvironment='A=b' \"PGDATA={data}\"\nExecStart=/opt/pg/bin/postgres\n"),
        ("pg.service", "[Service]\nEnvironment=ROOT={data}\nExecStart=/opt/pg/bin/postgres -D ${{ROOT}}/../data\n"),
        ("pg.service", "[Service]\nEnvironment=PGDATA=/x\nEnvironmentFile=-/etc/pg.env\nExecStart=/opt/postgres\n"),
        ("pg@data.service", "[Service]\nExecStart=/opt/pg/bin/postgres -D {data}/../%i\n"),
    ],
    ids=["option", "quoted", "variable", "file-of-variables", "template"],
)
def test_each_way_to_name_it(machine: Machine, unit: str, text: str) -> None:
    (machine.etc / "pg.env").write_text(f"# ours\nPGDATA={machine.data}\n")
    machine.unit(unit.replace("@data", "@"), text + "[Install]\nWantedBy=multi-user.target\n")
    machine.run(f"systemctl enable {unit}")
    assert machine.starters() == [(unit, f"systemctl disable {unit}")]


@pytest.mark.parametrize(
    ("drop_in", "hazard"),
    [
        ("[Service]\nEnvironment=PGDATA=/elsewhere\n", False),
        ("[Service]\n# Environment=PGDATA=/elsewhere\n", True),
        ("[Service]\nEnvironment=PGDATA=/elsewhere\nExecStart=\nExecStart=/usr/bin/postgres -D {data}\n", True),
    ],
)
def test_a_drop_in_has_the_last_word(machine: Machine, drop_in: str, hazard: bool) -> None:
    machine.unit("pg.service", RED_HAT)
    machine.unit("pg.service.d/10-ours.conf", drop_in)
    machine.run("systemctl enable pg")
    assert bool(machine.hazards()) == hazard


def test_it_is_the_same_directory_behind_a_link(machine: Machine) -> None:
    machine.unit("pg.service", RED_HAT.replace("{data}", "/etc/data"))
    (machine.etc / "data").symlink_to(machine.data)
    machine.run("systemctl enable pg")
    assert machine.starters() == [("pg.service", "systemctl disable pg.service")]


def test_a_unit_from_elsewhere_wanted_by_its_alias_is_disabled_by_its_own_name(machine: Machine) -> None:
    (machine.etc / "pg.service").write_text(RED_HAT.format(data=machine.data) + "Alias=db.service\n")
    wants = machine.etc / "systemd/system/app.service.wants"
    machine.run("systemctl enable /etc/pg.service")
    machine.run(f"rm /etc/systemd/system/multi-user.target.wants/pg.service; mkdir {wants}")
    (wants / "db.service").symlink_to("../db.service")
    assert machine.starters() == [("db.service", "systemctl disable pg.service")]


def test_what_was_never_enabled_but_is_wanted_is_masked(machine: Machine) -> None:
    machine.unit("pg.service", RED_HAT.partition("[Install]")[0])
    machine.unit("app.target", "[Unit]\nWants=pg.service\n")
    wants = machine.etc / "systemd/system/app.target.wants"
    wants.mkdir()
    (wants / "pg.service").symlink_to("/etc/systemd/system/pg.service")
    state = machine.run("systemctl is-enabled pg.service || true").strip()
    ((unit, mend),) = machine.starters()
    assert (unit, mend.split()[1]) == ("pg.service", "disable" if state == "enabled" else "mask")
    (machine.etc / "systemd/system/pg.service").unlink()
    machine.run("systemctl mask pg.service")
    assert machine.hazards() == ()


def test_what_does_not_outlive_the_power_is_no_hazard(machine: Machine) -> None:
    machine.unit("pg.service", RED_HAT)
    machine.run("systemctl enable --runtime pg")
    assert machine.run("ls /run/systemd/system/multi-user.target.wants").split() == ["pg.service"]
    assert machine.hazards() == ()


# ---- Debian's clusters


@pytest.mark.parametrize("mode", ["auto", "auto  # the default", None])
def test_a_cluster_of_debian_starts_unless_it_is_told_not_to(machine: Machine, mode: str | None) -> None:
    machine.cluster(mode)
    ((unit, mend),) = machine.starters()
    assert (unit, mend) == ("postgresql.service", "echo manual > /etc/postgresql/15/main/start.conf")
    machine.run(mend)
    assert machine.hazards() == (), "the way out that it names is one"


@pytest.mark.parametrize("mode", ["manual", "disabled"])
def test_a_cluster_that_is_not_automatic(machine: Machine, mode: str) -> None:
    machine.cluster(mode)
    assert machine.hazards() == ()


def test_another_cluster_is_none_of_ours(machine: Machine, tmp_path: Path) -> None:
    machine.cluster("auto")
    conf = machine.etc / "postgresql/15/main/postgresql.conf"
    conf.write_text(f"data_directory = '{tmp_path}'\n")
    assert machine.hazards() == ()
    assert machine.server(config_file="/etc/postgresql/15/main/postgresql.conf").hazards(), "by the runbook it is ours"


@pytest.mark.parametrize("command", ["systemctl disable postgresql", "ln -sf /dev/null /etc/systemd/system/{unit}"])
def test_automatic_clusters_that_nothing_starts(machine: Machine, command: str) -> None:
    machine.cluster("auto")
    machine.run(command.format(unit="postgresql@15-main.service"))
    assert machine.hazards() == ()


def test_a_clusters_own_unit_starts_it_though_it_is_manual(machine: Machine) -> None:
    machine.cluster("manual")
    machine.run("systemctl enable postgresql@15-main")
    assert machine.starters() == [("postgresql@15-main.service", "systemctl disable postgresql@15-main.service")]
    machine.cluster("disabled")
    assert machine.hazards() == (), "pg_ctlcluster refuses it"


# ---- other machines


def test_without_systemd_debians_script_of_init_counts(machine: Machine) -> None:
    machine.unit("pg.service", RED_HAT)
    machine.run("systemctl enable pg; mount --bind /dev/null /usr/bin/systemctl")
    assert machine.hazards() == (), "nobody reads units there"
    machine.cluster("auto")
    for link in machine.etc.glob("rc?.d/S*postgresql"):
        link.unlink()
    assert machine.hazards() == ()
    (machine.etc / "rc3.d").mkdir(exist_ok=True)
    (machine.etc / "rc3.d/S01postgresql").symlink_to("../init.d/postgresql")
    mend = "echo manual > /etc/postgresql/15/main/start.conf"
    assert machine.starters() == [("/etc/rc3.d/S01postgresql", mend)]


def test_without_a_data_directory_there_is_nothing_to_look_at(machine: Machine) -> None:
    machine.unit("pg.service", RED_HAT)
    machine.run("systemctl enable pg")
    places = machine.sites.places(az_a={"ssh": machine.sshd.destination, "data_directory": None})
    assert machine.sites.resource("az-a", places).hazards() == ()


def test_a_directory_that_is_not_there_is_told(machine: Machine) -> None:
    with pytest.raises(Misconfigured, match="at boot cannot be told: /nowhere is not a directory"):
        machine.server(data_directory="/nowhere").hazards()


# ---- what a check makes of it


def findings(mode: PlanMode, **openers: Callable[[], Server]) -> list[CheckFinding]:
    """What an execution's checks, and `tideover status`, make of the servers at these sites."""
    plan = runbooks.planned(runbooks.demo(), mode, "right")
    read, errors = looking.check({f"db@{site}": opener for site, opener in openers.items()})
    assert errors == {}
    execution = Execution(id="e", who="ann", plan=plan.digest, mode=plan.mode, target=plan.target, since=0)
    state = start(plan, execution, GroupRecord(group=plan.group))
    for step in plan.of_kind("check"):
        here = {name: reading for name, reading in read.items() if name in step.looks_at}
        state = fold(plan, state, Checked(step=step.id, readings=here, errors={}, at=1.0))
    return [finding for finding in judge(plan, state) if "boot" in finding.text or "unsafe" in finding.text]


@pytest.mark.parametrize("mode", ["planned", "forced"])
def test_the_checks_warn_of_it_and_do_not_block(machine: Machine, mode: PlanMode) -> None:
    machine.unit("pg.service", RED_HAT)
    machine.run("systemctl enable pg")
    (found,) = findings(mode, left=machine.server, right=lambda: machine.server("az-b"))
    assert (found.level, found.component, found.site) == ("warns", "db", "left")
    assert "pg.service starts it" in found.text
    assert "systemctl disable pg.service" in found.text


def test_a_standby_is_warned_of_too(machine: Machine) -> None:
    machine.unit("pg.service", RED_HAT.replace("{data}", str(machine.sites.data("az-b"))))
    machine.run("systemctl enable pg")
    (found,) = findings("planned", left=machine.server, right=lambda: machine.server("az-b"))
    assert (found.level, found.site) == ("warns", "right")


def test_a_machine_that_cannot_be_looked_at_costs_a_warning_and_no_reading(machine: Machine) -> None:
    machine.sshd.stop()
    (found,) = findings("forced", left=machine.server)
    assert (found.level, found.site) == ("warns", "left")
    assert "could not be looked at" in found.text
    assert "no SSH connection" in found.text


# ---- when the machine came up with it nevertheless


def test_an_old_primary_that_came_up_writable_is_not_rebuilt_until_it_is_stopped_as_it_says(pair: Pair) -> None:
    pair.pristine = False
    old, new = pair.resource("az-a"), pair.resource("az-b")
    pair.at("az-a").host.kill()
    new.apply(Role(role="primary"), new.observe(), RecordedCall())
    settle(new, Role(role="primary"))
    pair.at("az-a").start()
    pair.sql("az-a", "create table written_by_a_stray_client ()")
    with pytest.raises(Conflict, match="is a running primary; stop it before it is rebuilt") as refused:
        old.apply(ReplicatesFrom(site="az-b"), old.observe(), RecordedCall())
    assert pair.sql("az-a", "select to_regclass('written_by_a_stray_client')::text") == [("written_by_a_stray_client",)]
    program, *arguments = str(refused.value).partition("(its unit, or ")[2].partition(")")[0].split()
    pair.at("az-a").run(program, *arguments)
    old.apply(ReplicatesFrom(site="az-b"), old.observe(), RecordedCall())
    settle(old, ReplicatesFrom(site="az-b"))
    assert pair.sql("az-a", "select to_regclass('written_by_a_stray_client')::text") == [(None,)]
