"""Notices at the top of the screen: the same one is told once, and only the last few are there."""

from textual.notifications import Notification, Notifications
from textual.screen import Screen
from textual.widgets._toast import ToastHolder, ToastRack

MOST = 3
"""Notices at once; those before make room."""


class Toasts:
    """Counts what is said again while it still stands there."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, int]] = {}
        """Text and count of each notice, by its identity."""

    def add(self, shown: Notifications, new: Notification) -> None:
        """Show a notice; what says the same already goes, and the new one is counted and has its
        whole time."""
        text, count = new.message, 1
        for old in list(shown):
            before, n_before = self._said.get(old.identity, (old.message, 1))
            if (before, old.title, old.severity) == (text, new.title, new.severity):
                count += n_before
                del shown[old]
        if count > 1:
            new.message = f"{text} (×{count})"
        shown.add(new)
        for old in list(shown)[:-MOST]:
            del shown[old]
        self._said = {one.identity: self._said.get(one.identity, (one.message, 1)) for one in shown}
        self._said[new.identity] = (text, count)


def remove_gone(screen: Screen[object], shown: Notifications) -> None:
    """Take the places of notices away that are no more: Textual leaves them, a row high each."""
    there = {ToastRack._toast_id(one) for one in shown}
    for place in screen.query(ToastHolder):
        if place.id not in there:
            place.remove()
