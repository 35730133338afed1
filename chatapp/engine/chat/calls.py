"""Reads calls of tools from an answer while it is written.

A reader stands where a mark of a call begins. It reads on as text comes, tells of each call as
soon as its name is known, and of its arguments as they grow. What turns out to be no call before
its name is known is left unread, so that it is text; afterwards nothing is lost: arguments that
are not what they should be are told as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from chatapp.engine.chat.format import Calls
from chatapp.engine.chat.json_call import JsonCall, Tell
from chatapp.engine.chat.pairs import PairsCall, read_name
from chatapp.engine.chat.source import JsonScan, Reading, Source
from chatapp.engine.chat.values import as_json, parameters_of, text_to_json, wants_text
from chatapp.parts import ToolCall

_MOST_ATTRIBUTES = 256
"""Characters between a call's name and its arguments."""
_ID_AND_NAME = re.compile(r"(?:functions[.:])?(.*?)(?::\d+)?$")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_SEPARATORS = re.compile(r"[\s,;]*")


class CallReader:
    """Reads the calls of one answer."""

    def __init__(
        self, source: Source, form: Calls, tools: Sequence[Mapping[str, Any]], tell: Tell
    ) -> None:
        self._source = source
        self._form = form
        self._parameters = parameters_of(tools)
        self._tell = tell

    def read(self) -> Reading:
        """Read calls from where the source stands. False, and nothing read, if there is none."""
        form, source = self._form, self._source
        place = source.at
        inner = yield from self._open_section(place)
        begun = False
        while True:
            if begun:
                found = yield from self._next(inner)
                if found < 0:
                    break
                inner = found
            ok = yield from self._read_one(inner)
            if not ok:
                break
            begun = True
            inner = yield from self._close(form.close, source.at)
            source.at = inner
        if begun:
            source.at = yield from self._close(form.section_close, source.at)
        return begun

    def _open_section(self, place: int) -> Generator[None, None, int]:
        """Where the first call begins: behind the section's mark, if that is written."""
        form = self._form
        if form.section_open:
            inner = yield from self._source.match(form.section_open, place)
            return place if inner < 0 else inner
        return place

    def _next(self, place: int) -> Generator[None, None, int]:
        """Where another call begins, or -1."""
        form, source = self._form, self._source
        found = _SEPARATORS.match(source.text, place)
        after = found.end() if found else place
        after = yield from source.skip_space(after)
        if form.open:
            for opening in (form.open, form.open[-1:]):
                inner = yield from source.match(opening, after)
                if inner >= 0:
                    return after
            if form.body != "json":
                return -1
        if form.body == "json" and source.text[after : after + 1] == "{":
            return after
        return -1

    def _read_one(self, place: int) -> Reading:
        place = yield from self._open(place)
        if place < 0:
            return False
        match self._form.body:
            case "json":
                return (yield from self._read_json(place))
            case "python":
                return (
                    yield from PairsCall(self._source, self._form, self._tell).read_python(place)
                )
            case "dict":
                return (yield from PairsCall(self._source, self._form, self._tell).read_dict(place))
        return (yield from self._read_named(place))

    def _open(self, place: int) -> Generator[None, None, int]:
        """The place behind the call's own mark; its outer pieces may be missing."""
        form = self._form
        for first in range(len(form.open)):
            inner = yield from self._source.match(form.open[first:], place)
            if inner >= 0:
                return inner
        return place if not form.open or form.body in ("json", "python") else -1

    def _close(self, atoms: Sequence[str], place: int) -> Generator[None, None, int]:
        """The place behind as many of `atoms` as are written."""
        for atom in atoms:
            inner = yield from self._source.match((atom,), place)
            place = place if inner < 0 else inner
        return place

    # one JSON object

    def _read_json(self, place: int) -> Reading:
        """A call, or a list of calls."""
        source = self._source
        place = yield from source.skip_space(place)
        is_list = source.text[place : place + 1] == "["
        place += is_list
        told = 0
        while True:
            place = yield from source.skip_space(place)
            if source.text[place : place + 1] != "{":
                break
            reader = JsonCall(source, self._form, self._tell, place)
            ok = yield from reader.read()
            if not ok:
                break
            told += 1
            place = source.at = reader.place
            if not is_list:
                return True
            place = yield from source.skip_space(place)
            if source.text[place : place + 1] != ",":
                break
            place += 1
        if told and source.text[place : place + 1] == "]":
            source.at = place + 1
        return told > 0

    # a name, then arguments

    def _read_named(self, place: int) -> Reading:
        form, source = self._form, self._source
        place = yield from source.skip_space(place)
        call_id = ""
        if form.id_first:
            end = yield from source.find(form.before_id, place)
            if end < 0:
                return False
            call_id, place = source.text[place:end].strip(), end + len(form.before_id)
        name, place = yield from read_name(source, place)
        if not name:
            return False
        if form.name_has_id:
            call_id, name = name, _ID_AND_NAME.sub(r"\1", name)
        elif form.before_id and not form.id_first:
            inner = yield from source.match((form.before_id,), place)
            if inner >= 0:
                call_id, place = yield from read_name(source, inner)
        inner = yield from source.match(form.after_name, place)
        if inner < 0 and form.after_name and form.body == "tagged":  # attributes between
            inner = yield from source.find(form.after_name[-1], place)
            inner = (
                inner + len(form.after_name[-1]) if 0 <= inner - place < _MOST_ATTRIBUTES else -1
            )
        if inner >= 0:
            place = inner
        elif not source.ended:
            return False
        source.at = place
        call = ToolCall(call_id, name, "")
        if form.body == "tagged":
            yield from self._read_tagged(call, place)
        else:
            yield from self._read_arguments(call, place)
        return True

    def _read_arguments(self, call: ToolCall, place: int) -> Generator[None, None, None]:
        """Arguments that are JSON, told as they are written."""
        source = self._source
        self._tell(call, False)
        place = yield from source.skip_space(place)
        scan = JsonScan(place)
        while not scan.run(source.text, ended=source.ended) and not source.ended:
            self._tell(ToolCall(call.id, call.name, source.text[place:]), True)
            yield
        end = scan.place if scan.done else len(source.text)
        self._tell(ToolCall(call.id, call.name, source.text[place:end].rstrip()), True)
        source.at = end

    # arguments between marks of their own

    def _read_tagged(self, call: ToolCall, place: int) -> Generator[None, None, None]:
        source, marks = self._source, self._form.argument
        schemas = self._parameters.get(call.name, {})
        self._tell(call, False)
        written = ""
        while True:
            inner = yield from source.match((marks.key_open.strip(),), place)
            if inner >= 0 and inner >= len(source.text) and not source.ended:
                yield
                continue
            if inner < 0 or source.text.startswith("/", inner):
                break
            end = yield from source.find(marks.key_close.strip() or ">", inner)
            if end < 0:
                place = len(source.text)
                break
            key, place = source.text[inner:end].strip(), end + len(marks.key_close.strip() or ">")
            schema = schemas.get(key)
            kind, place = yield from self._read_type(place)
            written += f"{', ' if written else '{'}{as_json(key)}: "
            self._tell(ToolCall(call.id, call.name, written), True)
            is_text = kind in ("true", "string") or (not kind and wants_text(schema))
            value, place = yield from self._read_value(call, written, key, place, is_text=is_text)
            source.at = place
            if value is None:
                return
            if is_text:
                written += as_json(value)
            else:
                written += text_to_json(value, {"type": "any"} if kind else schema)
            self._tell(ToolCall(call.id, call.name, written), True)
        source.at = place
        if not source.ended or (yield from self._is_closed(place)):
            self._tell(ToolCall(call.id, call.name, (written or "{") + "}"), True)

    def _is_closed(self, place: int) -> Reading:
        inner = yield from self._source.match(self._form.close[:1], place)
        return inner >= 0

    def _read_type(self, place: int) -> Generator[None, None, tuple[str, int]]:
        """What stands before the value and may say its type."""
        source, marks = self._source, self._form.argument
        opening = marks.value_open.strip()
        if not opening:
            return "", place
        if not marks.has_type:
            inner = yield from source.match((opening,), place)
            return "", (place if inner < 0 else inner)
        end = yield from source.find(opening, place)
        if end < 0:
            return "", place
        return source.text[place:end].strip('" ='), end + len(opening)

    def _read_value(
        self, call: ToolCall, written: str, key: str, place: int, *, is_text: bool
    ) -> Generator[None, None, tuple[str | None, int]]:
        """A value, told while it grows if it is text; None where the text ends within it."""
        source, marks = self._source, self._form.argument
        mark = marks.value_close.replace("{key}", key).strip()
        begin = place
        place = yield from self._end_of_cdata(place)
        while (end := source.text.find(mark, place)) < 0:
            if is_text and len(source.text) > begin:
                so_far = _inside(source.text[begin:], marks.lead, "").rstrip("\n")
                cut = len(so_far) - _may_begin(so_far, mark)
                shown = as_json(so_far[:cut])[:-1]
                self._tell(ToolCall(call.id, call.name, written + shown), True)
            if source.ended:
                if not is_text:
                    rest = source.text[begin:].strip()
                    self._tell(ToolCall(call.id, call.name, written + rest), True)
                return None, len(source.text)
            place = max(place, len(source.text) - len(mark) + 1)
            yield
        value = _inside(source.text[begin:end], marks.lead, marks.trail)
        return value, end + len(mark)

    def _end_of_cdata(self, place: int) -> Generator[None, None, int]:
        """The place behind a CDATA section, where a value is one; else `place`."""
        inner = yield from self._source.match((_CDATA,), place)
        if inner < 0:
            return place
        end = yield from self._source.find(_CDATA_END, inner)
        return len(self._source.text) if end < 0 else end


def _inside(value: str, lead: str, trail: str) -> str:
    """A value without the line breaks that set it apart from its marks."""
    if lead and value.startswith("\n"):
        value = value[1:]
    if trail and value.endswith("\n"):
        value = value[:-1]
    if value.startswith(_CDATA):
        value = value.removeprefix(_CDATA).removesuffix(_CDATA_END)
    return value


def _may_begin(text: str, mark: str) -> int:
    """Characters at the end of `text` that may be the beginning of `mark`."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
