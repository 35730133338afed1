"""One call of a tool that is a JSON object, read while it is written."""

from __future__ import annotations

import json
from collections.abc import Container, Generator

from chatapp.engine.chat.format import Calls
from chatapp.engine.chat.growing import Growing
from chatapp.engine.chat.source import JsonScan, Reading, Source

_LONG, _FEW = 4096, 512
_KEYS = ("name", "arguments", "parameters", "function", "type", "id", "call_id", "tool_call_id")
_MOST_DEPTH = 2
"""A call may stand within another object, under `function`."""


class JsonCall:
    """One call that is a JSON object."""

    def __init__(
        self,
        source: Source,
        form: Calls,
        growing: Growing,
        place: int,
        names: Container[str] | None = None,
    ) -> None:
        """`place` is where the object begins; `names` are the only ones that are taken."""
        self._source = source
        self._keys = form.keys
        self._growing = growing
        self._names = names
        self._begin = place
        self.place = place
        """Where the object begins; afterwards, where it ends."""
        self._id = ""
        self._told = 0
        """The place up to which its arguments were told."""
        self._arguments = ""
        """The whole arguments, once they are there."""
        self._is_told = False
        self._depth = 0

    def read(self) -> Reading:
        """Read the object; False if it is no call."""
        closed = yield from self._read_object(self._begin + 1)
        if not self._is_told and self.place - self._begin > _LONG:
            self._source.most_ahead = _FEW
        if self._is_told and closed and not self._arguments:
            self._arguments = "{}"
            self._growing.argue("{}")
        return self._is_told

    def _read_object(self, place: int) -> Reading:
        source = self._source
        self._depth += 1
        while True:
            place = yield from source.skip_space(place)
            character = source.text[place : place + 1]
            if character == ",":
                place += 1
                continue
            if character != '"':
                self.place = min(place + 1, len(source.text))
                self._depth -= 1
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
        if not self._is_told and not self._may_have(key, begins):
            return -1
        if key == "function" and begins == "{" and self._depth < _MOST_DEPTH:
            closed = yield from self._read_object(place + 1)
            return self.place if closed else -1
        is_name_key = keys.name_is_key and begins == "{"
        if is_name_key:
            self._take_name(key)
        if is_name_key or key in (keys.arguments, "arguments", "parameters"):
            return (yield from self._read_arguments(place))
        scan = JsonScan(place)
        while not scan.run(source.text, ended=source.ended):
            if source.ended or self._is_too_far(scan.place):
                self.place = scan.place
                return -1
            yield
        if self._is_too_far(scan.place):
            return -1
        value = source.text[place : scan.place]
        if key in (keys.name, "name", "function"):
            self._take_name(_plain(value))
            if not self._is_told:
                return -1
        elif key in (keys.id, "id", "call_id", "tool_call_id"):
            self._id = _plain(value)
            if self._is_told:
                self._growing.change_call(self._id, self._arguments)
        return scan.place

    def _read_arguments(self, place: int) -> Generator[None, None, int]:
        source = self._source
        scan = JsonScan(place)
        self._told = place
        while not scan.run(source.text, ended=source.ended):
            self._tell_to(len(source.text))
            if source.ended or self._is_too_far(scan.place):
                return -1
            yield
        if self._is_too_far(scan.place):
            return -1
        value = source.text[place : scan.place]
        inner = _plain(value) if value.startswith('"') else ""
        if inner.lstrip().startswith("{"):
            self._arguments = inner
            if self._is_told:
                self._growing.change_call(self._id, inner)
        else:
            self._arguments = value
            self._tell_to(scan.place)
        return scan.place

    def _read_text(self, place: int) -> Generator[None, None, tuple[str, int]]:
        scan = JsonScan(place)
        source = self._source
        while not scan.run(source.text, ended=source.ended) and not source.ended:
            yield
        return _plain(source.text[place : scan.place]), scan.place

    def _may_have(self, key: str, begins: str) -> bool:
        """Whether a call may have that member before its name, the value beginning so."""
        keys = self._keys
        if keys.name_is_key:
            return self._names is None or key in self._names
        if key in (keys.name, "name") and begins != '"':
            return False
        return self._names is None or key in (*_KEYS, keys.name, keys.arguments, keys.id)

    def _is_too_far(self, place: int) -> bool:
        most = self._source.most_ahead
        return most is not None and not self._is_told and place - self._begin > most

    def _tell_to(self, end: int) -> None:
        """Tell the arguments up to a place, if it is known whose they are."""
        if self._is_told and end > self._told:
            self._growing.argue(self._source.text[self._told : end])
            self._told = end

    def _take_name(self, name: str) -> None:
        if not name or (self._names is not None and name not in self._names):
            return
        if self._is_told:
            return  # the first one counts
        self._is_told = True
        self._growing.begin_call(self._id, name, self._arguments)


def _plain(value: str) -> str:
    """A JSON scalar as text."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value.strip('"')
    return found if isinstance(found, str) else value
