"""Credential profiles: named sets of secret fields, resolved from a file, the environment or a command."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.domain.errors import NotFoundLocally

COMMAND_TIMEOUT = 10.0
"""Seconds for a command that prints a secret."""


class ProfileCredentials:
    """Profiles in a TOML file. A field is a text, or says where the text is: {env = ""}, {file = ""}, {command = []}.

        [shop-db]
        password = {env = "SHOP_DB_PASSWORD"}

    A profile `shop-db` that the file lacks is taken from variables TIDEOVER_SECRET_SHOP_DB_<FIELD>, if there are any.
    """

    def __init__(self, path: Path | None, environment: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.environment = os.environ if environment is None else environment

    def resolve(self, profile: str) -> Mapping[str, str]:
        """The profile's fields. Raises NotFoundLocally naming the profile and the places that were tried."""
        fields = self._from_file(profile)
        if fields is not None:
            return {name: self._field(profile, name, value) for name, value in fields.items()}
        prefix = f"TIDEOVER_SECRET_{profile.upper().replace('-', '_')}_"
        found = {k.removeprefix(prefix).lower(): v for k, v in self.environment.items() if k.startswith(prefix)}
        if found:
            return found
        tried = f"[{profile}] in {self.path}" if self.path else "no credentials file is set (TIDEOVER_CREDENTIALS)"
        raise NotFoundLocally(f"there is no credential profile {profile!r}: tried {tried} and {prefix}*")

    def _from_file(self, profile: str) -> dict[str, Any] | None:
        if self.path is None or not self.path.is_file():
            return None
        try:
            profiles = tomllib.loads(self.path.read_text())
        except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
            raise NotFoundLocally(f"the credentials in {self.path} cannot be read: {type(error).__name__}") from None
        fields = profiles.get(profile)
        return fields if isinstance(fields, dict) else None

    def _field(self, profile: str, name: str, value: Any) -> str:
        match value:
            case str():
                return value
            case {"env": str(variable)} if variable in self.environment:
                return self.environment[variable]
            case {"file": str(path)} if Path(path).is_file():
                return self._read(profile, name, Path(path))
            case {"command": [*argv]} if argv and all(isinstance(a, str) for a in argv):
                return self._printed(profile, name, [str(a) for a in argv])
            case {"env": source} | {"file": source}:
                raise NotFoundLocally(
                    f"{name} of credential profile {profile!r} should be in {source}, which is not there"
                )
            case _:
                wanted = 'a text, {env = "NAME"}, {file = "PATH"} or {command = ["ARGV"]}'
                raise NotFoundLocally(f"{name} of credential profile {profile!r} is not {wanted}")

    # A cause is not kept: it may hold the secret, and would be told where errors are shown with theirs (I14).

    def _read(self, profile: str, name: str, path: Path) -> str:
        try:
            return path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = type(error).__name__
        raise NotFoundLocally(f"{name} of credential profile {profile!r}: {path} cannot be read ({why})")

    def _printed(self, profile: str, name: str, argv: list[str]) -> str:
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=True)
        except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
            why = type(error).__name__
        else:
            return done.stdout.strip()
        raise NotFoundLocally(f"{name} of credential profile {profile!r}: {argv[0]} failed ({why})")
