"""The demo's own programs: they live exactly as long as the process that started them, however that one ends."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestrator.app.demo.errors import DemoFailed

_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Program:
    """A running module of this package that ends when its stdin does, which the kernel closes when we die."""

    process: subprocess.Popen[str]
    log: Path

    @classmethod
    def start(cls, module: str, *arguments: str, log: Path, first_line: str = "") -> Program:
        """The module runs in a session of its own, so that a Ctrl-C at the terminal is ours alone to handle."""
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        program = cls(process, log)
        if first_line and process.stdin:
            process.stdin.write(f"{first_line}\n")
            process.stdin.flush()
        return program

    def require_running(self) -> None:
        """Raises DemoFailed with the last line of the log where it has ended by itself."""
        if self.process.poll() is not None:
            last = self.log.read_text().strip().rpartition("\n")[2]
            msg = (
                f"{self.log.stem} ended with exit code {self.process.returncode}: {last or 'no output'}; see {self.log}"
            )
            raise DemoFailed(msg)

    def stop(self) -> None:
        """The program has ended, by itself or by SIGKILL."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
