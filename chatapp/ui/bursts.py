"""What comes from a terminal at once: keys, or a paste in a terminal that does not bracket pastes.

The rule: text in which an Enter stands between other text, all there at one reading and without
any key that edits, is a paste. `hello` and Enter is typing, however late it comes, and so is
whatever has an arrow, Backspace or a control key in it. Nobody types two lines between two readings
of a terminal; where a line that lags hands over two at once, they are in the prompt, unsent.

A terminal hands over 4 kB at a time, so a paste, and a line that may be its beginning, are waited
for a moment. Only what is no typing is ever delayed.
"""

import re
from collections.abc import Callable, Iterator

from chatapp.text import ControlFilter

PASTE_S = 0.05
"""A paste has ended when nothing more came for so long."""

LINE_S = 0.02
"""Text that came together with an Enter behind it may be the first line of a paste for so long."""

_TEXT = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")
_NOISE = re.compile(r"\x1b\[(?:<[\d;]+[Mm]|[IO])")
"""Reports of the mouse and the focus, which come in between."""

_OPEN, _CLOSE = "\x1b[200~", "\x1b[201~"


class Brackets:
    """Whether the end of a stream lies inside a bracketed paste, however the stream is cut.

    Not every terminal takes escape sequences out of what it pastes. Textual's parser would read
    keys there, and what follows in the paste as typed: a line end would send it.
    """

    def __init__(self) -> None:
        self.open = False
        self._tail = ""
        """What may be the beginning of a mark, read already; inside of a paste, still to be."""
        self._filter = ControlFilter()

    def feed(self, data: str) -> str:
        """What of the stream may be read as it is: inside a paste, text without sequences."""
        passed = []
        while data:
            mark = _CLOSE if self.open else _OPEN
            seen = self._tail + data
            at = seen.find(mark)
            end = at + len(mark) if at >= 0 else len(seen)
            if self.open:
                begun = "" if at >= 0 else _begun(seen, mark)
                inside = seen[: at if at >= 0 else len(seen) - len(begun)]
                passed.append(self._filter.feed(inside) + (mark if at >= 0 else ""))
                self._tail = begun
            else:
                passed.append(seen[len(self._tail) : end])
                self._tail = "" if at >= 0 else seen[1 - len(mark) :]
            if at >= 0:
                self.open, self._filter = not self.open, ControlFilter()
            data = seen[end:]
        return "".join(passed)


def _begun(data: str, mark: str) -> str:
    """The end of `data` that `mark` may begin with."""
    sizes = range(len(mark) - 1, 0, -1)
    return next((mark[:size] for size in sizes if data.endswith(mark[:size])), "")


def is_text(data: str) -> bool:
    """Whether `data` is characters that are printed, tabs and line ends, and nothing else."""
    return _TEXT.fullmatch(data) is not None


def is_paste(data: str, enters: str = "\r") -> bool:
    """Whether text that came at once is a paste. `enters`: characters that send as keys."""
    inner = data.strip("\r\n")
    return is_text(data) and any(enter in inner for enter in enters)


def divide_noise(data: str) -> tuple[str, str]:
    """`data` without the reports of mouse and focus, and these."""
    return _NOISE.sub("", data), "".join(_NOISE.findall(data))


def gather(first: str, more: Callable[[float], str], enters: str = "\r") -> Iterator[str]:
    """`first` with all that belongs to it, then whatever was read too much.

    `more(seconds)` waits so long for the next reading; "" if there is none.
    """
    pieces, pasted = [first], is_paste(first, enters)
    while pieces:
        last = pieces[-1]
        begun = not pasted and len(last) > 1 and last[-1] in enters and is_text(last)
        following = more(PASTE_S if pasted else LINE_S) if pasted or begun else ""
        if following and is_text(following):
            pieces.append(following)
            pasted = pasted or is_paste("".join(pieces), enters)
            continue
        yield "".join(pieces)
        pieces, pasted = ([following], is_paste(following, enters)) if following else ([], False)
