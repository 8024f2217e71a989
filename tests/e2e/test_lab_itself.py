"""The lab is what it claims to be: its parts are real, its faults take, its judge sees, and nothing of it remains."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
import psycopg
import pytest

from orchestrator.app import runbook_text
from orchestrator.app.registry import catalog
from orchestrator.app.settings import Settings
from orchestrator.domain.derivation import derive
from orchestrator.domain.world import Holder, Power, Records, ReplicatesFrom, Role
from orchestrator.runtime.adapters import Adapters
from orchestrator.runtime.credentials import ProfileCredentials
from tests.e2e.lab import access, description, names
from tests.e2e.lab.committing import Committing
from tests.e2e.lab.faults import Faults
from tests.e2e.lab.network import MOST_LABS, LabBroken, Numbering, namespaces_of, processes_in
from tests.e2e.lab.observer import Observer, writer
from tests.e2e.lab.probing import within
from tests.e2e.lab.world import Lab

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]

OWN_NUMBERS = (MOST_LABS, MOST_LABS + 1, MOST_LABS + 2)
"""Numbers that no other lab takes when they are free again: what is found of one then, it has left itself."""


def traces(numbering: Numbering) -> list[str]:
    """Everything by which a lab of this number can be seen from outside."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    found = namespaces_of(numbering) + re.findall(rf"\b{numbering.root_lan}m?(?=[@:])", links)
    found += [str(numbering.directory)] if numbering.directory.exists() else []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{numbering.directory}/" in line or f"{numbering.namespace('')}" in line:
            found.append(f"{entry.parent.name} {line}")
    return found


# ---- it stands, and goes


def test_everything_is_there_and_the_worker_reaches_it(
    lab: Lab, record_property: Callable[[str, object], None]
) -> None:
    record_property("lab_start_seconds", round(lab.start_seconds, 2))
    assert all(lab.pings(None, machine) for machine in ("pg-a", "pg-b", "ns1", "ns2", "client", "app-a", "app-b"))
    assert all(lab.pings("client", target) for target in ("pg-a", "pg-b", lab.floating))
    assert not lab.pings("client", lab.bmcs["pg-a"].address), "the BMC network is not the clients'"
    assert {name: server.writable for name, server in lab.databases.items()} == {"pg-a": True, "pg-b": False}
    assert lab.holder_of_floating() == ["pg-a"]
    assert {controller.power() for controller in lab.bmcs.values()} == {"on"}
    assert {names.lookup(server) for server in lab.name_servers} == {((lab.address("pg-a"),), names.TTL)}
    settings = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name = ANY(%s)"
    wanted = ["wal_log_hints", "wal_retrieve_retry_interval", "data_checksums", "fsync"]
    assert lab.databases["pg-b"].ask(settings, [wanted]) == (
        "data_checksums=off fsync=on wal_log_hints=on wal_retrieve_retry_interval=100"
    )


def test_nothing_remains(lab_template: Path, record_property: Callable[[str, object], None]) -> None:
    with Lab(lab_template, OWN_NUMBERS[0]) as lab:
        observer, client = Observer(lab), writer(lab)
        assert len(traces(lab.numbering)) > 10, "the search for traces finds a running lab"
    record_property("lab_stop_seconds", round(lab.stop_seconds, 2))
    assert traces(lab.numbering) == []
    assert all(process.process.poll() is not None for process in (observer.committing, client))


def test_nothing_remains_of_a_lab_that_failed_to_start(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "no-template", OWN_NUMBERS[1])
    with pytest.raises(LabBroken, match="no-template"):
        lab.__enter__()
    assert traces(lab.numbering) == []


def test_two_labs_at_once_do_not_meet(lab: Lab, lab_template: Path) -> None:
    with Lab(lab_template) as other:
        assert other.numbering != lab.numbering
        other.machines["pg-a"].power_off()
        assert lab.databases["pg-a"].writable
        assert lab.pings("client", lab.floating)
        assert not other.pings("client", other.floating)


def test_what_a_killed_run_left_is_swept_by_the_next(lab_template: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.e2e.lab.world import Lab; "
        "from tests.e2e.lab.observer import Observer; "
        f"lab = Lab(Path(sys.argv[1]), {OWN_NUMBERS[2]}).__enter__(); Observer(lab); print(flush=True); "
        "time.sleep(60)"
    )
    argv = [sys.executable, "-c", program, str(lab_template)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        killed.kill()
    numbering = Numbering(OWN_NUMBERS[2])
    assert processes_in(namespaces_of(numbering)), "something was left behind"
    Lab(lab_template, numbering.number).__enter__().close()
    assert traces(numbering) == []


# ---- machines and power


def test_a_machine_is_reached_by_plain_ssh_and_sees_itself_alone(lab: Lab) -> None:
    config = access.client_configuration(lab.directory)
    argv = [
        "ssh",
        "-F",
        str(config),
        f"root@{lab.address('pg-b')}",
        "hostname; pgrep -c postgres; ls -A /root /run/netns",
    ]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    name, servers, *rest = ended.stdout.split("\n")
    assert name == "pg-b"
    assert int(servers) == len(lab.databases["pg-b"].processes()), "only its own server"
    assert not any(lab.numbering.namespace("") in line for line in rest)


def test_the_fence_cuts_and_the_machine_stays_off(lab: Lab) -> None:
    lab.bmcs["pg-a"].fence("off")
    assert lab.bmcs["pg-a"].power() == "off"
    assert lab.machines["pg-a"].processes() == []
    assert lab.holder_of_floating() == []
    assert not lab.pings(None, "pg-a")
    time.sleep(0.5)
    assert lab.machines["pg-a"].init is None, "nothing starts it again"


def test_what_a_machine_shares_in_memory_ends_with_it(lab: Lab) -> None:
    """A kernel has 4096 segments: a lab that left one behind with each power cut would end every PostgreSQL's start."""
    machine = lab.machines["pg-a"]
    key, _ = (machine.directory / "postgresql/main/postmaster.pid").read_text().splitlines()[6].split()
    segments = "/proc/sysvipc/shm"
    assert key in _first_words(machine.run("cat", segments)), "the machine has the segment that its server noted"
    dynamic = machine.run("ls", "/dev/shm").split()  # noqa: S108
    assert dynamic, "and its dynamic ones"
    # the machine underneath has none of them
    assert key not in _first_words(Path(segments).read_text())
    assert not [name for name in dynamic if Path("/dev/shm", name).exists()]  # noqa: S108


def _first_words(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()]


def test_a_machine_that_boots_runs_no_database_unless_it_was_set_up_so(lab: Lab) -> None:
    for at_boot in (False, True):
        lab.databases["pg-a"].start_at_boot(at_boot)
        lab.bmcs["pg-a"].fence("off")
        lab.bmcs["pg-a"].fence("on")
        lab.machines["pg-a"].wait_until_up()
        if at_boot:
            within(60, lambda: lab.databases["pg-a"].processes() != [], "PostgreSQL starts at boot")
            within(60, lambda: _writable(lab, "pg-a"), "the old primary is back and writable: the danger of I9")
        else:
            time.sleep(0.5)
            assert lab.databases["pg-a"].processes() == []
        assert lab.holder_of_floating() == [], "an address that was set at run time is forgotten"


def _writable(lab: Lab, host: str) -> bool:
    try:
        return lab.databases[host].writable
    except psycopg.OperationalError:
        return False


# ---- addresses and names


def test_a_gratuitous_arp_moves_clients_and_its_absence_leaves_them_stuck(lab: Lab, faults: Faults) -> None:
    assert lab.pings("client", lab.floating)
    faults.kill_host("pg-a")
    lab.take_floating("pg-b", announce=False)
    for _ in range(2):
        assert not lab.pings("client", lab.floating), "the client's neighbour table still points to the dead machine"
    lab.take_floating("pg-b", announce=True)
    assert lab.pings("client", lab.floating), "the client finds the new holder at once"
    assert lab.holder_of_floating() == ["pg-b"]


def test_a_signed_update_reaches_the_secondary_and_an_unsigned_one_is_refused(lab: Lab) -> None:
    primary, secondary = lab.name_servers
    key = dns.tsigkeyring.from_text({names.UPDATE_KEY: ("hmac-sha256", names.UPDATE_SECRET)})
    for keyring, expected in ((None, "NOTAUTH"), (key, "NOERROR")):
        resolver = names.Resolver([primary], lab.namespace("client"))
        assert resolver.address() == lab.address("pg-a")
        update = dns.update.UpdateMessage(names.ZONE, keyring=keyring)
        update.replace("db", names.TTL, "A", lab.address("pg-b"))
        answer = dns.query.tcp(update, primary, timeout=2)
        assert dns.rcode.to_text(answer.rcode()) == expected
    assert resolver.address() == lab.address("pg-a"), "the client keeps its answer for the TTL"
    names.wait_for(secondary, [lab.address("pg-b")])
    within(names.TTL + 10, lambda: resolver.address() == lab.address("pg-b"), "the client's answer expires")


# ---- the judge


def test_a_failover_by_the_book_is_judged_clean(lab: Lab) -> None:
    observer, client, by_name = Observer(lab), writer(lab), writer(lab, "by-name", by="name")
    within(60, lambda: len(client.acked("writer")) > 20, "the client is served")
    lab.bmcs["pg-a"].fence("off")
    lab.take_floating("pg-b")
    assert lab.databases["pg-b"].ask("SELECT pg_promote()")
    client.wait_for_ack("writer")  # the client is served again
    report = observer.report(client, by_name)
    assert report.overlaps == ()
    assert [(term.site, term.timeline) for term in report.terms] == [("dc", 1), ("cloud", 2)]
    assert len({term.system for term in report.terms}) == 1
    assert report.views["probe-cloud"].read_only > 0, "the standby refused while it was one"
    assert report.views["writer"].acked > 20
    assert report.outage_seconds > 0
    assert report.views["writer"].outage_seconds > 0
    assert all(report.views[source].failed > 0 for source in ("probe-dc", "probe-cloud")), "each went on"


def test_a_promotion_without_a_fence_is_judged_a_split_brain(lab: Lab, faults: Faults) -> None:
    observer, inside = Observer(lab), writer(lab, "inside", at="app-a", by=lab.address("pg-a"))
    time.sleep(0.3)
    with faults.partition("dc"):
        lab.databases["pg-b"].ask("SELECT pg_promote()")
        within(60, lambda: len(observer.accepted_by("pg-b")) > 5, "pg-b accepts")
        # The client that is locked in with the old primary is still acknowledged, and so is the probe.
        _goes_on(inside, "inside")
        _goes_on(observer.committing, "probe-dc")
    report = observer.report(inside, primary="pg-b")
    assert report.overlaps
    assert {term.server for term in (report.overlaps[0].first, report.overlaps[0].second)} == {"pg-a", "pg-b"}
    assert report.views["inside"].lost > 5
    assert report.views["probe-dc"].lost > 5


def _goes_on(process: Committing, source: str) -> None:
    """More than five commits of this source are acknowledged from now on."""
    before = len(process.acked(source))
    within(60, lambda: len(process.acked(source)) > before + 5, f"{source} is acknowledged")


def test_commits_that_never_reached_the_standby_are_counted(lab: Lab, faults: Faults) -> None:
    observer, client = Observer(lab), writer(lab)
    time.sleep(0.3)
    faults.lag("pg-b")
    _goes_on(client, "writer")
    faults.kill_host("pg-a")
    lab.databases["pg-b"].ask("SELECT pg_promote()")
    report = observer.report(client)
    assert report.overlaps == ()
    assert report.views["writer"].lost > 5
    assert len(report.lost) == sum(view.lost for view in report.views.values())


def test_a_dead_witness_is_no_witness(lab: Lab) -> None:
    observer = Observer(lab)
    observer.committing.process.kill()
    observer.committing.process.wait()
    with pytest.raises(LabBroken, match="ended by itself"):
        observer.report()


# ---- what the program under test is told


def test_the_program_reads_the_labs_runbook_and_observes_all_of_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = description.write(lab)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    (book,) = settings.runbooks[0].iterdir()
    assert "canary" not in book.read_text()
    assert settings.credentials.stat().st_mode & 0o077 == 0
    plan = derive(runbook_text.read(book, catalog()).valid(), catalog(), "cloud", "forced", "a journal")
    adapters = Adapters(catalog(), ProfileCredentials(settings.credentials))
    seen = {name: adapters.open(spec).observe() for name, spec in plan.resources.items()}
    states = {(spec.type, spec.site): seen[name].states for name, spec in plan.resources.items()}
    assert Role(role="primary") in states["postgresql.server", "dc"]
    assert Role(role="standby") in states["postgresql.server", "cloud"]
    assert ReplicatesFrom(site="dc") in states["postgresql.server", "cloud"]
    assert states["fence_agents.machine", "dc"] == (Power(power="on"),)
    assert states["linux.floating_ip", None] == (Holder(site="dc"),)
    assert states["rfc2136.record", None] == (Records(records={"A": (lab.address("pg-a"),)}, ttl=names.TTL),)


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_without_its_means_the_lab_says_so_by_name(ci: str, outcome: str) -> None:
    name = "test_nothing_remains"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::{name}"]
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    ended = subprocess.run(
        [*powerless, *argv], cwd=ROOT, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False
    )
    assert outcome in ended.stdout
    assert f"{name} cannot run: the lab lacks" in ended.stdout
    assert "apt-get install" in ended.stdout
