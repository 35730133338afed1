"""What a server sends, event by event: server-sent events, or a whole JSON body all the same.

Server-sent events are read as the WHATWG's standard says, by httpx2's own reader: any line ending,
comments, several lines of data, a byte order mark. A server that does not stream, or that says
another content type, is known by its first character. An event is bounded in size.
"""

from __future__ import annotations

import codecs
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec

from chatapp.errors import EngineError

_MAX_EVENT = 4 << 20
_MAX_BODY = 4 << 20
_DONE = "[DONE]"
_NO_STREAM = (b"{", b"[", b"<")  # JSON, or a page; no line of an event begins so


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream of server-sent events."""

    data: str
    is_error: bool = False
    """The server calls it an error."""
    is_unfinished: bool = False
    """The stream ended in it: it may be a half."""
    is_body: bool = False
    """No stream: it is all that the server says."""

    @property
    def is_end(self) -> bool:
        """Whether the server says that nothing comes behind it."""
        return self.data.strip() == _DONE


def read_events(pieces: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events in the body of an answer; those without data are left out."""
    pieces = iter(pieces)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= len(codecs.BOM_UTF8) and _without_mark(head).strip():
            break
    rest = itertools.chain([_without_mark(head)], pieces)
    if _without_mark(head).lstrip().startswith(_NO_STREAM):
        events = iter([ServerEvent(read_body(rest).decode("utf-8", "replace"), is_body=True)])
    else:
        events = _read_stream(rest)
    return (part for event in events for part in _divide(event) if part.data.strip())


def read_body(pieces: Iterable[bytes]) -> bytes:
    """The whole body of an answer. Raises `EngineError` where it is too long."""
    body = b""
    for piece in pieces:
        body += piece
        if len(body) > _MAX_BODY:
            raise EngineError(f"The server sent more than {_MAX_BODY >> 20} MB.")
    return body


def decode_json(text: str | bytes) -> Any:
    """Any JSON value, NaN and half a surrogate pair included, which some servers write. Raises
    `ValueError`, for one that is nested too deep as well."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _without_mark(head: bytes) -> bytes:
    return head.removeprefix(codecs.BOM_UTF8)


def _read_stream(pieces: Iterable[bytes]) -> Iterator[ServerEvent]:
    ended = False

    def with_end() -> Iterator[bytes]:
        nonlocal ended
        yield from pieces
        ended = True
        yield b"\n\n"  # the standard drops an event that no empty line ends; servers forget it

    stream = httpx2.Response(
        200,
        headers={"Content-Type": "text/event-stream; charset=utf-8"},
        content=with_end(),
        request=httpx2.Request("POST", "http://server"),
    )
    try:
        for event in httpx2.EventSource(stream, max_event_size=_MAX_EVENT):
            yield ServerEvent(event.data, event.event == "error", ended)
    except httpx2.SSEError:
        raise EngineError(f"The server sent an event of more than {_MAX_EVENT >> 20} MB.") from None


def _divide(event: ServerEvent) -> Iterator[ServerEvent]:
    """A server that leaves out the empty lines sends many values in one event, each in a line."""
    lines = [line for line in event.data.split("\n") if line.strip()]
    if len(lines) < 2 or _is_json(event.data) or not all(map(_is_json, lines[:-1])):
        yield event
        return
    for line in lines:
        is_last = line is lines[-1]
        yield ServerEvent(line, event.is_error, event.is_unfinished and is_last)


def _is_json(text: str) -> bool:
    try:
        decode_json(text)
    except ValueError:
        return text.strip() == _DONE
    return True
