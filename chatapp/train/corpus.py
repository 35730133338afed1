"""Reads training files: documents of text, and conversations.

Promises that a file is read line by line where its format has lines, and that an unreadable line
is an error with its number. Surprising: a conversation in a text source becomes its chat rendering,
so that pretraining already shows the model the shape of a chat.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatapp.errors import ChatAppError
from chatapp.train.chat_format import Turn, clean, render
from chatapp.train.settings import Source

SEPARATOR = "\n\f\n"


def read_documents(source: Source) -> Iterator[str]:
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


def _read_file(path: Path) -> Iterator[str]:
    if ".jsonl" in path.suffixes:
        for number, entry in _read_lines(path):
            if isinstance(entry, dict) and isinstance(entry.get("text"), str):
                yield clean(entry["text"])
            else:
                yield render(_conversation(entry, path, number))
        return
    for document in _read_text(path).split(SEPARATOR):
        if document.strip():
            yield clean(document)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8").replace("\r\n", "\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ChatAppError(
            f"{path} cannot be read: {error}", "Training text must be UTF-8, plain or gzip."
        ) from error


def _read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise ChatAppError(f"{path}, line {number} is not JSON: {error}.") from error


def _conversation(entry: Any, path: Path, number: int) -> tuple[Turn, ...]:
    try:
        if isinstance(entry, dict):
            return tuple(Turn(turn["role"], turn["content"].strip()) for turn in entry["messages"])
        roles = ("user", "assistant")
        return tuple(Turn(roles[at % 2], turn.strip()) for at, turn in enumerate(entry))
    except (KeyError, TypeError, AttributeError) as error:
        raise ChatAppError(
            f"{path}, line {number} is no conversation.",
            'Write {"messages": [{"role": "user", "content": "…"}, …]} on every line.',
        ) from error
