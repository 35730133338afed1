"""Chats to fine-tune on, in the forms that people keep them in, each line checked.

Promises that a line which cannot be learned from is named with its file, its number and the reason,
and that none is left out unless that is asked for. A line is one of

- `{"messages": [{"role": …, "content": …}, …]}`, OpenAI's and chatapp's own; an answer with a
  `weight` of 0 is read and not learned;
- `{"conversations": [{"from": "human", "value": …}, …]}`, ShareGPT's;
- `{"instruction": …, "input": …, "output": …}`, Alpaca's;
- `{"prompt": …, "completion": …}`, texts or messages;
- `["Hello", "Hi", …]`, turns that begin with the user's.

A `.json` file holds a list of them.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatapp.errors import ChatAppError
from chatapp.train.cleaning import clean
from chatapp.train.reading import find_files, read_blocks, read_lines

MOST_SAID = 5
"""Bad lines that are named one by one."""
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
}
"""Names of the roles, as the forms above have them."""
_FORMS = "messages, conversations, instruction and output, or prompt and completion"


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a chat, and whether it is learned."""

    role: str
    """system, user or assistant."""
    content: str
    thoughts: str = ""
    """What an assistant thought before it."""
    is_learned: bool = True
    """False for an answer that is only read."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation with an answer in it, and where it stands."""

    messages: tuple[Said, ...]
    path: Path
    number: int
    """Of its line, or of its entry in a list; from 1."""


class BadLineError(ValueError):
    """What is wrong with a line, as the end of a sentence."""


class Complaints:
    """Collects what is wrong with lines; says it all at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, path: Path, number: int, reason: object) -> None:
        """Line `number` of `path` cannot be learned from."""
        self.lines.append(f"{path}, line {number} {reason}.")

    def settle(self, skip: bool, say: Callable[[str], None]) -> None:
        """Raise `ChatAppError` if there are any, or with `skip` say which are left out."""
        if not self.lines:
            return
        named = self.lines[:MOST_SAID]
        more = len(self.lines) - len(named)
        if more:
            named.append(f"{more} more {'line has' if more == 1 else 'lines have'} such faults.")
        if not skip:
            raise ChatAppError("\n".join(named), "Mend them, or leave them out with --skip-bad.")
        count = len(self.lines)
        for line in (*named, f"{count} {'line is' if count == 1 else 'lines are'} left out."):
            say(line)


def read_chats(sources: Iterable[Path], complaints: Complaints) -> list[Chat]:
    """The chats in files and folders, in their order; one that is there twice is taken once.

    Raises `ChatAppError` for what cannot be read, or holds nothing to complain of and no chat.
    """
    chats: list[Chat] = []
    seen: set[tuple[Said, ...]] = set()
    for source in sources:
        if not source.exists():
            raise ChatAppError(f"There is no file {source}.")
        for path in find_files(source):
            for number, entry in _read_entries(path, complaints):
                try:
                    messages = read_entry(entry)
                except BadLineError as reason:
                    complaints.add(path, number, reason)
                    continue
                if messages not in seen:
                    seen.add(messages)
                    chats.append(Chat(messages, path, number))
    if not chats and not complaints.lines:
        raise ChatAppError("There are no chats to fine-tune on.", f"A line holds {_FORMS}.")
    return chats


def read_entry(entry: Any) -> tuple[Said, ...]:
    """The messages of one line that was JSON; raises `BadLineError`."""
    messages = tuple(_read_form(entry))
    if messages and messages[0].role == "system" and not messages[0].content.strip():
        messages = messages[1:]
    if not messages:
        raise BadLineError("is empty")
    for place, said in enumerate(messages, 1):
        if not said.content.strip():
            raise BadLineError(f"has an empty message, its {_ordinal(place)}")
        if said.role == "system" and place > 1:
            raise BadLineError(f"has a system message in {_ordinal(place)} place, not in the first")
    if not any(said.role == "assistant" and said.is_learned for said in messages):
        raise BadLineError("has no answer")
    return messages


def _read_entries(path: Path, complaints: Complaints) -> Iterator[tuple[int, Any]]:
    if ".jsonl" not in path.suffixes and ".json" in path.suffixes:
        text = "".join(read_blocks(path))
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError) as error:
            if text.lstrip().startswith("["):
                raise ChatAppError(f"{path} is not JSON: {error}.") from error
            entries = None  # lines, by another name
        if isinstance(entries, list):
            yield from enumerate(entries, 1)
            return
        if isinstance(entries, dict) and entries.get("format") == "chatapp-conversations":
            raise ChatAppError(
                f"{path} holds whole conversations with all their versions.",
                "chatapp history export --format sft writes what can be fine-tuned on.",
            )
    for number, line in read_lines(path):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            complaints.add(path, number, f"is not JSON: {error}")
            continue
        yield number, entry


def _read_form(entry: Any) -> Iterator[Said]:
    if isinstance(entry, list) and all(isinstance(turn, str) for turn in entry):
        for place, turn in enumerate(entry):
            yield Said(("user", "assistant")[place % 2], _text(turn))
        return
    if not isinstance(entry, dict):
        raise BadLineError(f"is no chat: an object with {_FORMS}")
    for key in ("messages", "conversations", "conversation"):
        if isinstance(entry.get(key), list):
            if isinstance(system := entry.get("system"), str) and system.strip():
                yield Said("system", _text(system))
            yield from map(_read_message, entry[key])
            return
    if "instruction" in entry:
        yield from _read_instruction(entry)
    elif "prompt" in entry:
        answers = "completion" if "completion" in entry else "response"
        yield from _read_part(entry["prompt"], "user")
        yield from _read_part(entry.get(answers, ""), "assistant")
    else:
        raise BadLineError(f"is no chat: it has none of {_FORMS}")


def _read_message(message: Any) -> Said:
    if not isinstance(message, dict):
        raise BadLineError(f"has a message that is no object: {message!r:.40}")
    named = message.get("role", message.get("from"))
    if not isinstance(named, str) or named.lower() not in _ROLES:
        raise BadLineError(f"has the role {named!r:.40}; known are system, user and assistant")
    if message.get("tool_calls"):
        raise BadLineError("has calls of tools, which are not trained on")
    role = _ROLES[named.lower()]
    content = message.get("content", message.get("value"))
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        if len(texts) != len(content) or not all(isinstance(text, str) for text in texts):
            raise BadLineError("has a message that is not text alone")
        content = "".join(map(str, texts))
    if not isinstance(content, str):
        raise BadLineError(f"has a message whose content is no text: {content!r:.40}")
    thoughts = message.get("reasoning_content")
    is_thought = role == "assistant" and isinstance(thoughts, str)
    is_learned = message.get("weight", 1) != 0
    return Said(role, _text(content), _text(str(thoughts)) if is_thought else "", is_learned)


def _read_instruction(entry: dict[str, Any]) -> Iterator[Said]:
    asked = [entry.get("instruction"), entry.get("input") or ""]
    answer = entry.get("output", entry.get("response"))
    if not all(isinstance(text, str) for text in (*asked, answer)):
        raise BadLineError("has an instruction, input or output that is no text")
    if isinstance(system := entry.get("system"), str) and system.strip():
        yield Said("system", _text(system))
    for pair in entry.get("history") or ():
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not all(isinstance(t, str) for t in pair)
        ):
            raise BadLineError("has a history that is no list of pairs")
        yield Said("user", _text(pair[0]))
        yield Said("assistant", _text(pair[1]))
    yield Said("user", "\n\n".join(_text(str(text)) for text in asked if str(text).strip()))
    yield Said("assistant", _text(str(answer)))


def _read_part(part: Any, role: str) -> Iterator[Said]:
    if isinstance(part, str):
        yield Said(role, _text(part))
    elif isinstance(part, list):
        yield from map(_read_message, part)
    else:
        raise BadLineError("has a prompt or completion that is no text")


def _text(text: str) -> str:
    return clean(text).strip()


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number in (11, 12, 13) else endings.get(number % 10, 'th')}"
