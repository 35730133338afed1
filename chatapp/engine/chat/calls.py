"""Reads calls of tools from an answer while it is written.

A reader stands where a mark of a call begins. It reads on as text comes, tells of each call as
soon as its name is known, and of its arguments as they grow. What turns out to be no call before
its name is known is left unread, so that it is text; afterwards nothing is lost: arguments that
are not what they should be are told as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from chatapp.engine.chat.format import Calls
from chatapp.engine.chat.growing import Growing
from chatapp.engine.chat.json_call import JsonCall
from chatapp.engine.chat.pairs import PairsCall, read_name
from chatapp.engine.chat.source import JsonScan, Reading, Source
from chatapp.engine.chat.values import as_json, parameters_of, text_to_json, wants_text

_MOST_ATTRIBUTES = 256
"""Characters between a call's name and its arguments."""
_MOST_BEGUN = 256
"""Characters before a call's name."""
_ID_AND_NAME = re.compile(r"(?:functions[.:])?(.*?)(?::\d+)?$")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_SEPARATORS = re.compile(r"[\s,;]*")


class CallReader:
    """Reads the calls of one answer."""

    def __init__(
        self,
        source: Source,
        form: Calls,
        tools: Sequence[Mapping[str, Any]],
        growing: Growing,
        *,
        is_bare: bool = False,
    ) -> None:
        """`is_bare`: there is no mark, so only the names of `tools` make a call."""
        self._source = source
        self._form = form
        self._parameters = parameters_of(tools)
        self._growing = growing
        self._names = self._parameters.keys() if is_bare else None

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
                return (yield from self._pairs().read_python(place))
            case "dict":
                return (yield from self._pairs().read_dict(place))
        return (yield from self._read_named(place))

    def _pairs(self) -> PairsCall:
        return PairsCall(self._source, self._form, self._growing, self._names)

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
        """Read one JSON object that is a call, or a list of such objects."""
        source = self._source
        place = yield from source.skip_space(place)
        is_list = source.text[place : place + 1] == "["
        place += is_list
        told = 0
        while True:
            place = yield from source.skip_space(place)
            if source.text[place : place + 1] != "{":
                break
            reader = JsonCall(source, self._form, self._growing, place, self._names)
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
        if not name or (self._names is not None and name not in self._names):
            return False
        if form.name_has_id:
            call_id, name = name, _ID_AND_NAME.sub(r"\1", name)
        elif form.before_id and not form.id_first:
            inner = yield from source.match((form.before_id,), place)
            if inner >= 0:
                call_id, place = yield from read_name(source, inner)
        if source.ended and place >= len(source.text) and name not in self._parameters:
            return False  # half a name
        inner = yield from source.match(form.after_name, place)
        if inner < 0 and form.after_name and form.body == "tagged":  # attributes between
            inner = yield from source.find(form.after_name[-1], place)
            inner = (
                inner + len(form.after_name[-1]) if 0 <= inner - place < _MOST_ATTRIBUTES else -1
            )
        if inner >= 0:
            place = inner
        elif not source.ended or name not in self._parameters:
            return False
        if self._names is not None and form.body == "named":
            place = yield from source.skip_space(place)
            if source.text[place : place + 1] != "{":
                return False
        source.at = place
        self._growing.begin_call(call_id, name)
        if form.body == "tagged":
            yield from self._read_tagged(name, place)
        else:
            yield from self._read_arguments(place)
        return True

    def _read_arguments(self, place: int) -> Generator[None, None, None]:
        """Arguments that are JSON, told as they are written."""
        source = self._source
        place = yield from source.skip_space(place)
        scan = JsonScan(place)
        while not scan.run(source.text, ended=source.ended) and not source.ended:
            self._growing.argue(source.text[place:])
            place = len(source.text)
            yield
        end = scan.place if scan.done else len(source.text)
        self._growing.argue(source.text[place:end])
        source.at = end

    # arguments between marks of their own

    def _read_tagged(self, name: str, place: int) -> Generator[None, None, None]:
        source, marks, growing = self._source, self._form.argument, self._growing
        schemas = self._parameters.get(name, {})
        lead = "{"
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
            growing.argue(f"{lead}{as_json(key)}: ")
            lead = ", "
            is_text = kind in ("true", "string") or (not kind and wants_text(schema))
            mark = marks.value_close.replace("{key}", key).strip()
            if is_text:
                end = yield from self._tell_text(place, mark)
            else:
                end = yield from self._end_of_value(place, mark)
            if end < 0:
                if not is_text:
                    growing.argue(source.text[place:].strip())
                source.at = len(source.text)
                return
            if not is_text:
                value = _inside(source.text[place:end], marks.lead, marks.trail)
                growing.argue(text_to_json(value, {"type": "any"} if kind else schema))
            source.at = place = end + len(mark)
        source.at = place
        if not source.ended or (yield from self._is_closed(place)):
            growing.argue("{}" if lead == "{" else "}")

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

    def _end_of_value(self, place: int, mark: str) -> Generator[None, None, int]:
        """Where the mark behind a value stands; -1 where the text ends without it."""
        place = yield from self._end_of_cdata(place)
        return (yield from self._source.find(mark, place))

    def _tell_text(self, place: int, mark: str) -> Generator[None, None, int]:
        """Tell a text as JSON while it grows; where the mark behind it stands, or -1."""
        source, marks, growing = self._source, self._form.argument, self._growing
        growing.argue('"')
        begin = place
        looked = yield from self._end_of_cdata(place)
        is_cdata = looked != place
        told = -1
        while True:
            end = source.text.find(mark, looked)
            stop = end if end >= 0 else len(source.text)
            if told < 0 and (end >= 0 or source.ended or stop > begin):
                told = begin + int(bool(marks.lead) and source.text.startswith("\n", begin))
            if is_cdata and told >= 0:
                told = max(told, source.text.find(_CDATA, begin) + len(_CDATA))
            if end >= 0:
                if marks.trail and source.text.endswith("\n", told, end):
                    stop -= 1
                stop = stop - len(_CDATA_END) if is_cdata else stop
                growing.argue(as_json(source.text[told:stop])[1:])
                return end
            looked = max(looked, len(source.text) - len(mark) + 1)
            if told >= 0 and not is_cdata:
                # what may be the line break before the mark, or its beginning, waits
                stop = max(told, stop - _may_begin(source.text, mark, told))
                while stop > told and source.text[stop - 1] == "\n":
                    stop -= 1
                growing.argue(as_json(source.text[told:stop])[1:-1])
                told = stop
            if source.ended:
                if is_cdata:
                    growing.argue(as_json(source.text[told:])[1:-1])
                return -1
            yield

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


def _may_begin(text: str, mark: str, begin: int) -> int:
    """Characters at the end of `text[begin:]` that may be the beginning of `mark`."""
    for length in range(min(len(mark) - 1, len(text) - begin), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0


def is_begun(text: str, form: Calls, names: Iterable[str]) -> bool:
    """Whether a text that ends here is the beginning of a call whose name is not whole yet."""
    for atom in (*form.section_open, *form.open):
        text = text.lstrip()
        if len(text) < len(atom) and atom.startswith(text):
            return True
        text = text.removeprefix(atom)
    text = text.lstrip()
    if form.body == "json":
        return not text or (text[0] in "{[" and len(text) < _MOST_BEGUN and "}" not in text)
    if form.body == "python":
        text = text.removeprefix("[").lstrip()
    if form.id_first and form.before_id not in text:
        return len(text) < _MOST_BEGUN
    text = text.rpartition(form.before_id)[2] if form.id_first else text
    heads = ("call:", "functions.", "functions:", "")
    return any(f"{head}{name}".startswith(text) for head in heads for name in names)
