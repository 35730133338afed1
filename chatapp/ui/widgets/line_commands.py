"""What Control and Alt with a letter do in a text that is being written, as in GNU readline.

All of it happens where the key arrives. Words: for Alt, letters and digits of every script; for
Ctrl+W, what stands between blanks. What is killed in one go is yanked as one.
"""

from collections import deque
from collections.abc import Callable, Mapping

from textual.document._document import Document
from textual.document._edit import Edit
from textual.document._history import EditHistory
from textual.widgets import TextArea

_KEPT = 30
"""Killed texts that Alt+Y can reach."""

UNDO_KEYS = ("ctrl+underscore", "ctrl+minus", "ctrl+shift+minus", "ctrl+slash")
"""One key on most keyboards: legacy terminals send the first for each of them."""


class WordHistory(EditHistory):
    """Undo by words, however fast they came: Textual's groups what was typed within two seconds."""

    def __init__(self) -> None:
        super().__init__(
            max_checkpoints=200, checkpoint_timer=float("inf"), checkpoint_max_characters=100
        )

    def _pop_undo(self) -> list[Edit] | None:
        """What is written after an undo is undone apart from what was written before."""
        self.checkpoint()
        return super()._pop_undo()

    def record(self, edit: Edit) -> None:
        super().record(edit)
        if edit.text.isspace():
            self.checkpoint()


def plain(area: TextArea) -> Document:
    """The area's document, which counts characters too; only one with a language does not."""
    assert isinstance(area.document, Document)
    return area.document


class KillRing:
    """What was killed, the last one first."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque(maxlen=_KEPT)

    def add(self, text: str) -> None:
        """One more."""
        self._texts.appendleft(text)

    def grow(self, text: str, *, forward: bool) -> None:
        """Join a text to the last one, on the side where it stood."""
        last = self._texts.popleft()
        self._texts.appendleft(last + text if forward else text + last)

    @property
    def top(self) -> str:
        """What a yank brings back."""
        return self._texts[0] if self._texts else ""

    def rotate(self) -> None:
        """Make the one before the top."""
        self._texts.rotate(-1)


class Readline:
    """The commands, on one text area."""

    def __init__(self, area: TextArea) -> None:
        self._area = area
        self.ring = KillRing()
        self._last = ""
        """What the key before did: `kill`, `yank`, or anything else."""
        self._yanked = (0, 0)
        commands: dict[str, Callable[[], str]] = {
            "ctrl+a": lambda: self._move(line_start),
            "ctrl+e": lambda: self._move(line_end),
            "alt+b": lambda: self._move(word_back),
            "alt+f": lambda: self._move(word_forward),
            "ctrl+w": lambda: self._kill(blank_back),
            "alt+backspace": lambda: self._kill(word_back),
            "ctrl+backspace": lambda: self._kill(word_back),
            "ctrl+u": lambda: self._kill(line_start_or_before),
            "ctrl+k": lambda: self._kill(line_end_or_behind),
            "alt+d": lambda: self._kill(word_forward),
            "alt+delete": lambda: self._kill(word_forward),
            "ctrl+y": self._yank,
            "alt+y": self._yank_another,
            **dict.fromkeys(UNDO_KEYS, self._undo),
        }
        self.commands: Mapping[str, Callable[[], str]] = commands

    def run(self, key: str) -> bool:
        """Do what the key does here; whether it does anything."""
        command = self.commands.get(key)
        self._last = command() if command else ""
        return command is not None

    def _move(self, target: "Target") -> str:
        area = self._area
        area.move_cursor(self._location(target(area.text, self._at)))
        return "move"

    def _kill(self, target: "Target") -> str:
        area = self._area
        if not area.selection.is_empty:
            start, end = sorted(area.selection)
            forward = True
        else:
            at, to = self._at, target(area.text, self._at)
            forward = to > at
            start, end = (self._location(place) for place in sorted((at, to)))
        killed = area.replace("", start, end, maintain_selection_offset=False).replaced_text
        if not killed:
            return self._last if self._last == "kill" else ""
        if self._last == "kill":
            self.ring.grow(killed, forward=forward)
        else:
            self.ring.add(killed)
        return "kill"

    def _yank(self) -> str:
        area = self._area
        if not self.ring.top:
            return ""
        start = plain(area).get_index_from_location(min(area.selection))
        area.history.checkpoint()
        end = area.replace(
            self.ring.top, *sorted(area.selection), maintain_selection_offset=False
        ).end_location
        area.move_cursor(end)
        self._yanked = (start, plain(area).get_index_from_location(end))
        return "yank"

    def _yank_another(self) -> str:
        if self._last != "yank":
            return ""
        self.ring.rotate()
        area = self._area
        start, end = self._yanked
        place = area.replace(
            self.ring.top,
            self._location(start),
            self._location(end),
            maintain_selection_offset=False,
        ).end_location
        area.move_cursor(place)
        self._yanked = (start, plain(area).get_index_from_location(place))
        return "yank"

    def _undo(self) -> str:
        self._area.undo()
        return ""

    @property
    def _at(self) -> int:
        area = self._area
        return plain(area).get_index_from_location(area.cursor_location)

    def _location(self, index: int) -> tuple[int, int]:
        return plain(self._area).get_location_from_index(index)


Target = Callable[[str, int], int]
"""From a text and a place in it to another place."""


def line_start(text: str, at: int) -> int:
    """The beginning of the line."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """The end of the line."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def line_start_or_before(text: str, at: int) -> int:
    """The beginning of the line; at the beginning, the end of the line before."""
    return max(0, at - 1) if line_start(text, at) == at else line_start(text, at)


def line_end_or_behind(text: str, at: int) -> int:
    """The end of the line; at the end, the beginning of the next line."""
    return min(len(text), at + 1) if line_end(text, at) == at else line_end(text, at)


def word_back(text: str, at: int) -> int:
    """The beginning of this word, or of the one before."""
    while at and not text[at - 1].isalnum():
        at -= 1
    while at and text[at - 1].isalnum():
        at -= 1
    return at


def word_forward(text: str, at: int) -> int:
    """The end of this word, or of the next one."""
    while at < len(text) and not text[at].isalnum():
        at += 1
    while at < len(text) and text[at].isalnum():
        at += 1
    return at


def blank_back(text: str, at: int) -> int:
    """Where what stands between blanks begins; a line end before the cursor is one of its own."""
    if at and text[at - 1] == "\n":
        return at - 1
    start = line_start(text, at)
    while at > start and text[at - 1].isspace():
        at -= 1
    while at > start and not text[at - 1].isspace():
        at -= 1
    return at
