"""Findings: what is wrong in a runbook, where, and the way out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from orchestrator.domain.base import Frozen

CODES = {
    "YAML": "the text is not YAML as runbooks use it",
    "DUPLICATE": "a key stands twice",
    "UNKNOWN-KEY": "a key that nothing reads",
    "MISSING": "a key that must be there is not",
    "VALUE": "a value that does not fit",
    "REFERENCE": "a name that nothing defines",
    "CYCLE": "components need each other in a circle",
    "ORDER": "clients would be led where nothing serves yet",
    "NO-TYPE": "no provider implements this here",
    "NO-FENCE": "something that writes or acts cannot be fenced",
    "SAME-MACHINE": "two that must be told apart are one thing",
    "RECOVERY-PATH": "what is changed to recover depends on the site that is lost",
    "FENCE-PATH": "a fence depends on what it is to cut off",
    "FENCE-IDENTITY": "nothing proves that a fence cuts off what is meant",
    "FENCE-STRENGTH": "the fences cannot give the proof that is asked for",
}
"""Every code that a finding can carry."""


class Finding(Frozen):
    """One thing to mend. `path` leads to the place in the runbook: keys and list positions.

    With a finding of the level `warning` the runbook can still be used.
    """

    level: Literal["error", "warning"] = "error"
    code: str
    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        place = ".".join(str(part) for part in self.path) or "the runbook"
        return f"{self.code} {self.message} ({place})"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known word is near, else nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown(word: str, known: Iterable[str], what: str) -> str:
    """One line for a name that nothing defines: the near one, or all there are."""
    names = sorted(known)
    return f"there is no {what} {word!r}{did_you_mean(word, names) or ': there is ' + (', '.join(names) or 'none')}"


def check_model(
    model: type[BaseModel], value: Mapping[str, Any], path: tuple[str | int, ...], also: Iterable[str] = ()
) -> tuple[BaseModel | None, list[Finding]]:
    """The model made of `value`, or the findings that say why not. `also`: other keys known at this place."""
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        return None, [_finding(problem, model, value, path, also) for problem in error.errors()]


def _finding(
    problem: Any, model: type[BaseModel], value: Mapping[str, Any], path: tuple[str | int, ...], also: Iterable[str]
) -> Finding:
    where = (*path, *problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = [*_keys_at(model, problem["loc"][:-1]), *also]
        word = str(where[-1])
        known_text = f"; known here: {', '.join(sorted(known))}" if known else ""
        return Finding(
            code="UNKNOWN-KEY", path=where, message=f"unknown key {word!r}{did_you_mean(word, known) or known_text}"
        )
    if problem["type"] == "missing":
        return _missing(str(where[-1]), _given_at(value, problem["loc"][:-1]), where[:-1])
    shape = _SHAPES.get(problem["type"])
    message = _other_shape(shape, problem["input"]) if shape else plain(problem["msg"])
    return Finding(code="VALUE", path=where, message=message)


_SHAPES = {"tuple_type": "list", "dict_type": "mapping", "model_type": "mapping", "string_type": "text"}
"""What pydantic wants of a value's shape, in the words of YAML."""


def _other_shape(wanted: str, given: Any) -> str:
    """What stands in the place of a list, a mapping or a text, and how that is written."""
    match given:
        case None:
            found = "nothing"
        case list() | tuple():
            found = "a list"
        case dict():
            found = "a mapping"
        case str():
            found = f"the text {given!r}"
        case _:
            found = json.dumps(given, default=str)
    one = found not in ("nothing", "a list", "a mapping")
    how = {"list": f"[{given}]" if one else "- before each item", "mapping": "key: value, without a - before it"}
    told = how.get(wanted, f'"{given}"' if one else "one word, or a text in quotes")
    return f"a {wanted} belongs here, and {found} stands here: write {told}"


def _missing(key: str, given: list[str], path: tuple[str | int, ...]) -> Finding:
    near = get_close_matches(key, given, n=1, cutoff=0.6)
    if near:
        message = f"the key {key!r} is missing; did you mean it by {near[0]!r}?"
        return Finding(code="MISSING", path=(*path, near[0]), message=message)
    return Finding(code="MISSING", path=path, message=f"the key {key!r} is missing")


def _given_at(value: Any, loc: tuple[str | int, ...]) -> list[str]:
    """The keys that were given in the mapping at `loc`."""
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return []
    return [str(key) for key in value] if isinstance(value, Mapping) else []


def plain(message: str) -> str:
    """What pydantic says of a value, as a part of a sentence."""
    said = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return said[:1].lower() + said[1:]


def _keys_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys of the (nested) model at `loc`; empty where that is not a model."""
    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[str(part)].annotation
        else:
            current = next((a for a in getattr(current, "__args__", ()) if _is_model(a)), current)
    if not _is_model(current):
        current = next((a for a in getattr(current, "__args__", ()) if _is_model(a)), None)
    return list(current.model_fields) if current else []


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
