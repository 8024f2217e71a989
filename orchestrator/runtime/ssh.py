"""Shell sessions on other hosts, by the OpenSSH client with the user's own configuration, keys and agent.

A session whose command has ended is kept for the next one: a login takes 0.28 s, a command in an open session 3 ms
(measured on 2 cores). OpenSSH's own sharing, ControlMaster, is off: after a partition it takes the next command into
its hang. A kept session has to answer first, or a new one is made.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

from orchestrator.runtime.command import Command, Completed

CONFIG_VARIABLE = "TIDEOVER_SSH_CONFIG"
"""Names a configuration file for ssh to use instead of the user's own."""

CONNECT_SECONDS = 2
IDLE_SECONDS = 300.0
"""How long a session is kept that nobody needs."""

_ANSWER_SECONDS = 0.5  # for a kept session to say that it is ready; else a new one is made
_LAST_WORDS_SECONDS = 1.0  # for what ssh writes to stderr when it ends
_CHUNK = 65536
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": str(CONNECT_SECONDS),
    "ServerAliveInterval": "2",
    "ServerAliveCountMax": "2",
    "ControlMaster": "no",
    "ControlPath": "none",
}

# run <nonce> <limit in seconds> <OS user or nothing> <stdin> <command...>: in two moves, ready and go. Ends the command
# by itself at the limit: a lost connection leaves nothing running for long.
_RUN = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
cd /
run() {
    nonce=$1 limit=$2 user=$3 input=$4
    shift 4
    set -- timeout -k 2 "$limit" "$@"
    if [ -n "$user" ] && [ "$(id -un)" != "$user" ]; then
        if [ "$(id -u)" = 0 ]; then set -- runuser -u "$user" -- "$@"; else set -- sudo -n -u "$user" -- "$@"; fi
    fi
    printf '\n%s ready\n' "$nonce"
    read -r go && [ "$go" = "$nonce" ] || exit 0
    if [ -n "$input" ]; then printf %s "$input" | "$@"; else "$@" </dev/null; fi
    printf '\n%s %s\n' "$nonce" "$?"
    printf '\n%s\n' "$nonce" >&2
}
"""


def client(destination: str, *flags: str) -> list[str]:
    """The command line of ssh for an OpenSSH destination."""
    config = os.environ.get(CONFIG_VARIABLE)
    options = [part for name, value in _OPTIONS.items() for part in ("-o", f"{name}={value}")]
    return ["ssh", *(("-F", config) if config else ()), "-T", *flags, *options, "--", destination]


class Session:
    """A shell on another host. One command at a time: `prepare`, then `go`; `end` at any time."""

    def __init__(self, argv: Sequence[str]) -> None:
        to = subprocess.PIPE
        self._process = subprocess.Popen(
            [*argv, "sh"], stdin=to, stdout=to, stderr=to, bufsize=0, start_new_session=True
        )
        self._stdout, self._stderr = bytearray(), bytearray()
        self._unsent, self._nonce = _RUN.encode(), ""
        self.over = False
        """It has ended by itself."""
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)

    def prepare(self, command: Command, within: float) -> bool:
        """True once the far side has everything but the word to start; without it, nothing will run there."""
        self._nonce = secrets.token_hex(8)
        words = ["run", self._nonce, str(command.limit), command.run_as or "", command.stdin, *command.words]
        ready = f"\n{self._nonce} ready\n".encode()
        return self._talk(f"{shlex.join(words)}\n", lambda: ready in self._stdout, within)

    def go(self, within: float) -> Completed | None:
        """What became of the command; None where its end was not heard of in that time, or ever."""
        self._stdout.clear()
        self._stderr.clear()
        coded = re.compile(rf"\n{self._nonce} (\d+)\n".encode())
        closed = f"\n{self._nonce}\n".encode()
        if not self._talk(
            f"{self._nonce}\n", lambda: closed in self._stderr and bool(coded.search(self._stdout)), within
        ):
            return None
        stdout, code, _ = coded.split(self._stdout)
        stderr, _, _ = self._stderr.partition(closed)
        return Completed(int(code), _text(stdout), _text(stderr))

    def end(self) -> Completed:
        """The session is over; what ssh said last, with its own exit code where it ended by itself."""
        if self.over:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LAST_WORDS_SECONDS)
        if self._process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        for pipe in self._pipes:
            pipe.close()
        return Completed(code, _text(self._stdout), _text(self._stderr))

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None  # noqa: S101 -- all three are asked for
        assert stdout is not None  # noqa: S101
        assert stderr is not None  # noqa: S101
        return stdin, stdout, stderr

    def _talk(self, text: str, heard: Callable[[], bool], within: float) -> bool:
        """Say `text` and listen; False where the time is over, or the session, before that was heard."""
        self._unsent += text.encode()
        deadline = time.monotonic() + within
        with selectors.DefaultSelector() as selector:
            stdin, stdout, stderr = self._pipes
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ, self._stdout)
            selector.register(stderr, selectors.EVENT_READ, self._stderr)
            while not heard():
                left = deadline - time.monotonic()
                if left <= 0 or not selector.get_map():
                    return False
                for key, _ in selector.select(left):
                    if self._moved(key):
                        continue
                    selector.unregister(key.fileobj)
                    if key.data is self._stdout:
                        self.over, deadline = True, min(deadline, time.monotonic() + _LAST_WORDS_SECONDS)
        return True

    def _moved(self, key: selectors.SelectorKey) -> bool:
        """Something was read or written, and more may be."""
        try:
            if key.data is None:
                self._unsent = self._unsent[os.write(key.fd, self._unsent[:_CHUNK]) :]
                return bool(self._unsent)
            read = os.read(key.fd, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:  # nobody is there any more to hear it
            return False
        key.data.extend(read)
        return bool(read)


class _Kept:
    """The sessions that wait for their next command, each with the timer that ends it, by ssh's command line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, ...], list[tuple[Session, threading.Timer]]] = {}

    def put(self, argv: tuple[str, ...], session: Session) -> None:
        expiry = threading.Timer(IDLE_SECONDS, self._expire, (argv, session))
        expiry.daemon = True
        with self._lock:
            self._waiting.setdefault(argv, []).append((session, expiry))
        expiry.start()

    def take(self, argv: tuple[str, ...]) -> Session | None:
        with self._lock:
            waiting = self._waiting.get(argv)
            session, expiry = waiting.pop() if waiting else (None, None)
        if expiry:
            expiry.cancel()
        return session

    def _expire(self, argv: tuple[str, ...], session: Session) -> None:
        with self._lock:
            waiting = self._waiting.get(argv, [])
            found = [entry for entry in waiting if entry[0] is session]
            for entry in found:
                waiting.remove(entry)
        if found:
            session.end()

    def clear(self, *argvs: tuple[str, ...]) -> None:
        """Those to these destinations are ended; all of them where none is given."""
        with self._lock:
            entries = [entry for argv in argvs or tuple(self._waiting) for entry in self._waiting.pop(argv, [])]
        for session, expiry in entries:
            expiry.cancel()
            session.end()


_kept = _Kept()


def ready(destination: str, command: Command, within: float) -> tuple[Session, bool]:
    """A session, kept or new, and whether it was ready to start the command in that time.

    Raises OSError where there is no ssh.
    """
    argv = tuple(client(destination))
    while session := _kept.take(argv):
        if session.prepare(command, min(within, _ANSWER_SECONDS)):
            return session, True
        if not session.over:  # it is silent, and so are the others: they would cost as much time again, each
            _kept.clear(argv)
        session.end()
    session = Session(argv)
    return session, session.prepare(command, within)


def keep(destination: str, session: Session) -> None:
    """The session may serve the next command to that destination."""
    _kept.put(tuple(client(destination)), session)


def forget() -> None:
    """No session is kept any more."""
    _kept.clear()


def _text(raw: bytes | bytearray) -> str:
    return raw.decode(errors="replace")
