"""The files of a server on its own machine: what they say while it is down, and stop, start and rebuild."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from orchestrator.domain.errors import Conflict, Doubtful, Misconfigured, ProviderError, Rejected, WrongIdentity
from orchestrator.ports import Call
from orchestrator.runtime.command import Completed
from orchestrator.runtime.host import Host
from providers.postgresql.spec import PostgresqlPlace

_LOOK_SECONDS = 5.0
_SCRIPT = files("providers.postgresql").joinpath("on_host.sh").read_text()
_AT_BOOT = files("providers.postgresql").joinpath("at_boot.sh").read_text()
_REFUSALS: dict[int, type[ProviderError]] = {20: WrongIdentity, 21: Conflict, 22: Misconfigured}
_HALF_DONE = 23
_UNFINISHED = ("did not start in time", "does not shut down")  # pg_ctl's words when its wait is over


@dataclass(frozen=True)
class Found:
    """What the files say: pg_controldata, and whether a server runs on them."""

    running: bool
    latched: bool
    broken: bool
    control: dict[str, str]

    @property
    def state(self) -> str:
        """As PostgreSQL wrote it last: "shut down", "shut down in recovery"; "in production" after a crash."""
        return self.control["Database cluster state"]

    @property
    def was_shut_down(self) -> bool:
        """True where it was stopped cleanly and nothing has run since."""
        return not self.running and not self.broken and self.state in ("shut down", "shut down in recovery")

    @property
    def was_standby(self) -> bool:
        """True where it was in recovery when it ended."""
        return self.state in ("shut down in recovery", "in archive recovery")

    @property
    def ended_as_primary(self) -> bool:
        """True where it was a primary when it was shut down, or when it crashed with nothing done to it since."""
        crashed = not self.latched and self.state in ("in production", "in crash recovery", "shutting down")
        return not self.running and not self.broken and (crashed or self.state == "shut down")

    @property
    def identity(self) -> str:
        """The system identifier."""
        return self.control["Database system identifier"]

    @property
    def timeline(self) -> int:
        """The timeline of the latest checkpoint."""
        return int(self.control["Latest checkpoint's TimeLineID"])

    @property
    def checkpoint(self) -> int:
        """Where the latest checkpoint's record begins; after a clean shutdown of a primary its last record."""
        return lsn(self.control["Latest checkpoint location"])

    @property
    def recovered_to(self) -> int:
        """How far a standby has surely replayed."""
        return max(lsn(self.control["Minimum recovery ending location"]), self.checkpoint)


@dataclass(frozen=True)
class Starter:
    """What starts a server when its machine boots: a unit, or a script of init; and the command that ends it."""

    name: str
    mend: str


@dataclass(frozen=True)
class DataDirectory:
    """One server's data directory, on the machine that holds it."""

    host: Host
    path: str
    place: PostgresqlPlace

    def __str__(self) -> str:
        return f"{self.path} on {self.host}"

    def look(self) -> Found:
        """What the files say now; nothing is changed."""
        done = self._run("look")
        pairs = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line and ":" not in line)
        control = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
        stripped = {name.strip(): value.strip() for name, value in control.items()}
        if "Database system identifier" not in stripped:
            raise Misconfigured(f"{self}: pg_controldata says nothing: {done.complaint}")
        return Found(pairs.get("running") != "no", "latched" in pairs, "broken" in pairs, stripped)

    def at_boot(self) -> tuple[Starter, ...]:
        """What would start a server on these files when the machine boots; nothing is changed."""
        argv = ["sh", "-c", _AT_BOOT, "at_boot", self.path, self.place.config_file or ""]
        done = self.host.run(argv, timeout=_LOOK_SECONDS)
        if done.code != 0:
            raise Misconfigured(f"{self}: what starts it at boot cannot be told: {done.complaint}")
        return tuple(Starter(*line.split("\t", 1)) for line in done.stdout.splitlines() if "\t" in line)

    def stop(self, server_process: int, call: Call) -> None:
        """The server was shut down cleanly and cannot come back as a primary by itself.

        `server_process` serves a session of ours: its parent has to be the postmaster of this directory.
        """
        self._run("stop", str(server_process), _whole(call), call=call)

    def halt(self, call: Call) -> None:
        """The standby that we have just started on this very directory was shut down cleanly."""
        self._run("halt", _whole(call), call=call)

    def settle(self, call: Call) -> None:
        """A server that is down has ended as one that was shut down, and starts as a standby only."""
        self._run("settle", _whole(call), call=call)

    def start(self, role: str, call: Call) -> None:
        """The server was started as `primary` or as `standby`."""
        self._run(f"start_{role}", _whole(call), call=call)

    def rebuild(self, way: str, source: str, password: str | None, settings: str, call: Call) -> None:
        """The directory can start as a standby with `settings`; `way` is rewind or backup.

        `source` is the connection string for PostgreSQL's programs, without the password.
        """
        stdin = f"{source}\n{password or ''}\n{settings}"
        self._run(way, _whole(call), stdin=stdin, call=call)

    def discard(self, call: Call) -> None:
        """What was kept aside during a rebuild is gone."""
        self._run("discard", call=call)

    def _run(
        self,
        verb: str,
        *more: str,
        stdin: str = "",
        call: Call | None = None,
    ) -> Completed:
        place = self.place
        argv = ["sh", "-c", _SCRIPT, "on_host", verb, self.path, str(place.port)]
        argv += [place.bin_directory or "", place.config_file or "", *more]
        if call is None:
            done = self.host.run(argv, timeout=_LOOK_SECONDS)
        else:
            done = self.host.run(argv, timeout=call.remaining, stdin=stdin, guard=call.guard)
        if done.code == 0:
            if call is not None:
                call.accepted()
            return done
        if done.code == _HALF_DONE or any(words in done.stderr for words in _UNFINISHED):
            raise Doubtful(f"{self}: {verb}: {done.complaint}")
        raise _REFUSALS.get(done.code, Rejected)(f"{self}: {verb}: {done.complaint}")


def lsn(text: str) -> int:
    """The byte offset of a position as PostgreSQL writes it ("0/3000060")."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def show_lsn(offset: int) -> str:
    """A byte offset as PostgreSQL writes it."""
    return f"{offset >> 32:X}/{offset & 0xFFFFFFFF:X}"


def _whole(call: Call) -> str:
    """PostgreSQL's own limit: a little under ours, so that it is its programs that give up first."""
    return str(max(int(call.remaining) - 1, 1))
