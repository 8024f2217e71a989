"""A command that is typed to a break-glass execution, in the words of the command line itself."""

from __future__ import annotations

import shlex

from pydantic import TypeAdapter, ValidationError

from orchestrator.domain.commands import COMMANDS, Command, OperatorInput
from orchestrator.domain.errors import TideoverError
from orchestrator.domain.findings import did_you_mean, plain

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
NAMES: dict[str, type[OperatorInput]] = {model.__name__.lower(): model for model in COMMANDS}


class NotUnderstood(TideoverError):
    """The line is no command; the text says why, with an example."""


def spoken(line: str, group: str, by: str) -> Command:
    """The command in a line such as `retry db.fence` or `tideover attest shop db.fence --by bob --reason "..."`.

    `by`: who speaks where the line does not say. Raises NotUnderstood.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise NotUnderstood(f"{error}: close the quotation") from None
    words = words[1:] if words[:1] == ["tideover"] else words
    name, rest = (words[0], words[1:]) if words else ("", [])
    if name not in NAMES:
        raise NotUnderstood(f"{name!r} is no command{did_you_mean(name, NAMES)}; there are: {', '.join(NAMES)}")
    fields = _fields(rest[1:] if rest[:1] == [group] else rest, name)
    try:
        return _COMMAND.validate_python({"command": name, "by": by, **fields})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = "".join(f"--{part} " for part in problem["loc"][1:2])
        raise NotUnderstood(f"{name}: {place}{plain(problem['msg'])}") from None


def _fields(words: list[str], name: str) -> dict[str, str]:
    """The options by the names of their fields; the one word without is the step."""
    fields: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            fields["step"] = word
        elif "=" in word:
            option, _, value = word.partition("=")
            fields[option[2:].replace("-", "_")] = value
        elif left:
            fields[word[2:].replace("-", "_")] = left.pop(0)
        else:
            raise NotUnderstood(f"{name}: {word} needs a value")
    return fields
