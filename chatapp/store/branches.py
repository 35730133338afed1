"""What is done to the tree of a conversation beside saying something in it. `Store.branches`."""

import time
from collections.abc import Collection

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import Parts
from chatapp.store import cuts, messages
from chatapp.store.conversations import fetch_conversation
from chatapp.store.parts import write_parts
from chatapp.store.rows import Cut, MessageRow, OutlineRow
from chatapp.store.search import words_of
from chatapp.store.session import Session
from chatapp.store.trees import insert_copy, insert_said
from chatapp.text import cut_text, one_line

OUTLINE_LENGTH = 80
"""Characters of a message that an outline has."""

_OUTLINE = f"""
SELECT m.id, m.parent_id, m.role, m.status, m.created_at, (
  SELECT substr(p.text, 1, {4 * OUTLINE_LENGTH}) FROM parts p
  WHERE p.message_id = m.id AND p.depth = 0 AND p.text != ''
  ORDER BY p.kind != 'text', p.position LIMIT 1
)
FROM messages m WHERE m.conversation_id = ? ORDER BY m.id
"""  # noqa: S608


class Branches:
    """Edits, deletions that can be undone, forks and the outline of a tree."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def outline(self, conversation_id: int) -> list[OutlineRow]:
        """Every message of a conversation, parents before their children, in one query."""
        with self._session.of(conversation_id).browsing() as db:
            fetch_conversation(db, conversation_id)
            rows = db.execute(_OUTLINE, (conversation_id,)).fetchall()
        return [OutlineRow(*[*facts, _shorten(text)]) for *facts, text in rows]

    def edit(self, message_id: int, parts: Parts) -> MessageRow:
        """Say something else in the place of a message: a version beside it, in its role.

        It is what is shown then. An answer that is edited is the user's words: complete, without
        tokens or a generation. Raises `StoreError` for a deleted message.
        """
        words, now = words_of(parts), time.time()
        with self._session.of(message_id).writing() as db:
            conversation_id, parent_id = cuts.find_place(db, message_id)
            role = messages.fetch_message(db, message_id).role
            said, by_hand = Message(role, parts), role != "user"
            new_id = insert_said(db, conversation_id, parent_id, said, words, now, by_hand=by_hand)
            messages.go_to(db, conversation_id, new_id, now)
            return messages.fetch_message(db, new_id)

    def put_with(self, message_id: int, parts: Parts) -> MessageRow:
        """Let other files stand with a message; what it says has to be the same, for it is found by
        that."""
        with self._session.of(message_id).writing() as db:
            cuts.find_place(db, message_id)
            write_parts(db, message_id, parts)
            return messages.fetch_message(db, message_id)

    def pin(self, message_id: int, *, pinned: bool = True) -> MessageRow:
        """Have a message stay word for word when others go for want of room, or no longer."""
        with self._session.of(message_id).writing() as db:
            cuts.find_place(db, message_id)
            db.execute("UPDATE messages SET pinned = ? WHERE id = ?", (pinned, message_id))
            return messages.fetch_message(db, message_id)

    def delete_branch(self, message_id: int) -> Cut:
        """Delete a message and all below it; `undelete` brings them back.

        If it was shown, another version is shown then, or what stands above it. Raises
        `StoreError` while an answer in it is being written.
        """
        with self._session.of(message_id).writing() as db:
            return cuts.cut_branch(db, message_id)

    def delete_message(self, message_id: int) -> Cut:
        """Delete a message alone: what stands below it stands below its parent then."""
        with self._session.of(message_id).writing() as db:
            return cuts.cut_message(db, message_id)

    def undelete(self, cut_id: int) -> Cut:
        """Bring back what was deleted, by the `id` of the cut; what is shown now, in `leaf_id`.

        Raises `StoreError` if it is back already, or was purged.
        """
        with self._session.of(cut_id).writing() as db:
            return cuts.restore(db, cut_id)

    def list_deleted(self, conversation_id: int) -> list[Cut]:
        """What can be brought back in a conversation, the last deleted first."""
        with self._session.of(conversation_id).browsing() as db:
            return cuts.list_cuts(db, conversation_id)

    def fork(
        self,
        conversation_id: int,
        leaf_id: int,
        keep_from_id: int | None,
        head: Message | None = None,
        keep_also: Collection[int] = (),
    ) -> int:
        """Copy the end of a branch below a new first message, and show it; the new leaf.

        `keep_from_id` is the first message that is copied (None: none), `leaf_id` the last, and of
        those before it the ones in `keep_also` are copied too; parts, tokens, generations,
        statuses, times and pins are theirs. Without a `head` the first copy is the first message.
        Going back is showing `leaf_id`. Raises `StoreError` if `keep_from_id` is not above
        `leaf_id`, or the branch would be empty.
        """
        words, now = words_of(head.parts) if head else (), time.time()
        with self._session.of(conversation_id).writing() as db:
            path = messages.find_path(db, conversation_id, leaf_id)
            end = _cut_off(path, keep_from_id)
            kept = [one for one in path if one in keep_also and one not in end] + end
            parent_id = None
            if head is not None:
                parent_id = insert_said(db, conversation_id, None, head, words, now)
            for message_id in kept:
                row = messages.fetch_message(db, message_id)
                parent_id = insert_copy(db, conversation_id, parent_id, row)
            if parent_id is None:
                raise StoreError("A branch needs a message.")
            messages.go_to(db, conversation_id, parent_id, now)
            return parent_id


def _shorten(text: str | None) -> str:
    return cut_text(one_line(text or ""), OUTLINE_LENGTH)


def _cut_off(path: list[int], keep_from_id: int | None) -> list[int]:
    if keep_from_id is None:
        return []
    if keep_from_id not in path:
        raise StoreError(f"Message {keep_from_id} is not in the branch of message {path[-1]}.")
    return path[path.index(keep_from_id) :]
