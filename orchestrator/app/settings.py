"""Settings: command-line flag, then TIDEOVER_*, then ./tideover.toml, then the user's file, then the default."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from orchestrator.domain.errors import NotFoundLocally
from orchestrator.domain.findings import unknown

HERE = Path("tideover.toml")


def _users_file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "tideover" / "tideover.toml"


def _folders(given: object) -> object:
    if not isinstance(given, str):
        return given
    return json.loads(given) if given.startswith("[") else given.split(os.pathsep)


def _path(given: object) -> object:
    return str(given) if isinstance(given, Path) else given


class _File(TomlConfigSettingsSource):
    """One of the files. A key that nothing reads is an error: a journal under a misspelt name would be another journal,
    and two of them exclude nothing (I6)."""

    def __call__(self) -> dict[str, Any]:
        given, known = super().__call__(), self.settings_cls.model_fields
        for word in given:
            if word not in known:
                msg = f"{self.toml_file_path}: {unknown(word, known, 'setting')}"
                raise ValueError(msg)
        return given


class Settings(BaseSettings):
    """Where things are. The connection to Temporal is not here: it is the `temporal` command's own (envconfig).

    runbooks: folders searched for `<name>.yaml`, in order; in the environment divided as in PATH, or a JSON list.
    journal: the SQLite file with the safety state, or `etcd://host:port,.../prefix` (`etcds://` with TLS).
    journal_credentials: the profile that etcd is shown: `user`, `password`, and as PEM `ca`, `certificate`, `key`.
    credentials: the file of credential profiles. reports: where reports are written. ui: the Temporal UI's address,
    for links.
    """

    model_config = SettingsConfigDict(env_prefix="TIDEOVER_", extra="ignore")

    runbooks: Annotated[list[Path], NoDecode, BeforeValidator(_folders)] = [Path("runbooks")]
    journal: Annotated[str, BeforeValidator(_path)] = ".tideover/journal.db"
    journal_credentials: str = ""
    credentials: Path = Path("credentials.toml")
    reports: Path = Path("reports")
    ui: str = "http://localhost:8233"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of precedence, the strongest first."""
        files = (_File(settings_cls, path) for path in (HERE, _users_file()))
        return (init_settings, env_settings, *files)


def load(**flags: Any) -> Settings:
    """The settings as they are now, `flags` from the command line first. Raises NotFoundLocally saying why not."""
    try:
        return Settings(**flags)
    except (ValidationError, ValueError) as error:
        wrong = error.errors() if isinstance(error, ValidationError) else ()
        why = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in wrong) or str(error).replace("\n", " ")
        raise NotFoundLocally(f"the settings cannot be read (TIDEOVER_*, {HERE}, {_users_file()}): {why}") from error
