"""Finds how calls of tools are written in a text where two known ones stand.

The text is what a chat template made of an answer with calls whose names, ids and arguments occur
nowhere else, so that what stands between them is the way of writing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from chatapp.engine.chat.format import ArgumentMarks, Atoms, Calls, JsonKeys
from chatapp.engine.chat.source import common_start

FIRST, SECOND = "fnalpha", "fnbravo"
IDS = ("idabc0001", "idabc0002")
TEXT_KEY, NUMBER_KEY = "argone", "argtwo"
TEXT, NUMBER, OTHER_TEXT = "VALUEONE", 73, "VALUETWO"
ARGUMENTS: tuple[dict[str, Any], dict[str, Any]] = (
    {TEXT_KEY: TEXT, NUMBER_KEY: NUMBER},
    {TEXT_KEY: OTHER_TEXT},
)
_QUOTED = re.compile(rf"(\S{{1,20}}){TEXT}(\S{{1,20}})")
_WORD = re.compile(r"[\w.]*$")


@dataclass(frozen=True, slots=True)
class _Span:
    begin: int
    end: int


def find_calls(text: str) -> Calls | None:
    """How the calls in `text` are written; None if that cannot be told.

    `text` is what the template wrote of the turn behind thoughts and words, and the turn's end.
    """
    if FIRST not in text or TEXT not in text:
        return None
    for find in (_find_json, _find_named, _find_python, _find_dict, _find_tagged):
        found = find(text)
        if found is not None:
            shown = text.strip()
            return replace(found, shown=shown[: shown.find(SECOND)].strip() or shown)
    return None


# JSON objects


def _find_json(text: str) -> Calls | None:
    name_at = text.find(FIRST)
    for begin in _openings(text, name_at):
        value, end = _decode(text, begin)
        calls = value if isinstance(value, list) else [value]
        if not calls or not isinstance(calls[0], dict):
            continue
        keys = _keys_of(calls[0])
        if keys is None:
            continue
        before = text[:begin]
        if isinstance(value, list):
            return Calls(
                "json", section_open=atoms(before), section_close=_end(text[end:]), keys=keys
            )
        second = _second_object(text, end)
        if second is None:
            return Calls("json", open=atoms(before), close=_end(text[end:]), keys=keys)
        between, after = text[end : second.begin], text[second.end :]
        opening, section = _common_end(before, between)
        closing = between[: len(between) - len(opening)]
        close, section_close = _common_start(closing, after)
        return Calls(
            "json",
            section_open=atoms(section),
            section_close=_end(section_close),
            open=atoms(opening),
            close=atoms(close),
            keys=keys,
        )
    return None


def _openings(text: str, before: int) -> Iterator[int]:
    """Places of `[` and `{` before a place, the outermost first."""
    return (m.start() for m in re.finditer(r"[\[{]", text[:before]))


def _decode(text: str, begin: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None, begin


def _keys_of(call: dict[str, Any]) -> JsonKeys | None:
    inner = call.get("function")
    body = inner if isinstance(inner, dict) and FIRST in inner.values() else call
    if FIRST in body and _is_arguments(body[FIRST]):
        return JsonKeys(name_is_key=True)
    name = next((key for key, value in body.items() if value == FIRST), None)
    arguments = next((key for key, value in body.items() if _is_arguments(value)), None)
    if name is None or arguments is None:
        return None
    known = (name, arguments, "type", "function")
    ids = [key for key in (*call, *body) if key not in known and "id" in key.lower()]
    return JsonKeys(name, arguments, ids[0] if ids else "")


def _is_arguments(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return False
    return isinstance(value, dict) and value.get(TEXT_KEY) == TEXT


def _second_object(text: str, after: int) -> _Span | None:
    at = text.find(SECOND, after)
    for begin in _openings(text, at if at >= 0 else 0):
        if begin < after:
            continue
        value, end = _decode(text, begin)
        if isinstance(value, dict):
            return _Span(begin, end)
    return None


# a name, then JSON


def _find_named(text: str) -> Calls | None:
    name = text.find(FIRST)
    begin = text.find("{", name)
    value, end = _decode(text, begin) if begin >= 0 else (None, begin)
    if not _is_arguments(value):
        return None
    form = _with_name(Calls("named"), text[:name], text[name + len(FIRST) : begin])
    return _with_second(form, text, text[:name], end)


def _with_name(form: Calls, before: str, between: str) -> Calls:
    """The form with what stands around the name; `between` reaches from it to the arguments."""
    if IDS[0] in between:
        mark, _, after = between.partition(IDS[0])
        return replace(form, before_id=mark.strip(), after_name=atoms(after))
    if IDS[0] in before:
        mark = before.partition(IDS[0])[2]
        return replace(form, before_id=mark.strip(), id_first=True, after_name=atoms(between))
    found = re.match(r":\d+", between)
    if found:
        return replace(form, name_has_id=True, after_name=atoms(between[found.end() :]))
    return replace(form, after_name=atoms(between))


def _with_second(form: Calls, text: str, before: str, end: int) -> Calls:
    """The form with the marks around calls, of which the first one's arguments end at `end`."""
    if form.id_first:
        before = before.partition(IDS[0])[0]
    if form.name_has_id:
        before = before[: _WORD.search(before).start()]  # type: ignore[union-attr]
    at = text.find(SECOND, end)
    if at < 0:
        return replace(form, open=atoms(before), close=_end(text[end:]))
    between = text[end:at]
    if form.id_first:
        between = between.partition(IDS[1])[0]
    if form.name_has_id:
        between = between[: _WORD.search(between).start()]  # type: ignore[union-attr]
    opening, section = _common_end(before, between)
    closing = between[: len(between) - len(opening)]
    close, section_close = _common_start(closing, text[_end_of_second(text, at) :])
    return replace(
        form,
        section_open=atoms(section),
        section_close=_end(section_close),
        open=atoms(opening),
        close=atoms(close),
    )


def _end_of_second(text: str, at: int) -> int:
    begin = text.find("{", at)
    value, end = _decode(text, begin) if begin >= 0 else (None, begin)
    if isinstance(value, dict) and TEXT_KEY in value:
        return end
    return text.find(OTHER_TEXT, at) + len(OTHER_TEXT)


# Python and Gemma


def _find_python(text: str) -> Calls | None:
    found = re.search(rf"\[?{FIRST}\({TEXT_KEY}=['\"]{TEXT}['\"], ?{NUMBER_KEY}={NUMBER}\)", text)
    if not found:
        return None
    end = text.find(")", text.find(SECOND)) if SECOND in text else found.end() - 1
    behind = text[end + 1 :].removeprefix("]")
    return Calls("python", open=atoms(text[: found.start()]), close=_end(behind))


def _find_dict(text: str) -> Calls | None:
    found = re.search(
        rf"{FIRST}\{{{TEXT_KEY}:(\S{{1,20}}?){TEXT}\1,{NUMBER_KEY}:{NUMBER}\}}(\S*?)(?=<|$)", text
    )
    if not found:
        return None
    before = text[: found.start()].removesuffix("call:")
    behind = text[found.end() - len(found[2]) :]
    close = behind[: behind.find(before)] if before and before in behind else behind
    return Calls("dict", open=atoms(before), close=_end(close), quote=found[1])


# arguments between marks


def _find_tagged(text: str) -> Calls | None:
    name = text.find(FIRST)
    name = text.rfind(FIRST, 0, text.find(TEXT))
    places = [text.find(part, name) for part in (TEXT_KEY, TEXT, NUMBER_KEY, str(NUMBER))]
    if -1 in places or places != sorted(places):
        return None
    key, value, next_key, number = places
    mids = (text[key + len(TEXT_KEY) : value], text[next_key + len(NUMBER_KEY) : number])
    value_end = text[value + len(TEXT) : next_key].replace(TEXT_KEY, "{key}")
    number_end_at = number + len(str(NUMBER))
    # what ends a value and begins the next key: told apart by what follows the last value
    tail = text[number_end_at:].replace(NUMBER_KEY, "{key}")
    value_close, _ = _common_start(value_end, tail)
    value_close = value_close.rstrip("\n ") if value_close.strip() else value_close
    key_open = value_end[len(value_close) :]
    form = Calls("tagged", argument=_argument_marks(mids, key_open, value_close))
    between = text[name + len(FIRST) : key]
    if between.endswith(key_open):
        between = between[: len(between) - len(key_open)]
    form = _with_name(form, text[:name], between.removesuffix(key_open.lstrip()))
    end = number_end_at + len(value_close.replace("{key}", NUMBER_KEY))
    return _with_tagged_second(form, text, text[:name], end, value_close)


def _with_tagged_second(form: Calls, text: str, before: str, end: int, value_close: str) -> Calls:
    at = text.find(SECOND, end)
    if at < 0:
        return replace(form, open=atoms(before), close=_end(text[end:]))
    between = text[end:at]
    last = text.find(OTHER_TEXT, at) + len(OTHER_TEXT) + len(value_close.replace("{key}", TEXT_KEY))
    opening, section = _common_end(before, between)
    closing = between[: len(between) - len(opening)]
    close, section_close = _common_start(closing, text[last:])
    return replace(
        form,
        section_open=atoms(section),
        section_close=_end(section_close),
        open=atoms(opening),
        close=atoms(close),
    )


def _argument_marks(mids: tuple[str, str], key_open: str, value_close: str) -> ArgumentMarks:
    text_mid, number_mid = mids
    lead = "\n" if text_mid.endswith("\n") else ""
    trail = "\n" if value_close.startswith("\n") else ""
    if text_mid == number_mid:
        key_close, value_open = _divide(text_mid)
        return ArgumentMarks(key_open, key_close, value_open, False, value_close, lead, trail)
    start = text_mid[: common_start([text_mid, number_mid])]
    rest = (text_mid[len(start) :], number_mid[len(start) :])
    end = _common_tail(*rest)
    end = re.sub(r"^\w+", "", end)  # `true` and `false` end alike
    return ArgumentMarks(key_open, start, end, True, value_close, lead, trail)


def _divide(mid: str) -> tuple[str, str]:
    """What closes the key, and what then opens the value."""
    found = re.match(r"\s*(</[^<>]*>|[^<]*?>|[^<>\s]+)", mid)
    if not found:
        return mid.strip(), ""
    return found[0].strip(), mid[found.end() :].strip()


# pieces


def atoms(mark: str) -> Atoms:
    """A mark without its white space, divided where that stands."""
    return tuple(mark.split())


def _end(mark: str) -> Atoms:
    return atoms(mark)


def _common_end(one: str, other: str) -> tuple[str, str]:
    """What both end with, from a border of marks on; and what `one` has before it."""
    common = _common_tail(one, other)
    while common and not _is_border(one[: len(one) - len(common)], common):
        common = common[1:]
    return common, one[: len(one) - len(common)]


def _common_tail(one: str, other: str) -> str:
    length = common_start([one[::-1], other[::-1]])
    return one[len(one) - length :]


def _common_start(one: str, other: str) -> tuple[str, str]:
    """What both begin with, up to a border of marks; and what `other` has behind it."""
    common = one[: common_start([one, other])]
    while common and not _is_border(common, other[len(common) :]):
        common = common[:-1]
    return common, other[len(common) :]


def _is_border(before: str, after: str) -> bool:
    """Whether a mark could end here and another begin."""
    if not before or not after:
        return True
    if before[-1].isspace() or after[0].isspace():
        return True
    inside = before.rpartition("<")[2]
    if "<" in before and ">" not in inside:
        return False
    return before[-1] in ">]}）｝" or after[0] in "<[{"
