"""What is said: values without identity. Ids, times and statuses belong to the store."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]

TITLE_LENGTH = 60
"""Characters of a title that is made from a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said by one side."""

    role: Role
    content: str
    reasoning: str = ""
    """What the model thought aloud before the answer (`<think>` blocks), never sent back."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A title and one line of messages, oldest first."""

    title: str
    messages: tuple[Message, ...] = ()


def make_title(text: str) -> str:
    """The first line that says something, cut at a word near `TITLE_LENGTH` characters."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "New chat")
    line = " ".join(line[: TITLE_LENGTH * 4].split())
    if len(line) <= TITLE_LENGTH:
        return line
    head = line[: TITLE_LENGTH - 1]
    cut = head.rfind(" ")
    return (head[:cut] if cut > TITLE_LENGTH // 2 else head) + "…"
