"""A host that commands run on: this machine, or another by SSH.

SSH is the OpenSSH client with the user's own configuration, keys and agent. A command over SSH begins in two moves: the
far side says that it is ready, then we look at the guard and say go. So a connection that fails early has surely begun
nothing (Unreachable), and one that is lost after the go is Doubtful; the exit code 255, which ssh uses for its own
failures and a command may use as well, decides nothing. The far side ends the command by itself at its time limit:
a lost connection leaves nothing running for long.
"""

from __future__ import annotations

import math
import os
import pwd
import secrets
import shlex
import signal
import socket
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

SSH_CONFIG_VARIABLE = "TIDEOVER_SSH_CONFIG"
"""Names a configuration file for ssh to use instead of the user's own."""

_CONNECT_SECONDS = 2
_READY_SECONDS = 6.0  # connection, authentication and the remote shell; a frozen host is given up after it
_GRACE_SECONDS = 3.0  # what the far side's own limit, and the way back, may take longer than the limit itself
_SSH_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": str(_CONNECT_SECONDS),
    "ServerAliveInterval": "2",
    "ServerAliveCountMax": "2",
    # A shared connection would save 0.2 s a command (measured 0.36 s without, 0.14 s with), but it outlives a
    # partition and takes the next command into its hang; a new one fails in 2 s.
    "ControlMaster": "no",
    "ControlPath": "none",
}
_TIMED_OUT = (124, 137)  # coreutils `timeout`: the limit passed; the command had to be killed
_NOT_FOUND = 127

# $1 nonce, $2 limit in seconds, $3 OS user or nothing, then the command. On one line: the login shell may be any.
_REMOTE = (
    'nonce=$1 limit=$2 user=$3; shift 3; export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"; cd /; '
    'set -- timeout -k 2 "$limit" "$@"; '
    'if [ -n "$user" ] && [ "$(id -un)" != "$user" ]; then '
    'if [ "$(id -u)" = 0 ]; then set -- runuser -u "$user" -- "$@"; else set -- sudo -n -u "$user" -- "$@"; fi; fi; '
    'echo "$nonce ready"; read -r go || exit 0; [ "$go" = "$nonce" ] || exit 0; '
    '"$@"; printf "\\n%s %s\\n" "$nonce" "$?"'
)

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
    ("Can't open user config file", Misconfigured, f"the file that {SSH_CONFIG_VARIABLE} names cannot be read"),
)


@dataclass(frozen=True)
class Completed:
    """A command that ran to its own end."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The last line it wrote to stderr, else to stdout: the reason for a non-zero code, on one line."""
        lines = [line for text in (self.stdout, self.stderr) for line in text.splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit code {self.code}"


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

        `guard` is called when everything but the start itself is done, and nothing starts when it raises. Raises
        Unreachable, AuthenticationFailed, WrongIdentity or Misconfigured where the command surely did not begin, and
        Doubtful where it began and its end is not known.
        """
        if timeout <= 0:
            raise Unreachable(f"{self}: no time is left to start {argv[0]}")
        done = self._run_ssh if self.ssh else self._run_here
        completed = done(list(argv), timeout, stdin, guard or (lambda: None))
        self._refuse_what_never_ran(argv[0], completed)
        return completed

    def answers(self, within: float) -> bool:
        """False where a TCP connection to its SSH port does not come about in that time; no login is tried.

        A dark host is told apart in less than ssh's own limit. True where the way there cannot be tried (a jump host).
        """
        if self.ssh is None:
            return True
        asked = subprocess.run(self._client("-G"), capture_output=True, text=True, check=False, timeout=_READY_SECONDS)
        settings = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
        if "hostname" not in settings or {settings.get(k, "none") for k in ("proxyjump", "proxycommand")} != {"none"}:
            return True
        try:
            socket.create_connection((settings["hostname"], int(settings["port"])), timeout=within).close()
        except OSError:
            return False
        return True

    def _run_here(self, argv: list[str], timeout: float, stdin: str, guard: Callable[[], None]) -> Completed:
        tool, argv = argv[0], [*self._switch_user(timeout), *argv]
        guard()
        try:
            process = _popen(argv, cwd="/", env=_environment())
        except OSError as error:
            raise Misconfigured(f"{self}: cannot start {tool}: {error.strerror}; install it") from None
        with _killed_after(process, timeout) as expired:
            stdout, stderr = process.communicate(stdin)
        if expired():
            raise Doubtful(f"{self}: {tool} did not end within {timeout:.0f} s and was killed")
        return Completed(process.returncode, stdout, stderr)

    def _switch_user(self, timeout: float) -> list[str]:
        if self.run_as is None or pwd.getpwuid(os.geteuid()).pw_name == self.run_as:
            return []
        if os.geteuid() == 0:
            return ["runuser", "-u", self.run_as, "--"]
        # we may not end another user's process, so it gets its own limit
        return ["sudo", "-n", "-u", self.run_as, "--", "timeout", "-k", "2", str(math.ceil(timeout))]

    def _run_ssh(self, argv: list[str], timeout: float, stdin: str, guard: Callable[[], None]) -> Completed:
        nonce = secrets.token_hex(8)
        remote = ["sh", "-c", _REMOTE, "sh", nonce, str(math.ceil(timeout)), self.run_as or "", *argv]
        try:
            process = _popen([*self._client(), shlex.join(remote)])
        except OSError as error:
            raise Misconfigured(f"{self}: cannot start ssh: {error.strerror}; install openssh-client") from None
        with _killed_after(process, min(timeout, _READY_SECONDS)) as gave_up:
            ready = _reads_line(process, f"{nonce} ready")
        if gave_up() or not ready:
            raise self._not_begun(process, gave_up())
        try:
            guard()
        except BaseException:
            _end(process)  # without the go, the far side runs nothing
            process.communicate()
            raise
        with _killed_after(process, timeout + _GRACE_SECONDS):
            stdout, stderr = process.communicate(f"{nonce}\n{stdin}")
        output, found, code = stdout.rpartition(f"\n{nonce} ")
        if not found or not code.strip().isdigit():
            raise Doubtful(f"{self}: the connection was lost while {argv[0]} ran; whether it took effect is not known")
        if int(code) in _TIMED_OUT:
            raise Doubtful(f"{self}: {argv[0]} did not end within {timeout:.0f} s and was killed")
        return Completed(int(code), output, stderr)

    def _client(self, *flags: str) -> list[str]:
        config = os.environ.get(SSH_CONFIG_VARIABLE)
        options = [part for name, value in _SSH_OPTIONS.items() for part in ("-o", f"{name}={value}")]
        return ["ssh", *(("-F", config) if config else ()), "-T", *flags, *options, "--", str(self.ssh)]

    def _not_begun(self, process: subprocess.Popen[str], gave_up: bool) -> ProviderError:
        """The error for a command of which nothing began; ends what is left of the client."""
        _end(process)
        stdout, stderr = process.communicate()
        for text, error, advice in _BEFORE_START:
            if text in stderr:
                return error(f"{self}: {advice}")
        last = Completed(process.returncode, stdout, stderr).complaint
        if gave_up:
            return Unreachable(f"{self}: no SSH session came about within {_READY_SECONDS:.0f} s")
        if process.returncode != 255:  # the login shell ended by itself: not ssh's own failure
            return Misconfigured(f"{self}: the login shell runs no commands: {last}")
        return Unreachable(f"{self}: no SSH connection: {last}")

    def _refuse_what_never_ran(self, tool: str, completed: Completed) -> None:
        if completed.code == _NOT_FOUND:
            raise Misconfigured(f"{self}: {tool} was not found there ({completed.complaint}); install it")
        switcher = next((s for s in ("runuser", "sudo") if completed.stderr.startswith(f"{s}:")), None)
        if completed.code == 1 and switcher and self.run_as:
            raise Misconfigured(f"{self}: cannot run as {self.run_as}: {completed.complaint}")


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}


def _popen(argv: list[str], cwd: str | None = None, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
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


def _reads_line(process: subprocess.Popen[str], wanted: str) -> bool:
    """True once the process has written that line; what a login shell prints before it is skipped."""
    return process.stdout is not None and any(line.rstrip("\r\n") == wanted for line in process.stdout)
