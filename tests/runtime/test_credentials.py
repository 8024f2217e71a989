"""Credential profiles: where a secret may come from, and that no error tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.errors import NotFoundLocally
from orchestrator.runtime import credentials
from orchestrator.runtime.credentials import ProfileCredentials

CANARY = "c4n4ry-s3cret"


def profiles(tmp_path: Path, text: str, **environment: str) -> ProfileCredentials:
    path = tmp_path / "credentials.toml"
    path.write_text(text)
    return ProfileCredentials(path, environment)


def refused(found: ProfileCredentials, profile: str = "shop-db") -> str:
    with pytest.raises(NotFoundLocally) as caught:
        found.resolve(profile)
    said = str(caught.value)
    assert "shop-db" in said or "credentials.toml" in said
    assert CANARY not in said
    assert CANARY not in str(caught.value.__cause__)
    assert "\n" not in said
    return said


def test_a_field_is_a_text(tmp_path: Path) -> None:
    found = profiles(tmp_path, f'[shop-db]\npassword = "{CANARY}"\nuser = "app"')
    assert found.resolve("shop-db") == {"password": CANARY, "user": "app"}


def test_a_field_comes_from_the_environment(tmp_path: Path) -> None:
    assert profiles(tmp_path, '[shop-db]\npassword = {env = "PW"}', PW=CANARY).resolve("shop-db")["password"] == CANARY


def test_a_field_comes_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CANARY + "\n")
    found = profiles(tmp_path, f'[shop-db]\npassword = {{file = "{tmp_path}/secret"}}')
    assert found.resolve("shop-db")["password"] == CANARY


def test_a_field_comes_from_a_command_without_a_shell(tmp_path: Path) -> None:
    found = profiles(tmp_path, '[shop-db]\npassword = {command = ["printf", "%s\\n", "$HOME; x"]}')
    assert found.resolve("shop-db")["password"] == "$HOME; x"


def test_a_profile_that_the_file_lacks_comes_from_variables(tmp_path: Path) -> None:
    found = profiles(tmp_path, "[other]\na = 'b'", TIDEOVER_SECRET_SHOP_DB_PASSWORD=CANARY)
    assert found.resolve("shop-db") == {"password": CANARY}


def test_without_a_file_variables_are_enough() -> None:
    assert ProfileCredentials(None, {"TIDEOVER_SECRET_SHOP_DB_USER": "app"}).resolve("shop-db") == {"user": "app"}


def test_a_profile_that_is_nowhere_names_what_was_tried(tmp_path: Path) -> None:
    said = refused(profiles(tmp_path, f'[other]\npassword = "{CANARY}"'))
    assert "credentials.toml" in said
    assert "TIDEOVER_SECRET_SHOP_DB_*" in said
    assert "TIDEOVER_CREDENTIALS" in refused(ProfileCredentials(None, {}))


@pytest.mark.parametrize(
    "text",
    [
        f'[shop-db]\npassword = "{CANARY}',
        f'[shop-db]\npassword = "{CANARY}"\npassword = "{CANARY}"',
        f'[shop-db]\npassword = ["{CANARY}"]',
        f'[shop-db]\npassword = {{vault = "{CANARY}"}}',
        "[shop-db]\npassword = 5",
        '[shop-db]\npassword = {env = "ABSENT"}',
        '[shop-db]\npassword = {file = "/nonexistent/secret"}',
        "[shop-db]\npassword = {command = []}",
        '[shop-db]\npassword = {command = ["/nonexistent/command"]}',
        f'[shop-db]\npassword = {{command = ["sh", "-c", "echo {CANARY} >&2; echo {CANARY}; exit 3"]}}',
    ],
)
def test_an_error_names_the_profile_and_never_the_secret(tmp_path: Path, text: str) -> None:
    refused(profiles(tmp_path, text))


def test_a_file_that_is_not_text_is_said_to_be(tmp_path: Path) -> None:
    found = profiles(tmp_path, "")
    assert found.path is not None
    found.path.write_bytes(b"\xff\xfe[shop-db]")
    assert "UnicodeDecodeError" in refused(found)


def test_a_secret_file_that_is_not_text_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe" + CANARY.encode())
    refused(profiles(tmp_path, f'[shop-db]\npassword = {{file = "{tmp_path}/secret"}}'))


def test_a_command_that_prints_no_text_is_said_to(tmp_path: Path) -> None:
    refused(profiles(tmp_path, '[shop-db]\npassword = {command = ["printf", "\\\\377\\\\376"]}'))


def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "COMMAND_TIMEOUT", 0.2)
    assert "TimeoutExpired" in refused(profiles(tmp_path, '[shop-db]\npassword = {command = ["sleep", "30"]}'))
