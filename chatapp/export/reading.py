"""Our own JSON export, read back. It is taken for hostile until it is checked whole.

Promises one error that names the place, before anything is stored. Every version is read: messages
of text and thoughts with one generation (1), of parts (2), and with the settings, tags and place of
a conversation (3). The whole file is in memory while it is read, about five times over. A parent
must stand before its children, which rules out cycles. Keys that are not known are ignored.
"""

import json
import math
import re
from dataclasses import fields
from typing import Any, NoReturn, cast, get_args

import msgspec

from chatapp.conversation import Role
from chatapp.errors import UsageError
from chatapp.export.lossless import FORMAT, VERSION
from chatapp.export.names import gist, make_uid
from chatapp.parts import Parts, parts_of
from chatapp.store.rows import (
    ConversationRow,
    ConversationTree,
    FinalStatus,
    GenerationRow,
    MessageRow,
)

MAX_TIME = 253402300799.0
"""The end of the year 9999, in seconds since 1970: later times cannot be shown."""

_MAX_INT = 2**63 - 1
_MAX_TOKEN = 2**31 - 1


def parse_document(document: object) -> list[ConversationTree]:
    """The conversations of a `render_json` file that was read already.

    Raises `UsageError` naming the first thing that is wrong with it.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _wrong(f'its "format" is not "{FORMAT}"')
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise _wrong('it has no "version"')
    if version > VERSION:
        raise UsageError("It comes from a newer version of chatapp.", "Update chatapp.")
    entries = _Entry(document, "").items("conversations")
    return [_read_tree(entry, version) for entry in entries]


def _wrong(reason: str) -> UsageError:
    return UsageError(
        f"It cannot be imported: {reason}. Nothing of it was imported.",
        "Make it anew with: chatapp history export --format json",
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


class _Entry:
    """An object of the file that knows its place, and gives fields of the right type only."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(f"{place} is not an object")
        self._value: dict[str, Any] = value
        self._place = place

    def fail(self, key: str, reason: str) -> UsageError:
        return _wrong(f"{self._name(key)} {reason}")

    def _name(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key

    def _get(self, key: str) -> Any:
        if key not in self._value:
            raise self.fail(key, "is missing")
        return self._value[key]

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise self.fail(key, "is not a text")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in choices:
            raise self.fail(key, f"is not one of {', '.join(choices)}")
        return value

    def integer(self, key: str, minimum: int = 0, maximum: int = _MAX_INT) -> int:
        value = self._get(key)
        # bool is a kind of int, and `true` is no number here.
        if type(value) is not int or not minimum <= value <= maximum:
            raise self.fail(key, f"is not a whole number from {minimum} to {maximum}")
        return value

    def number(self, key: str, maximum: float = math.inf) -> float:
        value = self._get(key)
        if type(value) not in (int, float) or not 0 <= value <= min(maximum, 1e300):
            raise self.fail(key, "is not a number in range")
        return float(value)

    def moment(self, key: str) -> float | None:
        """Seconds since 1970, or null."""
        return None if self._get(key) is None else self.number(key, MAX_TIME)

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if type(value) is not bool:
            raise self.fail(key, "is not true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(key, "is not a list of texts")
        return tuple(value)

    def settings(self, key: str) -> str:
        """A JSON object in a text; or an empty one."""
        value = self.text(key)
        try:
            is_object = not value or isinstance(
                json.loads(value, parse_constant=_refuse_constant), dict
            )
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            raise self.fail(key, "is not a JSON object in a text")
        return value

    def identity(self, key: str) -> int | None:
        return None if self._get(key) is None else self.integer(key, 1)

    def tokens(self, key: str) -> tuple[int, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(
            type(token) is int and 0 <= token <= _MAX_TOKEN for token in value
        ):
            raise self.fail(key, "is not a list of token ids")
        return tuple(value)

    def name(self, key: str) -> str:
        """A random name that the store made."""
        value = self.text(key)
        if not re.fullmatch("[0-9a-f]{32}", value):
            raise self.fail(key, "is not 32 hexadecimal digits")
        return value

    def parts(self, key: str) -> Parts:
        """The parts of a message. Raises `UsageError` for a kind that is not known."""
        try:
            return msgspec.convert(self._get(key), Parts)
        except msgspec.ValidationError as error:
            raise self.fail(key, f"is not a list of parts ({error})") from None

    def items(self, key: str) -> "list[_Entry]":
        value = self._get(key)
        if not isinstance(value, list):
            raise self.fail(key, "is not a list")
        return [_Entry(item, f"{self._name(key)}[{index}]") for index, item in enumerate(value)]

    def optional(self, key: str) -> "_Entry | None":
        value = self._get(key)
        return None if value is None else _Entry(value, self._name(key))


def _read_tree(entry: _Entry, version: int) -> ConversationTree:
    messages: list[MessageRow] = []
    seen: set[int] = set()
    names: set[str] = set()
    whole = _read_name(entry, version)
    for item in entry.items("messages"):
        message = _read_message(item, version, whole)
        if message.id in seen:
            raise item.fail("id", f"{message.id} is used twice")
        if message.parent_id is not None and message.parent_id not in seen:
            raise item.fail("parent", f"{message.parent_id} is not a message before this one")
        if message.uid in names:
            raise item.fail("uid", "is used twice")
        names.add(message.uid)
        seen.add(message.id)
        messages.append(message)
    active = entry.identity("active")
    if active is None and messages:
        active = messages[-1].id
    if active is not None and active not in seen:
        raise entry.fail("active", f"{active} is not a message of this conversation")
    conversation = ConversationRow(
        id=0,
        title=entry.text("title"),
        system=entry.text("system"),
        created_at=entry.number("created_at", MAX_TIME),
        updated_at=entry.number("updated_at", MAX_TIME),
        active_leaf_id=active,
        deleted_at=None,
        uid=whole,
        settings=entry.settings("settings") if version > 2 else "",
        pinned_at=entry.moment("pinned_at") if version > 2 else None,
        archived_at=entry.moment("archived_at") if version > 2 else None,
        tags=entry.texts("tags") if version > 2 else (),
    )
    return ConversationTree(conversation, tuple(messages))


def _read_name(entry: _Entry, version: int) -> str:
    """The name of a conversation; the first version had none, and one is made of its beginning."""
    if version > 1:
        return entry.name("uid")
    begun = [repr(entry.number("created_at", MAX_TIME)), entry.text("system")]
    for first in entry.items("messages")[:1]:
        begun += [repr(first.number("created_at", MAX_TIME)), first.text("content")]
    return make_uid("chatapp 1", *begun)


def _read_message(entry: _Entry, version: int, whole: str) -> MessageRow:
    message_id = entry.integer("id", 1)
    if version == 1:
        parts = parts_of(entry.text("content"), entry.text("reasoning"))
        only = entry.optional("generation")
        runs = [] if only is None else [only]
    else:
        parts = entry.parts("parts")
        runs = entry.items("generations")
    return MessageRow(
        id=message_id,
        conversation_id=0,
        parent_id=entry.identity("parent"),
        role=cast(Role, entry.choice("role", get_args(Role))),
        parts=parts,
        status=cast(FinalStatus, entry.choice("status", get_args(FinalStatus))),
        created_at=entry.number("created_at", MAX_TIME),
        tokens=entry.tokens("tokens"),
        # The store counts siblings itself.
        sibling_index=0,
        sibling_count=1,
        generations=tuple(_read_generation(run, message_id, version) for run in runs),
        uid=entry.name("uid") if version > 1 else make_uid(whole, str(message_id), gist(parts)),
        by_hand=entry.flag("by_hand") if version > 2 else False,
        pinned=entry.flag("pinned") if version > 2 else False,
    )


def _read_generation(entry: _Entry, message_id: int, version: int) -> GenerationRow:
    values: dict[str, Any] = {"id": 0, "message_id": message_id}
    if version == 1:
        values["offset"] = 0
    for field in fields(GenerationRow):
        if field.name in values:
            continue
        if field.type is str:
            values[field.name] = entry.text(field.name)
        elif field.name == "created_at":
            values[field.name] = entry.number(field.name, MAX_TIME)
        elif field.type is float:
            values[field.name] = entry.number(field.name)
        else:
            # A seed of -1 means: none was given.
            values[field.name] = entry.integer(field.name, -1)
    return GenerationRow(**values)
