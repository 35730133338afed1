"""The values in a text of JSON, one at a time: a list is read item by item.

So a file of ten thousand conversations takes the memory of its bytes and of one conversation.
JSON lines are several values in a row. NaN and the like are read, and dropped where they are used.
"""

import codecs
import json
import re
from collections.abc import Generator, Iterator

import msgspec

from chatapp.errors import UsageError
from chatapp.text import decode_text

MAX_TEXT = 2**30
"""Bytes of the largest file of JSON that is read."""

_SPACE = re.compile(r"[ \t\r\n\x1e]*")
_DECODER = json.JSONDecoder()


def decode(data: bytes) -> str:
    """The text of a file. Raises `UsageError` for bytes that are none."""
    try:
        return decode_text(data)
    except UnicodeDecodeError:
        raise UsageError("It is not UTF-8 text.") from None


def looks_like_json(head: bytes) -> bool:
    """Whether the first bytes of a file may begin an object or a list."""
    text = head.decode(
        "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "ignore"
    )
    return text.lstrip(" \t\r\n\x1e")[:1] in ("{", "[")


def read_values(data: bytes) -> Iterator[object]:
    """The items of a list, or the values that follow each other; a list of messages as one.

    Raises `UsageError` at the first place that is no JSON, with what stood before it yielded.
    """
    items = _divide(data)
    if items is None or (items and _is_message(_load(items[0]))):
        yield from _read_text(decode(data))
        return
    for item in items:
        yield _load(item)


def _load(item: msgspec.Raw) -> object:
    value, _ = _read(decode(bytes(item)), 0)
    return value


def _divide(data: bytes) -> list[msgspec.Raw] | None:
    """The items of a file that is one list, not read yet; None: it is something else, or broken,
    or says what strict JSON does not (NaN), and is to be read as text."""
    try:
        return _LIST.decode(data.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and "content" in value


def _read_text(text: str) -> Iterator[object]:
    position = _skip(text, 0)
    if position == len(text):
        raise UsageError("It is empty.")
    while position < len(text):
        if text[position] == "[" and not _holds_messages(text, position):
            position = yield from _read_list(text, position)
        else:
            value, position = _read(text, position)
            yield value
        position = _skip(text, position)


def _holds_messages(text: str, position: int) -> bool:
    """Whether the items of the list are messages: then the list is the conversation."""
    first = _skip(text, position + 1)
    if first >= len(text) or text[first] != "{":
        return False
    value, _ = _read(text, first)
    return _is_message(value)


def _read_list(text: str, position: int) -> Generator[object, None, int]:
    position = _skip(text, position + 1)
    if text[position : position + 1] == "]":
        return position + 1
    while True:
        value, position = _read(text, position)
        yield value
        position = _skip(text, position)
        mark = text[position : position + 1]
        if mark == "]":
            return position + 1
        if mark != ",":
            raise _broken(text, position, "a comma or the end of the list is missing")
        position = _skip(text, position + 1)


def _read(text: str, position: int) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except RecursionError:
        raise UsageError("It is nested too deep: lists and objects in each other.") from None
    except json.JSONDecodeError as error:
        # An open string is complained of where it begins, and ends with the file.
        place = len(text) if error.msg.startswith("Unterminated string") else error.pos
        raise _broken(text, place, error.msg) from None
    except ValueError as error:  # a number with too many digits
        raise UsageError(f"It is not valid JSON: {error}.") from None


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _broken(text: str, position: int, reason: str) -> UsageError:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    if position >= len(text):
        return UsageError(
            "It is not valid JSON: it ends too early.", "It may be cut: copy it again."
        )
    return UsageError(f"It is not valid JSON: {reason} (line {line}, column {column}).")
