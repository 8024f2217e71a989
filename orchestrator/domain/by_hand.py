"""How a person does by hand what an adapter does: lines of text that a provider's spec brings as data."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.world import Power, Role, State

_KEY = re.compile(r"\{([a-z_]+(?:\|[a-z_]+)*)(?::(quoted|plain))?\}")


@dataclass(frozen=True)
class ByHand:
    """What to type where Tideover itself is lost. Each line is a command or a hint to one, without any secret.

    look: how to read the resource. do: how to bring it to a state, by the name that `wanted` gives it.
    `{key}` stands for one of the resource's own keys or those under `at: <site>:`, `{there_key}` for the other site's,
    `{a|b}` for the first that is given. A line with a key that is not given is left out.
    What is put in is one word of a shell, or one for each item of a list. Within single quotes that the line itself
    has, write `{key:quoted}`; where no shell reads it (a comment, or what is typed into another program),
    `{key:plain}`, which is on one line.
    Known besides: site, there, component, credentials (the profile's name), thing, region, zone, and of a record
    `kind` and `value`: a line with one of these is repeated for each.
    """

    look: tuple[str, ...] = ()
    do: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def wanted(state: State) -> str:
    """The name under which `ByHand.do` tells how to reach a state like this one."""
    match state:
        case Power(power=value) | Role(role=value):
            return f"{state.kind} {value}"
        case _:
            return state.kind


def filled(lines: Sequence[str], keys: Mapping[str, Any], repeated: Sequence[Mapping[str, str]] = ()) -> Iterator[str]:
    """The lines with their keys put in; those that lack one are left out. `repeated`: what a line is repeated for."""
    for line in lines:
        needed = {name for match in _KEY.finditer(line) for name in match[1].split("|")}
        each = repeated if repeated and needed & repeated[0].keys() else ({},)
        for more in each:
            text = _put_in(line, {**keys, **more})
            if text is not None:
                yield text


def _put_in(line: str, keys: Mapping[str, Any]) -> str | None:
    """The line with its keys put in; None where one is not given."""
    parts, end = [], 0
    for match in _KEY.finditer(line):
        values = (_words(keys.get(name)) for name in match[1].split("|"))
        words = next((found for found in values if any(found)), None)
        if words is None:
            return None
        parts += [line[end : match.start()], _written(words, match[2])]
        end = match.end()
    return "".join((*parts, line[end:]))


def _words(value: Any) -> list[str]:
    """The value as text: its items where it has some, and nothing where it is not given."""
    match value:
        case None:
            return []
        case dict():
            return [f"{key}={item}" for key, item in value.items()]
        case list() | tuple():
            return [str(item) for item in value]
        case float() if value.is_integer():
            return [str(int(value))]
        case str():
            return [value]
        case _:
            return [json.dumps(value)]


def _written(words: list[str], how: str | None) -> str:
    match how:
        case "quoted":
            return " ".join(words).replace("'", "'\\''")
        case "plain":
            return " ".join(" ".join(words).split())
        case _:
            return " ".join(map(_word, words))


def _word(text: str) -> str:
    """One word of a shell, in the quotes that are the easiest to type from paper."""
    double = "'" in text and not any(char in text for char in '"$`\\!')
    return f'"{text}"' if double else shlex.quote(text)
