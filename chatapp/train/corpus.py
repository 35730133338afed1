"""Reads training files: documents of text, and conversations.

Promises that files are read in a stream, folders in the order of their names, and that an
unreadable line is an error with its number. Surprising: a conversation in a text source becomes its
chat rendering, so that pretraining already shows the model the shape of a chat; markers that a text
spells out stay text. A document of more than a million characters comes in parts.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatapp.errors import ChatAppError, UsageError
from chatapp.train.chat_format import Piece, Turn, lay_out
from chatapp.train.cleaning import clean
from chatapp.train.reading import find_files, read_blocks, read_lines
from chatapp.train.settings import Source

SEPARATOR = "\n\f\n"
_ADVICE = 'Write {"text": "…"}, or a chat, {"messages": […]}, on every line.'
PART = 1 << 20
"""Characters of a document that are handed on at once."""
_PLACE = re.compile(r"(?<=\S)\n(?=\S)|(?<=\S)(?=[ ]\S)")
"""Where a text may be divided so that its tokens stay the same: a word begins there."""


class TooLittleTextError(ChatAppError):
    """There is no text, or too little; nothing can be made of it."""


def no_text(sources: Iterable[Source]) -> TooLittleTextError:
    """What is said of sources without a single word."""
    names = ", ".join(str(source.path) for source in sources)
    return TooLittleTextError(f"There is no text in {names}: nothing can be learned from it.")


@dataclass(frozen=True, slots=True)
class Document:
    """A document, or a part of a long one."""

    pieces: tuple[Piece, ...]
    ends: bool = True
    """False where more of it follows."""


def read_documents(source: Source) -> Iterator[Document]:
    """The documents of one source, once, cleaned, without empty ones."""
    for path in find_files(source.path):
        if ".jsonl" in path.suffixes:
            yield from _read_objects(path)
        else:
            yield from _read_text(path)


def repeats(source: Source) -> Iterator[int]:
    """For each reading of a source, which of its documents are taken: every one (1), every second
    (2) …"""
    whole, part = divmod(source.repeat, 1.0)
    yield from [1] * int(whole)
    if part:
        yield max(1, round(1 / part))


def read_conversations(source: Source) -> list[tuple[Turn, ...]]:
    """The conversations of a `.jsonl` file, repeated as the source says.

    A line is `{"messages": [{"role": …, "content": …}, …]}`, or an array of turns that start with
    the user's.
    """
    talks = [_conversation(entry, source.path, n) for n, entry in _read_json(source.path)]
    return [talk for step in repeats(source) for talk in talks[::step]]


def _read_objects(path: Path) -> Iterator[Document]:
    for number, entry in _read_json(path):
        if isinstance(entry, dict) and "messages" not in entry:
            if not isinstance(entry.get("text"), str):
                wrong = "has a text that is none" if "text" in entry else "has no text"
                raise ChatAppError(f"{path}, line {number} {wrong}.", _ADVICE)
            text = clean(entry["text"])
            if text.strip():
                yield Document((text,))
        else:
            yield Document(lay_out(_conversation(entry, path, number)))


def _read_text(path: Path) -> Iterator[Document]:
    text, begun = "", False
    for block in read_blocks(path):
        *whole, text = (text + block).split(SEPARATOR)
        for document in whole:
            if begun or document.strip():
                yield Document((clean(document),))
            begun = False
        while len(text) > PART:  # the end stays: a separator may have begun there
            at = _divide(text)
            yield Document((clean(text[:at]),), ends=False)
            text, begun = text[at:], True
    if begun or text.strip():
        yield Document((clean(text),))


def _divide(text: str) -> int:
    """The last good place in the first `PART` characters, else their end."""
    found = list(_PLACE.finditer(text, PART - 4096, PART - 3))
    return found[-1].end() if found else PART - 3


def _read_json(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in read_lines(path):
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ChatAppError(f"{path}, line {number} is not JSON: {error}.") from error


def _conversation(entry: Any, path: Path, number: int) -> tuple[Turn, ...]:
    try:
        if isinstance(entry, dict):
            return tuple(
                Turn(turn["role"], _mend(turn["content"].strip()), turn.get("weight", 1) != 0)
                for turn in entry["messages"]
            )
        roles = ("user", "assistant")
        return tuple(Turn(roles[at % 2], _mend(turn.strip())) for at, turn in enumerate(entry))
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise ChatAppError(
            f"{path}, line {number} is no conversation.",
            'Write {"messages": [{"role": "user", "content": "…"}, …]} on every line.',
        ) from error


def _mend(text: str) -> str:
    """JSON can spell half a surrogate pair, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode()
