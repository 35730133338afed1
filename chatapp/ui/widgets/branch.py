"""The messages of the shown branch, with what is being written: values, no widgets.

Every question about one message is answered at once, whatever the number of messages.
"""

from collections.abc import Sequence
from dataclasses import replace

from chatapp.ui.widgets.item import MessageItem


class Branch:
    """Messages, oldest first."""

    def __init__(self, items: Sequence[MessageItem] = ()) -> None:
        self._items = list(items)
        self._places = {item.id: place for place, item in enumerate(self._items)}
        self._progress: dict[int, str] = {}

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
        """A message as far as it is written; KeyError if it is not in this branch."""
        return self._items[self._places[message_id]]

    def progress_of(self, message_id: int) -> str:
        """The line that stands in place of an answer until something is thought or said."""
        return self._progress.get(message_id, "")

    def put(self, item: MessageItem) -> None:
        """Replace a message, or add it at the end."""
        place = self._places.setdefault(item.id, len(self._items))
        self._items[place : place + 1] = [item]
        self._progress.pop(item.id, None)

    def write(
        self, message_id: int, content: str, reasoning: str, attached: tuple[str, ...] = ()
    ) -> bool:
        """What an answer says so far. False: no such answer is being written here."""
        place = self._places.get(message_id)
        if place is None or self._items[place].status != "streaming":
            return False
        if content or reasoning != self._items[place].reasoning:
            self._progress.pop(message_id, None)
        self._items[place] = replace(
            self._items[place], content=content, reasoning=reasoning, attached=attached
        )
        return True

    def set_progress(self, message_id: int, text: str) -> None:
        """What `progress_of` says from now on."""
        if message_id in self._places:
            self._progress[message_id] = text

    def cut_after(self, message_id: int) -> list[int]:
        """Remove what follows a message; the ids of what was removed."""
        place = self._places.get(message_id, len(self._items))
        gone = [item.id for item in self._items[place + 1 :]]
        del self._items[place + 1 :]
        for removed in gone:
            del self._places[removed]
            self._progress.pop(removed, None)
        return gone
