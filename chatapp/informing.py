"""What chatapp knows of itself is put before a question, in the store, before the model is asked.

It stands in the message from then on: one sees what a model has read, and an answer that is asked
for again is asked for with the same.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from chatapp.guide.wording import is_knowledge, know, put_before, question_in, wants_knowledge
from chatapp.store.rows import MessageRow

if TYPE_CHECKING:
    from chatapp.guide.retrieval import Guide
    from chatapp.store import Store

GetGuide = Callable[[], "Guide"]
"""Gives the guide of the program, which is made when it is first needed."""


class GuideOnce:
    """Makes a guide when it is first asked for, once, whatever thread asks."""

    def __init__(self, make: GetGuide) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Guide | None = None

    def __call__(self) -> "Guide":
        """The guide; blocks while another thread makes it."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


def inform(
    store: "Store", message_id: int, get_guide: GetGuide, *, always: bool
) -> MessageRow | None:
    """The message with what is known before its question; None where it stays as it is.

    `always`: the model wants it before every question; else only who asked for it gets it. Blocks.
    """
    row = store.get_message(message_id)
    has_it = any(map(is_knowledge, row.parts))
    wanted = wants_knowledge(row.parts) or (always and not has_it)
    if row.role != "user" or not wanted:
        return None
    above = store.get_path(row.conversation_id, message_id)[:-1]
    before = [question_in(one.parts) for one in above if one.role == "user"]
    part = know(get_guide(), question_in(row.parts), before)
    return store.branches.put_with(message_id, put_before(row.parts, part))
