"""What is said: values without identity. Ids, times and statuses belong to the store."""

from dataclasses import dataclass
from typing import Literal, Self

from chatapp.parts import Parts, parts_of, reasoning_of, text_of
from chatapp.text import cut_text, one_line

Role = Literal["system", "user", "assistant", "tool"]

TITLE_LENGTH = 60
"""Characters of a title that is made from a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said by one side."""

    role: Role
    parts: Parts

    @classmethod
    def of(cls, role: Role, text: str, reasoning: str = "") -> Self:
        """A message that says `text`, and thought `reasoning` before it."""
        return cls(role, parts_of(text, reasoning))

    @property
    def content(self) -> str:
        """What was said: the text parts joined."""
        return text_of(self.parts)

    @property
    def reasoning(self) -> str:
        """What the model thought aloud, never sent back."""
        return reasoning_of(self.parts)


def make_title(text: str) -> str:
    """The first line that says something, cut at a word near `TITLE_LENGTH` characters."""
    lines = (one_line(line[: TITLE_LENGTH * 4]) for line in text.splitlines())
    line = next((line for line in lines if line), "New chat")
    if len(line) <= TITLE_LENGTH:
        return line
    head = cut_text(line, TITLE_LENGTH - 1)
    cut = head.rfind(" ")
    return (head[:cut] if cut > TITLE_LENGTH // 2 else head) + "…"
