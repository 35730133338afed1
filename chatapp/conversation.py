"""What is said: values without identity. Ids, times and statuses belong to the store."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


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
