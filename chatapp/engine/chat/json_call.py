"""One call of a tool that is a JSON object, read while it is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator

from chatapp.engine.chat.format import Calls
from chatapp.engine.chat.source import JsonScan, Reading, Source
from chatapp.parts import ToolCall

Tell = Callable[[ToolCall, bool], None]
"""Told of a call; True where it is the one told of last, as it is now."""


class JsonCall:
    """One call that is a JSON object."""

    def __init__(self, source: Source, form: Calls, tell: Tell, place: int) -> None:
        self._source = source
        self._keys = form.keys
        self._tell = tell
        self.place = place
        """Where the object begins; afterwards, where it ends."""
        self._name = self._id = ""
        self._arguments = ""
        self._is_told = False

    def read(self) -> Reading:
        """Read the object; False if it is no call."""
        closed = yield from self._read_object(self.place + 1)
        if self._name and closed:
            self._say(self._arguments or "{}")
        return bool(self._name)

    def _read_object(self, place: int) -> Reading:
        source = self._source
        while True:
            place = yield from source.skip_space(place)
            character = source.text[place : place + 1]
            if character == ",":
                place += 1
                continue
            if character != '"':
                self.place = min(place + 1, len(source.text))
                return character == "}"
            key, place = yield from self._read_text(place)
            inner = yield from source.match((":",), place)
            if inner < 0:
                self.place = len(source.text) if source.ended else place
                return False
            place = yield from source.skip_space(inner)
            place = yield from self._read_member(key, place)
            if place < 0:
                self.place = len(source.text)
                return False

    def _read_member(self, key: str, place: int) -> Generator[None, None, int]:
        source, keys = self._source, self._keys
        begins = source.text[place : place + 1]
        if key == "function" and begins == "{":
            closed = yield from self._read_object(place + 1)
            return self.place if closed else -1
        is_name_key = keys.name_is_key and begins == "{"
        if is_name_key:
            self._name = key
        if is_name_key or key in (keys.arguments, "arguments", "parameters"):
            return (yield from self._read_arguments(place))
        scan = JsonScan(place)
        while not scan.run(source.text, ended=source.ended):
            if source.ended:
                return -1
            yield
        value = source.text[place : scan.place]
        if key in (keys.name, "name", "function"):
            self._name = _plain(value)
            self._say(self._arguments)
        elif key in (keys.id, "id", "call_id", "tool_call_id"):
            self._id = _plain(value)
            if self._is_told:
                self._say(self._arguments)
        return scan.place

    def _read_arguments(self, place: int) -> Generator[None, None, int]:
        source = self._source
        scan = JsonScan(place)
        while not scan.run(source.text, ended=source.ended):
            self._arguments = source.text[place:]
            self._say(self._arguments)
            if source.ended:
                return -1
            yield
        value = source.text[place : scan.place]
        inner = _plain(value) if value.startswith('"') else ""
        self._arguments = inner if inner.lstrip().startswith("{") else value
        self._say(self._arguments)
        return scan.place

    def _read_text(self, place: int) -> Generator[None, None, tuple[str, int]]:
        scan = JsonScan(place)
        source = self._source
        while not scan.run(source.text, ended=source.ended) and not source.ended:
            yield
        return _plain(source.text[place : scan.place]), scan.place

    def _say(self, arguments: str) -> None:
        if self._name:
            self._tell(ToolCall(self._id, self._name, arguments), self._is_told)
            self._is_told = True


def _plain(value: str) -> str:
    """A JSON scalar as text."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value.strip('"')
    return found if isinstance(found, str) else value
