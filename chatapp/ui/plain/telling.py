"""What a screen says in plain lines: its title, what can be chosen, what can be filled in.

Nothing is known here of single screens: lists, buttons and fields that drop down are numbered,
fields are named, texts are said, and what draws itself is said without its frames.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from textual.content import Content
from textual.geometry import Region
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList, Select, Static, TextArea
from textual.widgets._select import SelectCurrent

from chatapp.text import strip_controls

MAX_OPTIONS = 60
"""Entries of a list that are said at once."""
FEW = 3
"""So many lines that are new are said without those that are not."""
_FRAMES = re.compile("[\u2500-\u259f\u25aa\u25b8\u25be\u2800-\u28ff]")
_WIDE_GAP = re.compile(r" {3,}")


@runtime_checkable
class Listing(Protocol):
    """A widget whose entries can be chosen by number."""

    def plain_entries(self) -> list[str]:
        """The entries in order."""
        ...

    def choose_entry(self, place: int) -> None:
        """Choose the entry at a place, as Enter on it does."""
        ...


@runtime_checkable
class Pointing(Protocol):
    """A list with a cursor."""

    highlighted: int | None


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry that a number stands for."""

    widget: Widget
    place: int

    def take(self) -> None:
        """Choose the entry, as Enter or a click on it does."""
        match self.widget:
            case OptionList() as options:
                self.point_at()
                options.action_select()
            case Button() as button:
                button.press()
            case Select() as select:
                select.action_show_overlay()
            case Listing() as listing:
                listing.choose_entry(self.place)

    def point_at(self) -> None:
        """Go to it, for a key that does something with it."""
        self.widget.focus()
        if isinstance(self.widget, Pointing):
            self.widget.highlighted = self.place


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of a screen, and what the numbers in it stand for."""

    lines: tuple[str, ...]
    choices: tuple[Choice, ...]

    def lines_since(self, known: tuple[str, ...]) -> list[str]:
        """All of it, or what differs where that is little: a mark that has moved, a note."""
        if len(known) == len(self.lines):
            new = [line for line, old in zip(self.lines, known, strict=True) if line != old]
            if len(new) <= FEW:
                return new
        return [*self.lines]


def tell(root: Screen[object] | Widget) -> Told:
    """A screen, or a part of one, in lines."""
    lines: list[str] = []
    choices: list[Choice] = []
    several = len([*root.query(Input)]) > 1
    for widget in root.walk_children(Widget, with_self=not isinstance(root, Screen)):
        if not is_shown(widget):
            continue
        if widget.border_title:
            lines.append(f"[{_plain(str(widget.border_title))}]")
        lines += _tell_widget(widget, choices, several)
        if widget.border_subtitle:
            lines.append(f"({_plain(str(widget.border_subtitle))})")
    return Told(tuple(line for line in lines if line), tuple(choices))


def drawn_lines(widget: Widget) -> Iterator[str]:
    """What a widget draws, without frames."""
    for strip in widget.render_lines(Region(0, 0, *widget.size)):
        if line := _plain(strip.text):
            yield line


def is_shown(widget: Widget) -> bool:
    """Whether a widget would be on the screen."""
    return widget.visible and all(one.display for one in widget.ancestors_with_self)


def _tell_widget(widget: Widget, choices: list[Choice], several: bool) -> list[str]:
    if isinstance(widget.parent, SelectCurrent):
        return []  # told with its field
    match widget:
        case Input():
            name = _plain(widget.placeholder) or _plain(str(widget.border_title or ""))
            here = " (here)" if several and widget.has_focus else ""
            return [f"Field{here}: {name}. Now: {widget.value or 'empty'}".replace(": .", ".")]
        case TextArea():
            return [f"Text field: {widget.text or 'empty'}"]
        case Select():
            label = next(widget.query("#label").results(Static), None)
            if label is None:  # it is being made
                return []
            choices.append(Choice(widget, 0))
            return [f"{len(choices)}. {_text(label.visual)}, choose"]
        case Button():
            if widget.disabled:
                return []
            choices.append(Choice(widget, 0))
            return [f"{len(choices)}. {_text(widget.label)}"]
        case OptionList():
            return _tell_options(widget, choices)
        case Static():
            return _text_of(widget)
    if isinstance(widget, Listing):
        return _number(widget, widget.plain_entries(), choices, range(MAX_OPTIONS))
    if not widget.children and not isinstance(widget, ScrollView):
        return [*drawn_lines(widget)]
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


def _text_of(widget: Static) -> list[str]:
    """A text as it is; what Rich lays out, as it is drawn."""
    visual = widget.visual
    if isinstance(visual, Content):
        return [_plain(line) for line in visual.plain.splitlines()]
    return [*drawn_lines(widget)]


def _text(value: object) -> str:
    if isinstance(value, Content):
        return value.plain
    return getattr(value, "plain", None) or str(value)


def _plain(text: str) -> str:
    """A line without frames; what is drawn with signs is said with words."""
    text = Content.from_markup(text).plain if "[" in text and "[/" in text else text
    return _WIDE_GAP.sub("   ", _FRAMES.sub(" ", strip_controls(text))).strip()
