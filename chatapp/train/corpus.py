"""Reads training files: documents of text, and conversations.

Promises that a file is read line by line where its format has lines, and that an unreadable line
is an error with its number. Surprising: a conversation in a text source becomes its chat rendering,
so that pretraining already shows the model the shape of a chat; markers that a text spells out stay
text.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatapp.errors import ChatAppError, UsageError
from chatapp.train.chat_format import Piece, Turn, lay_out
from chatapp.train.settings import Source

SEPARATOR = "\n\f\n"


def read_documents(source: Source) -> Iterator[tuple[Piece, ...]]:
    """The documents of one source, repeated as it says."""
    documents = list(_read_file(source.path))
    whole, part = divmod(source.repeat, 1.0)
    for _ in range(int(whole)):
        yield from documents
    if part:
        step = max(1, round(1 / part))
        yield from documents[::step]


def read_conversations(source: Source) -> list[tuple[Turn, ...]]:
    """The conversations of a `.jsonl` file, repeated as the source says.

    A line is `{"messages": [{"role": …, "content": …}, …]}`, or an array of turns that start with
    the user's.
    """
    talks = [_conversation(entry, source.path, n) for n, entry in _read_lines(source.path)]
    whole, part = divmod(source.repeat, 1.0)
    extra = talks[:: max(1, round(1 / part))] if part else []
    return talks * int(whole) + extra


def _read_file(path: Path) -> Iterator[tuple[Piece, ...]]:
    if ".jsonl" in path.suffixes:
        for number, entry in _read_lines(path):
            if isinstance(entry, dict) and isinstance(entry.get("text"), str):
                yield (_mend(entry["text"]),)
            else:
                yield lay_out(_conversation(entry, path, number))
        return
    for document in _read_text(path).split(SEPARATOR):
        if document.strip():
            yield (document,)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ChatAppError(
            f"{path} cannot be read: {error}", "Training text must be UTF-8, plain or gzip."
        ) from error


def _read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ChatAppError(f"{path}, line {number} is not JSON: {error}.") from error


def _conversation(entry: Any, path: Path, number: int) -> tuple[Turn, ...]:
    try:
        if isinstance(entry, dict):
            return tuple(
                Turn(turn["role"], _mend(turn["content"].strip())) for turn in entry["messages"]
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
