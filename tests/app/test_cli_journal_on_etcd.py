"""The command line with its journal on etcd: what it makes, finds and says, with TLS, users and lost members."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import time
import tomllib
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.app.cli.application import run
from orchestrator.app.cli.exits import ExitCode
from orchestrator.app.journals import EtcdPlace, open_journal, place_of
from orchestrator.app.settings import load
from orchestrator.domain.errors import JournalUnavailable, NotFoundLocally
from orchestrator.runtime import audit, etcd_gateway
from tests import etcd, etcd_binary
from tests.etcd import Cluster

PASSWORD = "correct-horse-battery"
OWN = {"key": b64encode(b"own/").decode(), "range_end": b64encode(b"own0").decode()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, without any Temporal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def url(place: Path, etcd_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place in etcd of the test's own, and the setting that names it."""
    found = f"etcd://{','.join(etcd_cluster.addresses)}/{uuid.uuid4().hex}"
    monkeypatch.setenv("TIDEOVER_JOURNAL", found)
    return found


def closed_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


def doctor(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    capsys.readouterr()
    assert run(["doctor", "--output", "json"]) is ExitCode.NOT_READY, "there is no Temporal"
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return found


def named(checks: list[dict[str, str]], name: str) -> list[tuple[str, str]]:
    return [(check["level"], check["found"]) for check in checks if check["name"] == name]


# ---- where it is


@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("etcd://a:1,b:2,c:3/x", EtcdPlace(("a:1", "b:2", "c:3"), False, "x")),
        ("etcd://10.0.0.1", EtcdPlace(("10.0.0.1:2379",), False, "tideover")),
        ("etcds://[::1]:1,[fd00::2]/team/shop/", EtcdPlace(("[::1]:1", "[fd00::2]:2379"), True, "team/shop")),
        ("journal.db", Path("journal.db")),
        ("/var/lib/tideover/journal.db", Path("/var/lib/tideover/journal.db")),
        ("with:colon.db", Path("with:colon.db")),
    ],
)
def test_the_setting_is_a_path_or_members_and_a_prefix(setting: str, meant: object) -> None:
    assert place_of(setting) == meant


@pytest.mark.parametrize(
    "setting",
    ["etcd://", "etcd:/a", "etcd://a,,b/x", "etcd://a:port/x", "http://a:2379", "etcd://a/x?y=1", "etcd://a b"],
)
def test_what_is_neither_is_told_with_an_example(place: Path, setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "--journal", setting]) is ExitCode.USAGE
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert setting in told
    assert "etcds://10.0.1.5,10.0.2.5,10.0.3.5/tideover" in told
    assert not (place / setting).exists()


def test_a_password_in_the_setting_is_refused_and_not_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "--journal", f"etcd://root:{PASSWORD}@10.0.0.1/x"]) is ExitCode.USAGE
    told = capsys.readouterr().err
    assert "TIDEOVER_JOURNAL_CREDENTIALS" in told
    assert PASSWORD not in told


# ---- what the commands do with it


def test_init_makes_it_once_and_every_command_finds_it(
    url: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init"]) is ExitCode.DONE
    assert f"made  {url}\n" in capsys.readouterr().out
    assert tomllib.loads((place / "tideover.toml").read_text())["journal"] == url
    identity = open_journal(load()).id
    assert run(["init"]) is ExitCode.DONE
    assert f"kept  {url}\n" in capsys.readouterr().out
    assert open_journal(load()).id == identity
    assert run(["plan", "runbooks/aws-two-zones.yaml", "--output", "json"]) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["journal"] == identity
    assert run(["report"]) is ExitCode.DONE
    assert "no execution has ended yet" in capsys.readouterr().err
    assert not list(place.rglob("*.db*")), "no file is made beside it"


def test_doctor_writes_to_it_asks_each_member_and_reads_the_trail(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert named(doctor(capsys), "journal")[0][0] == "fail", "it was not made yet"
    assert run(["init"]) is ExitCode.DONE
    entry = audit.NewEntry(at=1.0, what="claimed", group="shop", who="ann", plan="0", detail={})
    audit.append(open_journal(load()), entry)
    checks = doctor(capsys)
    ((level, found),) = named(checks, "journal")
    assert (level in ("ok", "warn"), "a durable write took" in found) == (True, True)
    assert named(checks, "etcd") == [("ok", "3 members, and each answers")]
    assert named(checks, "audit trail") == [("ok", "1 entries, the chain verifies")]


def test_doctor_names_the_members_that_are_gone(
    url: str, etcd_cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init"]) is ExitCode.DONE
    gone, prefix = closed_port(), url.rpartition("/")[2]
    monkeypatch.setenv("TIDEOVER_JOURNAL", f"etcd://{gone},{etcd_cluster.addresses[0]}/{prefix}")
    checks = doctor(capsys)
    assert named(checks, "journal")[0][0] in ("ok", "warn")
    ((level, found),) = named(checks, "etcd")
    assert (level, found.startswith(f"{gone} cannot be reached")) == ("warn", True)
    monkeypatch.setenv("TIDEOVER_JOURNAL", f"etcd://{etcd_cluster.addresses[0]}/{prefix}")
    assert named(doctor(capsys), "etcd") == [("warn", "1 member, and each answers")]


@pytest.mark.parametrize("command", [["report"], ["init"], ["worker"]])
def test_where_nobody_answers_it_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.setattr(etcd_gateway, "PATIENCE", 0.3)
    monkeypatch.setenv("TIDEOVER_JOURNAL", f"etcd://{closed_port()},{closed_port()}/x")
    assert run(command) is ExitCode.NOT_READY
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.count("Connection refused") == 2
    assert "More than half of its members must run" in told


# ---- TLS and users


@dataclass(frozen=True)
class Locked:
    """A member that serves with TLS alone those who show a certificate, and then knows one user."""

    url: str
    directory: Path

    def shown(self, *fields: str, **more: str) -> str:
        """A credentials file whose profile `journal` holds these, as text or as the name of a file."""
        files = [f'{name} = {{file = "{self.directory / name}.pem"}}\n' for name in fields]
        return "".join(["[journal]\n", *files, *(f'{name} = "{text}"\n' for name, text in more.items())])


def certificates(directory: Path) -> None:
    """A CA, and one certificate without a common name for 127.0.0.1, both as server and as client."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test's CA")])
    base = x509.CertificateBuilder().issuer_name(ca_name).not_valid_before(now - datetime.timedelta(hours=1))
    base = base.not_valid_after(now + datetime.timedelta(hours=1))
    ca = base.subject_name(ca_name).public_key(ca_key.public_key()).serial_number(1)
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    own = base.subject_name(x509.Name([])).public_key(key.public_key()).serial_number(2)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = own.add_extension(address, critical=True)
    for name, made in (("ca", ca), ("certificate", own)):
        pem = made.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (directory / f"{name}.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "key.pem").write_bytes(private)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    directory = tmp_path_factory.mktemp("locked")
    certificates(directory)
    address = closed_port()
    flags = (
        f"--cert-file={directory / 'certificate.pem'}", f"--key-file={directory / 'key.pem'}",
        f"--trusted-ca-file={directory / 'ca.pem'}", "--client-cert-auth", "--auth-token-ttl=1",
    )  # fmt: skip
    with etcd.cluster(etcd_binary.find(), directory, size=1, more=flags, also=f"https://{address}") as found:
        admin = f"http://{found.addresses[0]}/v3/auth"
        for path, body in (
            ("user/add", {"name": "root", "password": PASSWORD}),
            ("user/grant", {"user": "root", "role": "root"}),
            ("user/add", {"name": "tideover", "password": PASSWORD}),
            ("role/add", {"name": "journal"}),
            ("role/grant", {"name": "journal", "perm": {"permType": "READWRITE", **OWN}}),
            ("user/grant", {"user": "tideover", "role": "journal"}),
            ("enable", {}),
        ):
            urllib.request.urlopen(f"{admin}/{path}", json.dumps(body).encode(), timeout=10).close()  # noqa: S310
        yield Locked(f"etcds://{address}/own", directory)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot come to anything ends within a second."""
    monkeypatch.setattr(etcd_gateway, "PATIENCE", 1.0)


@pytest.fixture
def secrets(place: Path, locked: Locked, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of credentials; the settings name the locked member and a profile in it."""
    monkeypatch.setenv("TIDEOVER_JOURNAL", locked.url)
    monkeypatch.setenv("TIDEOVER_JOURNAL_CREDENTIALS", "journal")
    file = place / "credentials.toml"
    file.touch(mode=0o600)
    return file


TRUSTED = ("ca", "certificate", "key")


def test_with_certificates_and_a_user_it_works_beyond_the_life_of_a_token(secrets: Path, locked: Locked) -> None:
    secrets.write_text(locked.shown(*TRUSTED, user="tideover", password=PASSWORD))
    assert run(["init"]) is ExitCode.DONE
    journal = open_journal(load())
    for turn in range(3):
        version = journal.read("a").get("a", ("", 0))[1]
        assert journal.swap(("a", str(turn), version))
        time.sleep(1.6 if turn < 2 else 0)  # a token lives for a second, and dies up to one later
    assert PASSWORD not in repr(vars(journal))


@pytest.mark.parametrize(
    ("fields", "more", "said"),
    [
        (TRUSTED, {}, "TIDEOVER_JOURNAL_CREDENTIALS names the profile of a user who may"),
        (TRUSTED, {"user": "tideover", "password": "wrong-" + PASSWORD}, "does not let in user 'tideover'"),
        (("ca",), {"user": "tideover", "password": PASSWORD}, "did not answer: "),
        (("certificate", "key"), {"user": "tideover", "password": PASSWORD}, "certificate verify failed"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_who_is_not_let_in_is_told_why(
    secrets: Path,
    locked: Locked,
    capsys: pytest.CaptureFixture[str],
    fields: tuple[str, ...],
    more: dict[str, str],
    said: str,
) -> None:
    secrets.write_text(locked.shown(*fields, **more))
    assert run(["report"]) is ExitCode.NOT_READY
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert PASSWORD not in told


def test_a_prefix_that_the_user_may_not_touch_is_refused(
    secrets: Path, locked: Locked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets.write_text(locked.shown(*TRUSTED, user="tideover", password=PASSWORD))
    monkeypatch.setenv("TIDEOVER_JOURNAL", locked.url.replace("/own", "/other"))
    assert run(["init"]) is ExitCode.NOT_READY
    assert "of a user who may readwrite the prefix" in capsys.readouterr().err


def test_a_profile_that_cannot_be_used_is_named(secrets: Path, locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, said in (
        ("", "no credential profile 'journal'"),
        ("[journal]\ntoken = 'x'\n", "has token; a journal on etcd uses ca, certificate, key, password, user"),
        ("[journal]\nca = 'no certificate'\n", "certificates of credential profile 'journal' cannot be used"),
        (locked.shown("ca", "certificate"), "certificates of credential profile 'journal' cannot be used"),
    ):
        secrets.write_text(text)
        with pytest.raises(NotFoundLocally, match=said):
            open_journal(load())
    secrets.write_text(locked.shown(*TRUSTED))
    monkeypatch.setenv("TIDEOVER_JOURNAL", locked.url.replace("etcds", "etcd"))
    with pytest.raises(NotFoundLocally, match="say etcds://"):
        open_journal(load())


@pytest.mark.usefixtures("impatient")
def test_a_member_that_wants_tls_is_no_journal_without(secrets: Path, locked: Locked) -> None:
    secrets.write_text(locked.shown(user="tideover", password=PASSWORD))
    with pytest.raises(JournalUnavailable, match="did not answer"):
        open_journal(load(journal=locked.url.replace("etcds", "etcd")))
