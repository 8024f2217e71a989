"""Commands of the operator's own: real programs that keep the holder in a file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.domain.catalog import NoSettings, Site
from orchestrator.domain.errors import Doubtful, GuardRefused, Misconfigured, ProviderError
from orchestrator.domain.world import Holder, Power, State
from orchestrator.ports import Binding
from orchestrator.runtime.child import Ended
from providers.command import errors
from providers.command.holder import CommandHolder
from providers.command.spec import HolderSettings
from tests.providers.contract import RecordedCall, ResourceContract, impatient, settle

TOKEN = "hush-31-canary"
A, B = Holder(site="az-a"), Holder(site="az-b")

_TELL = """#!/bin/sh
[ -e stuck ] && exec sleep 600
printf '{"holder": %s}\\n' "$(cat holder)"
"""

_SET = """#!/usr/bin/env python3
import json, sys
with open("asked", "a") as asked:
    asked.write(sys.stdin.readline())
with open("asked") as asked:
    wanted = json.loads(asked.readlines()[-1])["holder"]
with open("holder", "w") as holder:
    json.dump(wanted, holder)
"""


def program(directory: Path, name: str, text: str) -> str:
    path = directory / name
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


class Pool:
    """Two programs and the file between them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.argv: dict[str, list[str]] = {
            "observe": [program(directory, "tell", _TELL)],
            "apply": [program(directory, "set", _SET)],
        }
        self.hold("az-a")

    def hold(self, site: str | None) -> None:
        (self.directory / "holder").write_text(json.dumps(site))

    def held(self) -> str | None:
        site: str | None = json.loads((self.directory / "holder").read_text())
        return site

    def asked(self) -> list[dict[str, Any]]:
        path = self.directory / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def resource(self, secret: dict[str, str] | None = None, **settings: Any) -> CommandHolder:
        given = {**self.argv, "directory": self.directory, "timeout": "30s", **settings}
        return CommandHolder(
            Binding(
                resource="pool",
                component="pool",
                site=None,
                settings=HolderSettings.model_validate(given),
                places={"az-a": NoSettings(), "az-b": NoSettings()},
                sites={"az-a": Site(provider="on-prem"), "az-b": Site(provider="on-prem")},
                secret={"token": TOKEN} if secret is None else secret,
            )
        )

    def telling(self, script: str, **settings: Any) -> CommandHolder:
        return self.resource(observe=["sh", "-c", script], **settings)

    def setting(self, script: str, **settings: Any) -> CommandHolder:
        return self.resource(apply=["sh", "-c", script], **settings)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path)


class PoolHarness:
    secrets = (TOKEN,)
    start: State
    goal: State

    def __init__(self, pool: Pool, start: Holder, goal: Holder) -> None:
        self._pool, self.start, self.goal = pool, start, goal
        pool.hold(start.site)
        self.resource = pool.resource()

    def look(self) -> State:
        return Holder(site=self._pool.held())

    def picture(self) -> object:
        return self._pool.held(), self._pool.asked()

    def cut(self) -> AbstractContextManager[None]:
        return self._stuck()

    @contextmanager
    def _stuck(self) -> Iterator[None]:
        mark = self._pool.directory / "stuck"
        mark.touch()
        try:
            with impatient(self, self._pool.resource(timeout="1s")):
                yield
        finally:
            mark.unlink()


class TestHolder(ResourceContract):
    covers = "command.holder holder"

    @pytest.fixture
    def harness(self, pool: Pool) -> PoolHarness:
        return PoolHarness(pool, A, B)


class TestNobodyHolds(ResourceContract):
    covers = "command.holder holder"

    @pytest.fixture
    def harness(self, pool: Pool) -> PoolHarness:
        return PoolHarness(pool, A, Holder(site=None))


class TestObserve:
    @pytest.mark.parametrize(
        "printed",
        [
            "",
            "az-b",
            "[]",
            '"az-b"',
            '{"holdr": "az-b"}',
            '{"holder": 3}',
            '{"holder": ["az-b"]}',
            '{"holder": "az-x"}',
        ],
    )
    def test_anything_but_a_holder_is_an_error_that_shows_it(self, pool: Pool, printed: str) -> None:
        resource = pool.resource(observe=["printf", "%s", printed])
        with pytest.raises(Doubtful) as caught:
            resource.observe()
        said = str(caught.value)
        assert "`printf %s" in said
        assert f"printed {printed!r}" in said or (not printed and "printed nothing" in said)
        assert "one of az-a, az-b, or null" in said

    def test_what_is_shown_is_short_and_one_line(self, pool: Pool) -> None:
        with pytest.raises(Doubtful) as caught:
            pool.telling("yes | head -n 10000").observe()
        assert len(str(caught.value)) < 400
        assert "\n" not in str(caught.value)

    def test_a_holder_from_a_program_that_failed_is_not_believed(self, pool: Pool) -> None:
        with pytest.raises(Doubtful, match=r"exit 3 \(lost the pool\)"):
            pool.telling("""echo '{"holder": "az-b"}'; echo lost the pool >&2; exit 3""").observe()

    def test_a_program_that_hangs_is_killed_with_its_children(self, pool: Pool) -> None:
        began = time.monotonic()
        with pytest.raises(Doubtful, match=r"killed after 1\.0 s"):
            pool.telling("sleep 600 & echo $! > child; wait", timeout="1s").observe()
        assert time.monotonic() - began < 20
        status = Path("/proc", (pool.directory / "child").read_text().strip(), "status")
        deadline = time.monotonic() + 10  # the kernel takes its time on a busy machine
        while (alive := status.exists() and "State:\tZ" not in status.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive

    def test_it_does_not_claim_to_be_the_one_that_cuts(self, pool: Pool) -> None:
        reading = pool.resource().observe()
        assert not reading.authoritative
        assert reading.authority.startswith("command `")


class TestApply:
    def test_the_program_is_told_what_is_wanted_and_what_was_read(self, pool: Pool) -> None:
        resource = pool.resource()
        resource.apply(B, resource.observe(), RecordedCall())
        assert pool.asked() == [{"holder": "az-b", "before": "az-a"}]

    @pytest.mark.parametrize(
        "script", ["echo '\"az-b\"' > holder; exit 1", "echo '\"az-b\"' > holder; sleep 600", 'kill -9 "$$"']
    )
    def test_any_failure_is_doubtful_and_reading_decides(self, pool: Pool, script: str) -> None:
        resource = pool.setting(script)
        with pytest.raises(Doubtful) as caught:
            resource.apply(B, resource.observe(), RecordedCall(remaining=2.0 if "sleep" in script else 30.0))
        assert not caught.value.surely_not_done
        assert resource.observe().satisfies(Holder(site=pool.held()))

    def test_exit_0_proves_nothing_either(self, pool: Pool) -> None:
        resource = pool.setting("exit 0")
        resource.apply(B, resource.observe(), RecordedCall())
        assert resource.observe().satisfies(A)

    def test_the_attempts_deadline_bounds_it(self, pool: Pool) -> None:
        resource = pool.resource(apply=["sleep", "600"], timeout="60s")
        with pytest.raises(Doubtful, match=r"killed after 0\.[0-9] s"):
            resource.apply(B, resource.observe(), RecordedCall(remaining=0.5))

    def test_a_refusing_guard_starts_nothing(self, pool: Pool) -> None:
        resource = pool.resource()
        with pytest.raises(GuardRefused):
            resource.apply(B, resource.observe(), RecordedCall(allowed=0))
        assert pool.asked() == []

    @pytest.mark.parametrize("desired", [Power(power="off"), Holder(site="az-x")])
    def test_what_is_no_site_of_the_runbook_is_not_asked_for(self, pool: Pool, desired: State) -> None:
        resource = pool.resource()
        with pytest.raises(Misconfigured):
            resource.apply(desired, resource.observe(), RecordedCall())
        assert pool.asked() == []

    def test_no_shell_reads_the_arguments(self, pool: Pool) -> None:
        resource = pool.resource(apply=["touch", "a file; touch b", "$HOME"])
        resource.apply(B, resource.observe(), RecordedCall())
        assert {path.name for path in pool.directory.iterdir()} >= {"a file; touch b", "$HOME"}

    def test_it_can_be_moved_back_and_forth(self, pool: Pool) -> None:
        resource = pool.resource()
        for goal in (B, A, B):
            resource.apply(goal, resource.observe(), RecordedCall())
            settle(resource, goal)


class TestSecrets:
    def test_they_arrive_as_variables_and_nothing_else_of_ours_does(
        self, pool: Pool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-of-the-worker")
        script = 'env > environment; cat "/proc/$$/cmdline" > argv; echo \'{"holder": null}\''
        pool.resource({"api-token": TOKEN, "user": "ops"}, observe=["sh", "-c", script]).observe()
        environment = (pool.directory / "environment").read_text()
        assert f"TIDEOVER_SECRET_API_TOKEN={TOKEN}\n" in environment
        assert "TIDEOVER_SECRET_USER=ops\n" in environment
        assert "hush-of-the-worker" not in environment
        assert TOKEN not in (pool.directory / "argv").read_text()

    @pytest.mark.parametrize(
        "script", ['echo "$TIDEOVER_SECRET_TOKEN"', 'echo "$TIDEOVER_SECRET_TOKEN" >&2; exit 1', "env; sleep 600"]
    )
    def test_a_secret_that_is_printed_is_not_shown(self, pool: Pool, script: str) -> None:
        with pytest.raises(ProviderError) as caught:
            pool.telling(script, timeout="2s").observe()
        assert TOKEN not in repr(caught.value)
        assert "[token]" in str(caught.value)

    def test_two_fields_cannot_share_a_variable(self, pool: Pool) -> None:
        with pytest.raises(Misconfigured, match="one variable's name"):
            pool.resource({"a-b": "1", "a_b": "2"})


class TestWrongSettings:
    def test_a_program_that_is_not_there(self, pool: Pool) -> None:
        with pytest.raises(Misconfigured, match=r"`show-pool` cannot be run .*No such file"):
            pool.resource(observe=["show-pool"]).observe()

    def test_a_program_that_may_not_be_run(self, pool: Pool) -> None:
        plain = pool.directory / "plain"
        plain.write_text("no program")
        resource = pool.resource(apply=[str(plain)])
        with pytest.raises(Misconfigured, match="Permission denied") as caught:
            resource.apply(B, resource.observe(), RecordedCall())
        assert caught.value.surely_not_done

    def test_a_directory_that_is_not_there(self, pool: Pool) -> None:
        with pytest.raises(Misconfigured, match="/nonexistent: No such file"):
            pool.resource(directory="/nonexistent").observe()

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"observe": []}, "at least 1 item"),
            ({"observe": "show-pool --json"}, "tuple"),
            ({"observe": [""]}, "must name a program"),
            ({"directory": "pools"}, "absolute path"),
            ({"apply": None}, "tuple"),
            ({"shell": True}, "Extra inputs"),
        ],
    )
    def test_mistakes_are_found_at_review(self, settings: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            HolderSettings.model_validate({"observe": ["a"], "apply": ["b"], **settings})

    def test_every_way_to_fail_has_its_error(self) -> None:
        for code in (None, -9, 1, 2, 127, 255):
            assert type(errors.failed(["x"], Ended(code, "", ""), 1.0, {})) is Doubtful
        for error in (FileNotFoundError(2, "gone"), PermissionError(13, "denied"), OSError(8, "format")):
            assert type(errors.not_started(["x"], error, {})) is Misconfigured
