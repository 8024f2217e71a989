"""A directory that PostgreSQL's account may enter, also where the tests run as root (pytest's own may not be)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def demo_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="tideover-test-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
