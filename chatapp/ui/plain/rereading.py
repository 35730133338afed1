"""Messages told again: the scrolling keys go through them, as they go through a screen."""

from collections.abc import Callable, Sequence

from chatapp.store.rows import MessageRow

PAGE = 4
"""Messages that are told at once."""
_ROLES = {"user": "You", "assistant": "Assistant", "system": "System", "tool": "Tool"}


def tell_message(row: MessageRow) -> str:
    """Who says it, which version it is, and its text."""
    versions = row.sibling_count
    which = f" (version {row.sibling_index + 1} of {versions})" if versions > 1 else ""
    which += " (pinned)" if row.pinned else ""
    return f"{_ROLES.get(row.role, row.role)}{which}:\n{row.content}"


class Rereading:
    """Where one is in the open chat."""

    def __init__(self, rows: Callable[[], list[MessageRow]], say: Callable[[str], None]) -> None:
        """`rows` are the messages of the chat."""
        self._rows = rows
        self._say = say
        self._first = 0
        """The first message that was told last."""
        self._end = 0
        """The one behind the last that was."""

    def open(self, rows: list[MessageRow]) -> None:
        """Tell the last messages of a chat that was opened with these."""
        self._first, self._end = max(len(rows) - PAGE, 0), len(rows)
        for row in rows[self._first :]:
            self._say(tell_message(row))

    def follow(self) -> None:
        """The chat has grown: one is at its end."""
        self._first = self._end = len(self._rows())

    def step(self, step: int, size: int) -> None:
        """Tell the messages before (-1) or behind (1) those told last, so many at once."""
        count = len(self._rows())
        first = self._first - size if step < 0 else self._end
        end = self._first if step < 0 else self._end + size
        if end <= 0 or first >= count:
            self._say("There is no message before." if step < 0 else "That was the last message.")
        else:
            self._tell(max(first, 0), min(end, count))

    def go_to(self, step: int) -> None:
        """Tell the first messages (-1) or the last (1)."""
        count = len(self._rows())
        self._tell(0 if step < 0 else max(count - PAGE, 0), count if step > 0 else min(PAGE, count))

    def tell_beside(self, rows: Sequence[MessageRow], shown: MessageRow) -> None:
        """Tell answers that stand beside each other, one after the other."""
        for row in rows:
            self._say(tell_message(row))
            if row.status not in ("complete", "streaming"):
                self._say(f"({row.status})")
        if shown.sibling_count > 1:
            place = f"{shown.sibling_index + 1} of {shown.sibling_count}"
            self._say(f"Version {place} is shown; /choose NUMBER shows another.")

    def _tell(self, first: int, end: int) -> None:
        rows = self._rows()
        self._first, self._end = first, end
        if rows:
            which = f"{first + 1} to {end}" if end > first + 1 else f"{end}"
            self._say(f"Message {which} of {len(rows)}.")
        for row in rows[first:end]:
            self._say(tell_message(row))
