"""A host that commands run on: this machine, or another by SSH.

A command over SSH begins in two moves: the far side says that it is ready, then we look at the guard and say go. So a
connection that fails early has surely begun nothing (Unreachable), and one that is lost after the go is Doubtful; the
exit code 255, which ssh uses for its own failures and a command may use as well, decides nothing.
"""

from __future__ import annotations

import math
import os
import pwd
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Timer

from orchestrator.domain.errors import (
    AuthenticationFailed,
    Doubtful,
    Misconfigured,
    ProviderError,
    Unreachable,
    WrongIdentity,
)
from orchestrator.runtime import child, ssh
from orchestrator.runtime.command import Command, Completed
from orchestrator.runtime.lookup import knock, look_up
from orchestrator.runtime.ssh import Session

_READY_SECONDS = 6.0  # connection, authentication and the remote shell; a frozen host is given up after it
_GRACE_SECONDS = 3.0  # what the far side's own limit, and the way back, may take longer than the limit itself
_TIMED_OUT = (124, 137)  # coreutils `timeout`: the limit passed; the command had to be killed
_NOT_FOUND = 127
_SIGNALLED = range(129, 193)  # as a shell tells it; one that we have started ourselves has its number below zero

_REFUSED_TO_SWITCH = re.compile(
    r"sudo: (.*(password is required|terminal is required|no tty present|command not found|not allowed|not permitted to"
    r"|unknown user|unknown uid|must be setuid|must be owned by|effective uid|passwd database|account validation"
    r"|no valid sudoers|parse error))|runuser: (user .* does not exist|may not be used|failed to execute|cannot )"
)
"""The last words of those who refused to run anything. They warn as well, and then it has run: sudo, of a host that no
name server knows."""

# What ssh says before a command has begun -> our error and what to do. The first that fits; else Unreachable.
_BEFORE_START: tuple[tuple[str, type[ProviderError], str], ...] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        WrongIdentity,
        "the host key is not the one in known_hosts: another machine, or reinstalled; compare, then ssh-keygen -R",
    ),
    (
        "Host key verification failed",
        Misconfigured,
        "the host key is not known here: connect once by hand with ssh, or add it to known_hosts",
    ),
    ("Permission denied", AuthenticationFailed, "SSH did not accept this user or key: check with ssh -v"),
    ("Too many authentication failures", AuthenticationFailed, "SSH refused after too many keys: set IdentitiesOnly"),
    ("Bad configuration option", Misconfigured, "the SSH configuration is broken"),
    ("Bad owner or permissions", Misconfigured, "the SSH configuration has wrong permissions"),
    ("Can't open user config file", Misconfigured, f"the file that {ssh.CONFIG_VARIABLE} names cannot be read"),
)


@dataclass(frozen=True)
class Host:
    """Where commands run. `ssh` is an OpenSSH destination; None is this machine. `run_as` is the OS user there."""

    ssh: str | None = None
    run_as: str | None = None

    def __str__(self) -> str:
        return self.ssh or "this machine"

    def run(
        self, argv: Sequence[str], *, timeout: float, stdin: str = "", guard: Callable[[], None] | None = None
    ) -> Completed:
        """The command has ended by itself; whatever its exit code, it is in the result.

        One that a signal has ended, as the end of a service ends all that it has begun, may have asked for its effect.

        `guard` is called when everything but the start itself is done, and nothing starts when it raises. Raises
        Unreachable, AuthenticationFailed, WrongIdentity or Misconfigured where the command surely did not begin, and
        Doubtful where it began and its end is not known.
        """
        if timeout <= 0:
            raise Unreachable(f"{self}: no time is left to start {argv[0]}")
        done = self._run_ssh if self.ssh else self._run_here
        completed = done(list(argv), timeout, stdin, guard or (lambda: None))
        self._refuse_what_never_ran(argv[0], completed)
        if completed.code < 0 or completed.code in _SIGNALLED:
            raise Doubtful(f"{self}: {argv[0]} was ended by a signal; whether it took effect is not known")
        return completed

    def answers(self, within: float) -> bool:
        """False where a TCP connection to its SSH port does not come about in that time; no login is tried.

        A dark host is told apart in less than ssh's own limit. True where the way there cannot be tried (a jump host).
        """
        if self.ssh is None:
            return True
        asked = subprocess.run(
            ssh.client(self.ssh, "-G"), capture_output=True, text=True, check=False, timeout=_READY_SECONDS
        )
        settings = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
        if "hostname" not in settings or {settings.get(k, "none") for k in ("proxyjump", "proxycommand")} != {"none"}:
            return True
        try:
            knock(look_up(settings["hostname"], within), int(settings["port"]), within)
        except (OSError, ValueError):
            return False
        return True

    def _run_here(self, argv: list[str], timeout: float, stdin: str, guard: Callable[[], None]) -> Completed:
        # its own limit stands when we are lost, or frozen, and where we may not end another user's process
        tool, argv = argv[0], [*self._switch_user(), "timeout", "-k", "2", str(math.ceil(timeout)), *argv]
        guard()
        try:
            process = _popen(argv, cwd="/", env=child.bare_environment(LC_ALL="C"))
        except OSError as error:
            raise Misconfigured(f"{self}: cannot start {tool}: {error.strerror}; install it") from None
        with _killed_after(process, math.ceil(timeout) + _GRACE_SECONDS) as expired:
            stdout, stderr = process.communicate(stdin)
        if expired() or process.returncode in _TIMED_OUT:
            raise Doubtful(f"{self}: {tool} did not end within {timeout:.0f} s and was killed")
        return Completed(process.returncode, stdout, stderr)

    def _switch_user(self) -> list[str]:
        if self.run_as is None or pwd.getpwuid(os.geteuid()).pw_name == self.run_as:
            return []
        if os.geteuid() == 0:
            return ["runuser", "-u", self.run_as, "--"]
        return ["sudo", "-n", "-u", self.run_as, "--"]

    def _run_ssh(self, argv: list[str], timeout: float, stdin: str, guard: Callable[[], None]) -> Completed:
        assert self.ssh  # noqa: S101
        command, within = Command(argv, math.ceil(timeout), self.run_as, stdin), min(timeout, _READY_SECONDS)
        try:
            session, ready = ssh.ready(self.ssh, command, within)
        except OSError as error:
            raise Misconfigured(f"{self}: cannot start ssh: {error.strerror}; install openssh-client") from None
        if not ready:
            raise self._not_begun(session, within)
        try:
            guard()
        except BaseException:
            session.end()  # without the go, the far side runs nothing
            raise
        completed = session.go(timeout + _GRACE_SECONDS)
        if completed is None:
            session.end()
            raise Doubtful(f"{self}: the connection was lost while {argv[0]} ran; whether it took effect is not known")
        ssh.keep(self.ssh, session)
        if completed.code in _TIMED_OUT:
            raise Doubtful(f"{self}: {argv[0]} did not end within {timeout:.0f} s and was killed")
        return completed

    def _not_begun(self, session: Session, within: float) -> ProviderError:
        """The error for a command of which nothing began; ends the session."""
        over, last = session.over, session.end()
        for text, error, advice in _BEFORE_START:
            if text in last.stderr:
                return error(f"{self}: {advice}")
        if not over:
            return Unreachable(f"{self}: no SSH session came about within {within:.3g} s")
        if last.code != 255:  # the login shell ended by itself: not ssh's own failure
            return Misconfigured(f"{self}: the login shell runs no commands: {last.complaint}")
        return Unreachable(f"{self}: no SSH connection: {last.complaint}")

    def _refuse_what_never_ran(self, tool: str, completed: Completed) -> None:
        if completed.code == _NOT_FOUND:
            raise Misconfigured(f"{self}: {tool} was not found there ({completed.complaint}); install it")
        if completed.code == 1 and self.run_as and _REFUSED_TO_SWITCH.match(completed.complaint):
            raise Misconfigured(f"{self}: cannot run as {self.run_as}: {completed.complaint}")


def _popen(argv: list[str], cwd: str, env: dict[str, str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        argv,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        errors="replace",
        cwd=cwd,
        env=env,
        start_new_session=True,
    )


@contextmanager
def _killed_after(process: subprocess.Popen[str], seconds: float) -> Iterator[Callable[[], bool]]:
    """Within the block the process and its children live for `seconds` at most; yields whether they were killed."""
    fired = False

    def fire() -> None:
        nonlocal fired
        fired = True
        _end(process)

    timer = Timer(seconds, fire)
    timer.daemon = True
    timer.start()
    try:
        yield lambda: fired
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
