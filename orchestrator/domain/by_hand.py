"""How a person does by hand what an adapter does: lines of text that a provider's spec brings as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.world import Power, Role, State

_KEY = re.compile(r"\{([a-z_]+(?:\|[a-z_]+)*)\}")


@dataclass(frozen=True)
class ByHand:
    """What to type where Tideover itself is lost. Each line is a command or a hint to one, without any secret.

    look: how to read the resource. do: how to bring it to a state, by the name that `wanted` gives it.
    `{key}` stands for one of the resource's own keys or those under `at: <site>:`, `{there_key}` for the other site's,
    `{a|b}` for the first that is given. A line with a key that is not given is left out.
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


def filled(lines: Sequence[str], keys: Mapping[str, str], repeated: Sequence[Mapping[str, str]] = ()) -> Iterator[str]:
    """The lines with their keys put in; those that lack one are left out. `repeated`: what a line is repeated for."""
    for line in lines:
        needed = {name for match in _KEY.finditer(line) for name in match[1].split("|")}
        each = repeated if repeated and needed & repeated[0].keys() else ({},)
        for more in each:
            text = _put_in(line, {**keys, **more})
            if text is not None:
                yield text


def _put_in(line: str, keys: Mapping[str, str]) -> str | None:
    """The line with its keys put in; None where one is not given."""
    parts, end = [], 0
    for match in _KEY.finditer(line):
        value = next((keys[name] for name in match[1].split("|") if keys.get(name)), None)
        if value is None:
            return None
        parts += [line[end : match.start()], value]
        end = match.end()
    return "".join((*parts, line[end:]))
