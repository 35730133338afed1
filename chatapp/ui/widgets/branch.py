"""The messages of the shown branch, with what is being streamed: values, no widgets.

Every question about one message is answered at once, whatever the number of messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chatapp.ui.widgets.item import MessageItem


@dataclass(slots=True)
class _Stream:
    """What has come of one answer so far."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    progress: str = ""


class Branch:
    """Messages, oldest first."""

    def __init__(self, items: Sequence[MessageItem] = ()) -> None:
        self._items = list(items)
        self._places = {item.id: place for place, item in enumerate(self._items)}
        self._streams: dict[int, _Stream] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._places

    def id_at(self, place: int) -> int:
        """Which message stands at a place, from 0."""
        return self._items[place].id

    def place_of(self, message_id: int) -> int:
        """Where a message stands; KeyError if it is not in this branch."""
        return self._places[message_id]

    def item(self, message_id: int) -> MessageItem:
        """A message with what was streamed of it; KeyError if it is not in this branch."""
        item = self._items[self._places[message_id]]
        stream = self._streams.get(message_id)
        if stream is None:
            return item
        return replace(
            item,
            content=item.content + "".join(stream.text),
            reasoning=item.reasoning + "".join(stream.reasoning),
        )

    def progress_of(self, message_id: int) -> str:
        """The line that stands in place of an answer until its first words."""
        stream = self._streams.get(message_id)
        return stream.progress if stream and not stream.text else ""

    def put(self, item: MessageItem) -> None:
        """Replace a message, or add it at the end. What was streamed is forgotten."""
        place = self._places.setdefault(item.id, len(self._items))
        self._items[place : place + 1] = [item]
        self._streams.pop(item.id, None)
        if item.status == "streaming":
            self._streams[item.id] = _Stream()

    def stream(self, message_id: int, text: str, reasoning: str) -> bool:
        """More of an answer. False: no such answer is streaming here."""
        stream = self._streams.get(message_id)
        if stream is None:
            return False
        if text:
            stream.text.append(text)
        if reasoning:
            stream.reasoning.append(reasoning)
        return True

    def set_progress(self, message_id: int, text: str) -> None:
        """What `progress_of` says from now on."""
        if message_id in self._streams:
            self._streams[message_id].progress = text

    def cut_after(self, message_id: int) -> list[int]:
        """Remove what follows a message; the ids of what was removed."""
        place = self._places.get(message_id, len(self._items))
        gone = [item.id for item in self._items[place + 1 :]]
        del self._items[place + 1 :]
        for removed in gone:
            del self._places[removed]
            self._streams.pop(removed, None)
        return gone
