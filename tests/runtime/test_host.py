"""A host keeps apart: never begun, ended by itself, and lost in between. Over a real sshd."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.domain.errors import (
    AuthenticationFailed,
    Doubtful,
    GuardRefused,
    Misconfigured,
    Unreachable,
    WrongIdentity,
)
from orchestrator.runtime import ssh
from orchestrator.runtime.command import Completed
from orchestrator.runtime.host import Host
from tests.etcd import within
from tests.ssh import Sshd


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["here", "ssh"])
def host(request: pytest.FixtureRequest, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv(ssh.CONFIG_VARIABLE, str(sshd.config))
    return Host() if request.param == "here" else Host(sshd.destination)


@pytest.fixture
def remote(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv(ssh.CONFIG_VARIABLE, str(sshd.config))
    return Host(sshd.destination)


def test_words_arrive_as_they_are(host: Host) -> None:
    words = ["a b", "$HOME", "'", '"', "`id`", "*", ";", "ü", "", "-n", "two\nlines"]
    done = host.run(["printf", "[%s]", *words], timeout=5)
    assert done.stdout == "".join(f"[{word}]" for word in words)
    assert (done.code, done.stderr) == (0, "")


def test_stdin_arrives_whole(host: Host) -> None:
    text = "one\ntwo without an end" + "x" * 300_000
    assert host.run(["cat"], timeout=10, stdin=text).stdout == text


@pytest.mark.parametrize("code", [1, 2, 255])
def test_an_exit_code_is_the_commands_own(host: Host, code: int) -> None:
    done = host.run(["sh", "-c", f"echo out; echo why >&2; exit {code}"], timeout=5)
    assert (done.code, done.stdout, done.complaint) == (code, "out\n", "why")


def test_a_missing_tool_is_named(host: Host) -> None:
    with pytest.raises(Misconfigured, match="no-such-tool"):
        host.run(["no-such-tool"], timeout=5)


def test_another_user(host: Host) -> None:
    other = Host(host.ssh, run_as="nobody")
    assert other.run(["id", "-un"], timeout=5).stdout == "nobody\n"
    assert Host(host.ssh, run_as="root").run(["id", "-un"], timeout=5).stdout == "root\n"


def test_an_unknown_user_is_told(host: Host) -> None:
    with pytest.raises(Misconfigured, match="no-such-user"):
        Host(host.ssh, run_as="no-such-user").run(["true"], timeout=5)


@pytest.mark.parametrize(("said", "ran"), [
    ("sudo: a password is required", False),
    ("sudo: unable to resolve host pg-a: Temporary failure in name resolution", True),
    ("sudo: unable to resolve host pg-a: Temporary failure in name resolution\npg_ctl: no such luck", True),
    ("sudo: setrlimit(RLIMIT_CORE): Operation not permitted", True),
    ("runuser: user pg does not exist or the user entry does not contain all the required fields", False),
])  # fmt: skip
def test_a_warning_of_the_one_who_switches_users_does_not_tell_that_nothing_ran(said: str, ran: bool) -> None:
    done = Completed(1, "", said + "\n")
    host = Host(None, run_as="pg")
    if ran:
        host._refuse_what_never_ran("pg_ctl", done)
    else:
        with pytest.raises(Misconfigured, match="cannot run as pg"):
            host._refuse_what_never_ran("pg_ctl", done)


def test_past_the_limit_it_is_doubtful_and_the_command_is_gone(host: Host, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    host.run(["true"], timeout=60)  # the login has a limit of its own
    began = time.monotonic()
    with pytest.raises(Doubtful, match="1 s"):
        host.run(["sh", "-c", f"echo $$ > {pid}; sleep 60; true"], timeout=1)
    assert time.monotonic() - began < 5
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_the_command_of_a_worker_that_was_killed_ends_at_its_limit(tmp_path: Path) -> None:
    ours = "import sys; from orchestrator.runtime.host import Host; Host().run(sys.argv[1:], timeout=1)"
    worker = subprocess.Popen([sys.executable, "-c", ours, "sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 30; true"])
    pid = tmp_path / "pid"
    within(10.0, lambda: pid.exists() and pid.read_text().endswith("\n"), "the command has begun")
    command = Path(f"/proc/{pid.read_text().strip()}")
    worker.kill()
    worker.wait()
    assert command.exists(), "control: it outlives its worker"
    within(5.0, lambda: not command.exists(), "the command has ended at its limit")


def test_our_own_environment_stays_with_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is started so would show it to everybody who may read its environment, for as long as it runs."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    assert "hush" not in Host().run(["env"], timeout=5).stdout


def test_a_refusing_guard_starts_nothing(host: Host, tmp_path: Path) -> None:
    def refuse() -> None:
        raise GuardRefused("superseded")

    with pytest.raises(GuardRefused):
        host.run(["touch", str(tmp_path / "began")], timeout=5, guard=refuse)
    time.sleep(0.3)
    assert not (tmp_path / "began").exists()
    host.run(["touch", str(tmp_path / "began")], timeout=5, guard=lambda: None)
    assert (tmp_path / "began").exists()


def test_nothing_is_started_without_time_left(host: Host) -> None:
    with pytest.raises(Unreachable, match="no time"):
        host.run(["true"], timeout=0)


def test_nobody_listens(remote: Host) -> None:
    with pytest.raises(Unreachable, match=r"root@127\.0\.0\.1:1: no SSH connection: .*refused"):
        Host("ssh://root@127.0.0.1:1").run(["true"], timeout=5)


def test_a_name_that_does_not_resolve(remote: Host) -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.invalid"):
        Host("root@nowhere.invalid").run(["true"], timeout=5)


def test_a_wrong_user_or_key(remote: Host) -> None:
    assert remote.ssh
    with pytest.raises(AuthenticationFailed, match="games@"):
        Host(remote.ssh.replace("root@", "games@")).run(["true"], timeout=5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_command_that_a_signal_has_ended_may_have_asked_for_its_effect(remote: Host, number: signal.Signals) -> None:
    for host in (remote, Host()):
        with pytest.raises(Doubtful, match="sh was ended by a signal; whether it took effect is not known"):
            host.run(["sh", "-c", f"kill -{number.value} $$"], timeout=5)
        assert host.run(["sh", "-c", "exit 12"], timeout=5).code == 12


def test_another_host_key_is_another_machine(remote: Host, sshd: Sshd) -> None:
    sshd.trust((sshd.folder / "client.pub").read_text())
    try:
        with pytest.raises(WrongIdentity, match="not the one in known_hosts"):
            remote.run(["true"], timeout=5)
        sshd.trust("")
        with pytest.raises(Misconfigured, match="not known here"):
            remote.run(["true"], timeout=5)
    finally:
        sshd.trust((sshd.folder / "host.pub").read_text())


def test_a_frozen_sshd_is_given_up_and_surely_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Sshd(tmp_path / "own")
    own.start()
    monkeypatch.setenv(ssh.CONFIG_VARIABLE, str(own.config))
    assert own.process
    try:
        assert Host(own.destination).run(["true"], timeout=5).code == 0
        ssh.forget()
        os.kill(own.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(Unreachable):
            Host(own.destination).run(["true"], timeout=30)
        assert time.monotonic() - began < 7
        with pytest.raises(Unreachable, match="within 1 s"):
            Host(own.destination).run(["true"], timeout=1)
    finally:
        own.stop()


def logins(sshd: Sshd) -> int:
    return sshd.log.read_text().count("Accepted publickey")


def far_ends(sshd: Sshd) -> list[int]:
    assert sshd.process
    found = subprocess.run(["pgrep", "-P", str(sshd.process.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def test_the_next_command_needs_no_login_and_one_beside_it_does(remote: Host, sshd: Sshd) -> None:
    before = logins(sshd)
    for n in range(3):
        assert remote.run(["sh", "-c", f"echo {n} >&2; exit {n}"], timeout=5).complaint == str(n)
    other = Host(remote.ssh, run_as="nobody")
    assert other.run(["id", "-un"], timeout=5).stdout == "nobody\n"
    assert logins(sshd) == before + 1
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(remote.run, ["sh", "-c", f"sleep 0.5; echo {n}"], timeout=5) for n in range(2)]
        assert [done.result().stdout for done in both] == ["0\n", "1\n"]
    assert logins(sshd) == before + 2


def test_a_kept_session_that_was_lost_is_replaced(remote: Host, sshd: Sshd) -> None:
    remote.run(["true"], timeout=5)
    for pid in far_ends(sshd):
        os.kill(pid, signal.SIGKILL)
    assert remote.run(["echo", "again"], timeout=5).stdout == "again\n"


def test_a_kept_session_that_hangs_is_replaced_and_runs_nothing_when_it_goes_on(
    remote: Host, sshd: Sshd, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(remote.run, ["sleep", "1"], timeout=5) for _ in range(4)]:
            done.result()
    frozen = far_ends(sshd)
    assert len(frozen) >= 4, "each of them would cost half a second"
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        remote.run(["sh", "-c", f"echo once >> {tmp_path / 'ran'}"], timeout=5)
        assert time.monotonic() - began < 1.9
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    time.sleep(0.5)
    assert (tmp_path / "ran").read_text() == "once\n"


def test_a_session_that_nobody_needs_is_closed(remote: Host, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "IDLE_SECONDS", 0.2)
    remote.run(["true"], timeout=5)
    assert far_ends(sshd), "positive control: it is kept"
    deadline = time.monotonic() + 10
    while subprocess.run(["pgrep", "-P", str(sshd.process.pid if sshd.process else 0)], check=False).returncode == 0:
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.05)


def test_what_a_command_leaves_running_does_not_disturb_the_next(remote: Host) -> None:
    chatter = "while :; do echo noise; echo noise >&2; sleep 0.01; done & echo $!"
    said = remote.run(["sh", "-c", chatter], timeout=5).stdout.split()
    child = next(int(word) for word in said if word.isdigit())
    try:
        for _ in range(5):
            assert remote.run(["sh", "-c", "echo out; exit 3"], timeout=5).code == 3
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_connection_lost_while_the_command_runs_is_doubtful(remote: Host, sshd: Sshd, tmp_path: Path) -> None:
    began = tmp_path / "began"

    def cut() -> None:
        while not began.exists():
            time.sleep(0.01)
        for pid in far_ends(sshd):
            os.kill(pid, signal.SIGKILL)

    cutter = threading.Thread(target=cut)
    cutter.start()
    with pytest.raises(Doubtful, match=r"connection was lost while sh ran"):
        remote.run(["sh", "-c", f"touch {began}; exec sleep 3"], timeout=10)
    cutter.join()
