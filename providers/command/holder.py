"""Which site holds something, told and changed by two programs of the operator's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from orchestrator.domain.catalog import NoSettings
from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.world import Holder, Reading, State
from orchestrator.ports import Binding, Call
from orchestrator.runtime import child
from providers.command import errors
from providers.command.spec import HolderSettings


class CommandHolder:
    """Something that one site holds at a time. States: Holder."""

    def __init__(self, binding: Binding[HolderSettings, NoSettings]) -> None:
        self._settings = binding.settings
        self._sites = sorted(binding.sites)
        self._secret = binding.secret
        self._environment = child.bare_environment(**_variables(binding.resource, binding.secret))

    def __repr__(self) -> str:
        return f"<CommandHolder {errors.shown(self._settings.observe, self._secret)}>"

    def observe(self) -> Reading:
        """The holder as `observe` prints it."""
        argv = self._settings.observe
        ended = self._run(argv, "", self._settings.timeout)
        if ended.code != 0:
            raise errors.failed(argv, ended, self._settings.timeout, self._secret)
        return Reading(
            states=(Holder(site=self._holder(ended.stdout)),),
            authority=f"command {errors.shown(argv, self._secret)}",
        )

    def apply(self, desired: State, observed: Reading, call: Call) -> None:
        """The `apply` program was run once to its end. Whatever else became of it is Doubtful."""
        if not isinstance(desired, Holder) or (desired.site and desired.site not in self._sites):
            msg = f"{errors.shown(self._settings.apply, self._secret)} moves a holder among sites: it cannot be asked "
            raise Misconfigured(f"{msg}for: {desired}")
        before = observed.state("holder")
        question = {"holder": desired.site, "before": before.site if isinstance(before, Holder) else None}
        argv, stdin = self._settings.apply, json.dumps(question) + "\n"
        timeout = min(self._settings.timeout, call.remaining)
        call.guard()
        ended = self._run(argv, stdin, timeout)
        if ended.code != 0:
            raise errors.failed(argv, ended, timeout, self._secret)

    def _run(self, argv: Sequence[str], stdin: str, timeout: float) -> child.Ended:
        try:
            return child.run(
                argv,
                stdin=stdin,
                timeout=timeout,
                environment=self._environment,
                directory=self._settings.directory,
            )
        except OSError as error:
            raise errors.not_started(argv, error, self._secret) from error

    def _holder(self, printed: str) -> str | None:
        wanted = f"one of {', '.join(self._sites)}, or null"
        try:
            told = json.loads(printed)
        except ValueError as error:
            raise errors.unreadable(self._settings.observe, printed, wanted, self._secret) from error
        if not isinstance(told, dict) or "holder" not in told or told["holder"] not in (None, *self._sites):
            raise errors.unreadable(self._settings.observe, printed, wanted, self._secret)
        holder: str | None = told["holder"]
        return holder


def _variables(resource: str, secret: Mapping[str, str]) -> dict[str, str]:
    """TIDEOVER_SECRET_<FIELD> for each field."""
    variables = {f"TIDEOVER_SECRET_{re.sub('[^A-Z0-9]', '_', name.upper())}": text for name, text in secret.items()}
    if len(variables) < len(secret) or any("\0" in text for text in variables.values()):
        msg = f"{resource}: two fields of the credential profile have one variable's name, or a value holds a NUL"
        raise Misconfigured(msg)
    return variables
