"""Markup that is well formed by construction: whatever is not markup already is escaped."""

from __future__ import annotations

from html import escape

from orchestrator.app.report.wording import clean


class Markup(str):
    """Text that is markup. Made by `tag` and `joined` only."""

    __slots__ = ()


Child = str | Markup | None


def text(value: str) -> Markup:
    """The text on one line, escaped."""
    return Markup(escape(clean(value)))


def joined(*children: Child) -> Markup:
    """The children one after the other; None is left out."""
    return Markup(
        "".join(child if isinstance(child, Markup) else text(child) for child in children if child is not None)
    )


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """One element. Attributes that are None are left out; `class_` is `class`, `aria_label` is `aria-label`."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    shown = "".join(f' {key}="{escape(_plain(value))}"' for key, value in named.items())
    inside = joined(*children)
    return Markup(f"<{name}{shown}>{inside}</{name}>" if inside or name in _NEVER_EMPTY else f"<{name}{shown}/>")


_NEVER_EMPTY = frozenset({"p", "td", "th", "span", "div", "section", "title", "style", "code", "li", "tbody"})
"""HTML reads `<p/>` as an opened paragraph."""


def _plain(value: str | float) -> str:
    return clean(value) if isinstance(value, str) else f"{round(value, 2):g}"
