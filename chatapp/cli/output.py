"""Standard output: the model's words and nothing else, made harmless, and without a crash when
nobody reads them any more.

In text mode control characters and terminal escapes are removed, for a pipe too: its other end is
often a terminal in the end. JSON carries the text as it is, with its controls escaped.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping

from chatapp.text import ControlFilter, strip_controls

_RAW_CONTROLS = re.compile("[\x7f-\x9f]")
"""What `json.dumps` leaves as it is although a terminal may act on it."""


def dump_json(value: object) -> str:
    """`value` as indented JSON that is safe to print on a terminal."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _RAW_CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


class Output:
    """Standard output of one answer. `stream`: words are written as they come."""

    def __init__(self, *, stream: bool) -> None:
        self._stream = stream
        self._filter = ControlFilter()
        self._shown = 0
        self._last = ""
        self.broken = False
        """The reader of our pipe has left."""

    def show(self, text: str) -> None:
        """The answer so far: what of it is new is written. What stands on a terminal or in a pipe
        cannot be taken back, so an end that reads otherwise now is left as it was."""
        if self._stream:
            new, self._shown = text[self._shown :], max(self._shown, len(text))
            self._put(self._filter.feed(new))

    def print_json(self, value: Mapping[str, object]) -> None:
        """One object on lines of its own."""
        self._put(dump_json(value))

    def print_alternatives(self, alternatives: list[tuple[str, int | None]]) -> None:
        """Several answers with their seeds, each under a line that numbers it."""
        for number, (text, seed) in enumerate(alternatives, 1):
            of_seed = "" if seed is None else f" (seed {seed})"
            head = f"--- {number} of {len(alternatives)}{of_seed} ---"
            gap = "\n\n" if number > 1 else ""
            self._put(f"{gap}{head}\n{strip_controls(text).strip()}")

    def print_calls(self, calls: Iterable[str]) -> None:
        """Calls of tools, each on a line of its own, behind what was said."""
        for call in calls:
            self.end_line()
            self._put(strip_controls(call))

    def end_line(self) -> None:
        """Begin a new line unless we are on one, or nothing was written."""
        if self._last not in ("", "\n"):
            self._put("\n")

    def finish(self) -> None:
        """End the last line; `BrokenPipeError` if the reader has left."""
        self.end_line()
        if self.broken:
            raise BrokenPipeError

    def _put(self, text: str) -> None:
        if self.broken or not text:
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._last = text[-1]
        except BrokenPipeError:
            self.broken = True
