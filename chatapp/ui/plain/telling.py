"""What a screen says in plain lines: its title, what can be chosen, what can be filled in.

Nothing is known here of single screens: lists are numbered, fields are named, texts are said, and
of a screen without any of these the drawn lines are said without their frames.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Checkbox, Input, Label, OptionList, Static, TextArea

from chatapp.text import strip_controls

MAX_OPTIONS = 60
"""Entries of a list that are said at once."""
_FRAMES = re.compile("[\u2500-\u259f\u25aa\u25b8\u25be\u2800-\u28ff]")
_WIDE_GAP = re.compile(r" {3,}")


@runtime_checkable
class Listing(Protocol):
    """A widget whose entries can be chosen by number."""

    def plain_entries(self) -> list[str]:
        """The entries in order."""
        ...

    def choose_entry(self, place: int) -> None:
        """Choose one of them."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry that a number stands for."""

    widget: Widget
    place: int


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of a screen, and what the numbers in it stand for."""

    lines: tuple[str, ...]
    choices: tuple[Choice, ...]


def tell(root: Screen[object] | Widget) -> Told:
    """A screen, or a part of one, in lines."""
    lines: list[str] = []
    choices: list[Choice] = []
    for widget in root.walk_children(Widget, with_self=isinstance(root, Listing)):
        if not _is_shown(widget):
            continue
        if widget.border_title:
            lines.append(f"[{_plain(str(widget.border_title))}]")
        lines += _tell_widget(widget, choices)
        if widget.border_subtitle:
            lines.append(f"({_plain(str(widget.border_subtitle))})")
    if not choices and not any(root.query(Input)):
        lines = [*drawn_lines(root)] or lines
    return Told(tuple(line for line in lines if line), tuple(choices))


def drawn_lines(widget: Widget) -> Iterator[str]:
    """What is drawn of a widget, without frames."""
    for strip in widget.screen._compositor.render_strips():
        text = _FRAMES.sub(" ", strip.text)
        line = _WIDE_GAP.sub("   ", text).strip()
        if line:
            yield strip_controls(line)


def _is_shown(widget: Widget) -> bool:
    return widget.visible and all(one.display for one in widget.ancestors_with_self)


def _tell_widget(widget: Widget, choices: list[Choice]) -> list[str]:
    match widget:
        case Input():
            name = _plain(widget.placeholder) or _plain(str(widget.border_title or "")) or "field"
            return [f"Field: {name}. Now: {widget.value or 'empty'}"]
        case TextArea():
            return [f"Text field: {widget.text or 'empty'}"]
        case Checkbox():
            return [f"{_plain(str(widget.label))}: {'on' if widget.value else 'off'}"]
        case OptionList():
            return _tell_options(widget, choices)
        case Static() | Label():
            return [_plain(line) for line in _text_of(widget).splitlines()]
    if isinstance(widget, Listing):
        return _number(widget, widget.plain_entries(), choices, range(MAX_OPTIONS))
    return []


def _tell_options(widget: OptionList, choices: list[Choice]) -> list[str]:
    options = widget.options
    entries = [_text(option.prompt) for option in options]
    chosen = [place for place, option in enumerate(options) if not option.disabled]
    first = max((widget.highlighted or 0) - MAX_OPTIONS // 2, 0)
    return _number(widget, entries, choices, range(first, first + MAX_OPTIONS), set(chosen))


def _number(
    widget: Widget,
    entries: list[str],
    choices: list[Choice],
    shown: range,
    numbered: set[int] | None = None,
) -> list[str]:
    lines = []
    for place, entry in enumerate(entries):
        if place not in shown:
            continue
        text = " - ".join(_plain(line) for line in entry.splitlines() if line.strip())
        if numbered is not None and place not in numbered:
            lines.append(text)
            continue
        choices.append(Choice(widget, place))
        lines.append(f"{len(choices)}. {text}")
    if len(entries) > len(shown):
        lines.append(f"({len(entries)} in all; type to filter.)")
    return lines or ["(nothing)"]


def _text_of(widget: Static) -> str:
    return _text(widget.visual)


def _text(value: object) -> str:
    if isinstance(value, Content):
        return value.plain
    return getattr(value, "plain", None) or str(value)


def _plain(text: str) -> str:
    """A line without frames; what is drawn with signs is said with words."""
    text = Content.from_markup(text).plain if "[" in text and "[/" in text else text
    return _WIDE_GAP.sub("   ", _FRAMES.sub(" ", strip_controls(text))).strip()
