"""The list of chats by day: Pinned, Today, Yesterday, This week, This month, then months."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from chatapp.store.rows import ConversationRow
from chatapp.ui.wording import when_text

Line = str | int
"""A heading, or the place of a row."""


def lay_out(rows: Sequence[ConversationRow], now: datetime) -> list[Line]:
    """Rows under their headings. `rows` are in the list's order: pinned ones, then the newest."""
    days = _Days(now)
    lines: list[Line] = []
    last = ""
    for place, row in enumerate(rows):
        heading = "Pinned" if row.pinned else days.name(row.updated_at)
        if heading != last:
            lines.append(heading)
            last = heading
        lines.append(place)
    return lines


def short_when(row: ConversationRow, now: datetime) -> str:
    """When something was last said, as far as the heading above does not say it."""
    if row.pinned:
        return when_text(row.updated_at, now)
    then = datetime.fromtimestamp(row.updated_at).astimezone()
    days = (now.date() - then.date()).days
    if days < 2:
        return then.strftime("%H:%M")
    return then.strftime("%a" if now.date() - then.date() <= _since_monday(now) else "%d")


def _since_monday(now: datetime) -> timedelta:
    return timedelta(days=now.weekday())


class _Days:
    """Where the groups begin, in seconds since 1970: only months need a calendar."""

    def __init__(self, now: datetime) -> None:
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        self._begins = (
            (today.timestamp(), "Today"),
            ((today - timedelta(days=1)).timestamp(), "Yesterday"),
            ((today - _since_monday(now)).timestamp(), "This week"),
            (today.replace(day=1).timestamp(), "This month"),
        )
        self._month = (0.0, "")

    def name(self, seconds: float) -> str:
        for begin, name in self._begins:
            if seconds >= begin:
                return name
        begin, name = self._month
        if not name or seconds < begin:
            then = datetime.fromtimestamp(seconds).astimezone()
            first = then.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            self._month = begin, name = first.timestamp(), then.strftime("%B %Y")
        return name
