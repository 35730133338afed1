"""What the transcript shows of one message: a value, made by the screen from the store's row."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["streaming", "complete", "stopped", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class MessageItem:
    """One message of the shown line of a conversation."""

    id: int
    role: str
    content: str
    status: Status = "complete"
    sibling_index: int = 0
    """Which of the alternatives at this place this is, from 0."""
    sibling_count: int = 1
    goes_on: bool = True
    """An answer that was cut off can be gone on with; else its context is full."""
    note: str = ""
    """One line under the message: figures ("31 tok/s"), or what went wrong."""
    reasoning: str = ""
    """What the model thought aloud, or what was put before a question; shown folded."""
    when: str = ""
    """When it was written, in words."""
    attached: tuple[str, ...] = ()
    """A line for every part that is neither said nor thought: files, pictures, calls of tools."""
    pinned: bool = False
    """It stays word for word when others go for want of room."""
