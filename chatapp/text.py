"""Text that nobody vouches for, made harmless to draw or to write to a terminal.

Promises that nothing it returns can move the cursor, change a terminal's state or reorder what is
read: escape sequences go with their parameters, other control characters go alone, bidirectional
overrides go, half surrogates become U+FFFD. `\\n` and `\\t` stay; `\\r\\n`, `\\r`, U+2028 and
U+2029 become `\\n`. It decides nothing about Markdown.

The surprising fact: an escape string (OSC, DCS, ...) that never ends must not swallow an answer,
so it ends at a newline or after `MAX_STRING` characters. What follows is plain text by then.
"""

import codecs
import re
import unicodedata
from enum import Enum, auto

MAX_STRING = 4096
"""Longest body of an OSC, DCS, SOS, PM or APC string that is dropped, in characters."""

_MAX_CONTROL = 64
"""Longest CSI sequence that is dropped, in characters; real ones stay under 40."""

# C0 but \t and \n, DEL and C1, line and paragraph separators, bidi embeddings, overrides and
# isolates, and surrogates (a lone one cannot be encoded, so it would fail at the terminal).
_SPECIAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_HALF = re.compile("[\ud800-\udfff]")
_STRING_END = re.compile("[\x07\n\x18\x1a\x1b\x9c]")
_STRING_STARTS = {"]", "P", "X", "^", "_"}
_STRING_STARTS_C1 = {"\x9d", "\x90", "\x98", "\x9e", "\x9f"}


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class _State(Enum):
    GROUND = auto()
    ESCAPE = auto()
    CONTROL = auto()
    STRING = auto()


class ControlFilter:
    """Filters one stream of text that arrives in pieces; the cuts between pieces change nothing."""

    def __init__(self) -> None:
        self._state = _State.GROUND
        self._length = 0
        self._after_return = False

    def feed(self, chunk: str) -> str:
        """What may be shown of `chunk`, given all that came before it."""
        if self._state is _State.GROUND and not self._after_return and not _SPECIAL.search(chunk):
            return chunk
        out: list[str] = []
        position, end = 0, len(chunk)
        while position < end:
            if self._state is _State.GROUND:
                position = self._pass_text(chunk, position, out)
            elif self._state is _State.STRING:
                position = self._skip_string(chunk, position)
            else:
                position = self._skip_sequence(chunk, position)
        return "".join(out)

    def _pass_text(self, chunk: str, position: int, out: list[str]) -> int:
        if self._after_return:
            self._after_return = False
            if chunk[position] == "\n":
                return position + 1
        found = _SPECIAL.search(chunk, position)
        if found is None:
            out.append(chunk[position:])
            return len(chunk)
        out.append(chunk[position : found.start()])
        char = found.group()
        if char == "\x1b":
            self._enter(_State.ESCAPE)
        elif char == "\x9b":
            self._enter(_State.CONTROL)
        elif char in _STRING_STARTS_C1:
            self._enter(_State.STRING)
        elif char in "\r\u2028\u2029":
            out.append("\n")
            self._after_return = char == "\r"
        elif "\ud800" <= char <= "\udfff":
            out.append("\ufffd")
        return found.end()

    def _enter(self, state: _State) -> None:
        self._state = state
        self._length = 0

    def _skip_sequence(self, chunk: str, position: int) -> int:
        """One character of an ESC or CSI sequence (ECMA-48, section 5.4)."""
        char = chunk[position]
        self._length += 1
        if self._state is _State.ESCAPE and self._length == 1:
            if char == "[":
                self._enter(_State.CONTROL)
                return position + 1
            if char in _STRING_STARTS:
                self._enter(_State.STRING)
                return position + 1
        final = "\x40" if self._state is _State.CONTROL else "\x30"
        if final <= char <= "\x7e":
            self._state = _State.GROUND
            return position + 1
        middle = "\x3f" if self._state is _State.CONTROL else "\x2f"
        if "\x20" <= char <= middle and self._length < _MAX_CONTROL:
            return position + 1
        self._state = _State.GROUND  # malformed: the character is looked at again, as text
        return position

    def _skip_string(self, chunk: str, position: int) -> int:
        limit = position + MAX_STRING - self._length
        found = _STRING_END.search(chunk, position, limit)
        if found is None:
            self._length += min(limit, len(chunk)) - position
            if self._length >= MAX_STRING:
                self._state = _State.GROUND
            return min(limit, len(chunk))
        # ESC may start the terminator `ESC \` or another sequence: both are read the same way.
        self._state = _State.GROUND
        return found.start() if found.group() in "\x1b\n" else found.end()


def decode_text(data: bytes) -> str:
    """The text in a file: UTF-8, or UTF-16 with its mark, as some programs of Windows write it.

    The mark is no part of the text. Raises `UnicodeDecodeError` for anything else.
    """
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def find_encoding(head: bytes) -> str:
    """What a file that begins so is encoded in: UTF-8, or UTF-16 or UTF-32, of which the former is
    known without its mark, too. "" when it is no text.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    zeros = head.count(0)
    if zeros * 100 <= len(head):  # a stray one is a control character like others
        return "utf-8"
    even, odd = head[::2].count(0), head[1::2].count(0)
    if min(even, odd) * 20 < max(even, odd) and max(even, odd) * 6 > len(head):
        return "utf-16-be" if even > odd else "utf-16-le"
    return ""


def whole_text(text: str) -> str:
    """`text` with U+FFFD for half surrogates, as they come from names whose bytes are no UTF-8."""
    return _HALF.sub("\ufffd", text)


def strip_controls(text: str) -> str:
    """`text` without control characters, escape sequences and bidirectional overrides."""
    return ControlFilter().feed(text)


_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_JOINER = "\u200d"
_UNSEEN = {"Cc", "Cf", "Mn", "Me", "Zl", "Zp", "Zs"}


def one_line(text: str) -> str:
    """One line without controls, escape sequences and bidirectional overrides; empty when nothing
    of it is seen.

    Joiners, selectors, tags, private and future characters stay: words and emoji need them.
    """
    if "\x1b" in text:
        text = strip_controls(text)  # sequences go with their parameters
    blank = (" " if unicodedata.category(char) == "Cc" else char for char in _BIDI.sub("", text))
    line = " ".join("".join(blank).split())
    return line if any(unicodedata.category(char) not in _UNSEEN for char in line) else ""


def cut_text(text: str, limit: int) -> str:
    """The first `limit` characters or a few fewer, so that none that is read as one is divided.

    Follows the clusters of Unicode's annex 29 near enough. One that alone is longer is divided.
    """
    if len(text) <= limit:
        return text
    for end in range(limit, 0, -1):
        if not _belongs_together(text, end):
            return text[:end]
    return text[:limit].rstrip(_JOINER)


def _belongs_together(text: str, at: int) -> bool:
    """Whether the characters before and after position `at` are parts of one cluster."""
    before, after = text[at - 1], text[at]
    if extends_cell(after) or unicodedata.category(after) == "Mc" or before == _JOINER:
        return True
    if _is_flag(before) and _is_flag(after):  # flags are pairs, counted from the first
        run = next((n for n in range(at) if not _is_flag(text[at - 1 - n])), at)
        return run % 2 == 1
    if unicodedata.combining(before) == 9:  # a virama joins the letter that follows
        return unicodedata.category(after) == "Lo"
    return "\u1100" <= before <= "\u11ff" and "\u1160" <= after <= "\u11ff"  # Hangul in pieces


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def extends_cell(char: str) -> bool:
    """Whether a character takes no cell of its own: marks, joiners, selectors, tags, skin tones."""
    return unicodedata.category(char) in ("Mn", "Me", "Cf") or "\U0001f3fb" <= char <= "\U0001f3ff"
