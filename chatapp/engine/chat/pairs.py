"""Calls whose arguments are pairs of a name and a value: Python's `f(a=1)`, Gemma's `f{a:1}`."""

from __future__ import annotations

import re
from collections.abc import Container, Generator

from chatapp.engine.chat.format import Calls
from chatapp.engine.chat.growing import Growing
from chatapp.engine.chat.source import Reading, Source
from chatapp.engine.chat.values import as_json, dict_to_json, python_to_json

_NAME = re.compile(r"[\w.:/$@-]*")
_MOST_NAME = 256


def read_name(source: Source, place: int) -> Generator[None, None, tuple[str, int]]:
    """The name that stands at `place`, behind white space, and the place behind it."""
    place = yield from source.skip_space(place)
    while True:
        found = _NAME.match(source.text, place)
        end = found.end() if found else place
        if end < len(source.text) or source.ended or end - place > _MOST_NAME:
            return source.text[place:end], end
        yield


class PairsCall:
    """Reads calls of tools that are written as pairs of keys and values."""

    def __init__(
        self,
        source: Source,
        form: Calls,
        growing: Growing,
        names: Container[str] | None = None,
    ) -> None:
        """`names` are the only ones that are taken; with None, all are."""
        self._source = source
        self._form = form
        self._growing = growing
        self._names = names

    def read_python(self, place: int) -> Reading:
        """`[f(a=1), g()]`, or one call without brackets."""
        source = self._source
        place = yield from source.skip_space(place)
        is_list = source.text[place : place + 1] == "["
        place += is_list
        told = 0
        while True:
            name, end = yield from read_name(source, place)
            if not name or source.text[end : end + 1] != "(" or not self._takes(name):
                break
            told += 1
            place = yield from self._read_pairs(name, end + 1, "=", ")")
            source.at = place
            place = yield from source.skip_space(place)
            if source.text[place : place + 1] in (",", ";"):
                place += 1
        if told and is_list and source.text[place : place + 1] == "]":
            source.at = place + 1
        return told > 0

    def read_dict(self, place: int) -> Reading:
        """Read a call that is written as `f{a:1}`; whether there is one."""
        name, end = yield from read_name(self._source, place)
        if not name or self._source.text[end : end + 1] != "{":
            return False
        name = name.removeprefix("call:")
        self._source.at = yield from self._read_pairs(name, end + 1, ":", "}")
        return True

    def _takes(self, name: str) -> bool:
        return self._names is None or name in self._names

    def _read_pairs(
        self, name: str, place: int, equals: str, closer: str
    ) -> Generator[None, None, int]:
        """Arguments with names up to `closer`; the place behind it."""
        source, growing = self._source, self._growing
        growing.begin_call("", name)
        lead = "{"
        while True:
            place = yield from source.skip_space(place)
            if source.text[place : place + 1] == ",":
                place += 1
                continue
            if place >= len(source.text):
                return place
            if source.text[place] == closer:
                growing.argue("{}" if lead == "{" else "}")
                return place + 1
            end = yield from self._end_of_value(place, equals + closer)
            if end < 0:
                return len(source.text)
            key = source.text[place:end].strip().strip("\"'")
            if self._form.quote:
                key = key.replace(self._form.quote, "")
            growing.argue(f"{lead}{as_json(key)}: ")
            lead = ", "
            if source.text[end] != equals:  # a value without a name
                growing.argue("null")
                place = end
                continue
            place = end + 1
            end = yield from self._end_of_value(place, "," + closer)
            if end < 0:
                return len(source.text)
            growing.argue(self._to_json(source.text[place:end]))
            place = end

    def _to_json(self, value: str) -> str:
        if self._form.body == "dict":
            return dict_to_json(value, self._form.quote)
        return python_to_json(value)

    def _end_of_value(self, place: int, ends: str) -> Generator[None, None, int]:
        """Where one of the characters `ends` stands, not in strings and brackets; -1: nowhere."""
        source, depth, quote = self._source, 0, ""
        marks = (self._form.quote, '"') if self._form.quote else ('"', "'")
        while True:
            while place < len(source.text):
                near = len(source.text) - place < len(marks[0])
                if near and not source.ended and marks[0].startswith(source.text[place:]):
                    break  # what may be the beginning of a mark
                if quote:
                    if source.text[place] == "\\" and len(quote) == 1:
                        place += 2
                        continue
                    if source.text.startswith(quote, place):
                        place += len(quote)
                        quote = ""
                        continue
                    place += 1
                    continue
                begun = next((mark for mark in marks if source.text.startswith(mark, place)), "")
                if begun:
                    quote, place = begun, place + len(begun)
                    continue
                character = source.text[place]
                if not depth and character in ends:
                    return place
                depth += (character in "[{(") - (character in ")}]")
                place += 1
            if source.ended:
                return -1
            yield
