"""Messages with all that belongs to them, and whole conversations, put in under new ids."""

from sqlite_utils import Database

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.store.conversations import insert_conversation
from chatapp.store.generations import copy_run
from chatapp.store.labels import write_tags
from chatapp.store.messages import insert_message
from chatapp.store.parts import write_parts
from chatapp.store.rows import ConversationTree, MessageRow
from chatapp.store.search import Words, index_message, words_of
from chatapp.store.session import clean


def insert_tree(db: Database, tree: ConversationTree) -> int:
    """A conversation with all its messages; its id.

    Raises `StoreError` for a message whose parent does not stand before it.
    """
    given = tree.conversation
    conversation_id = insert_conversation(
        db, given.title, given.system, given.created_at, given.updated_at
    )
    ids: dict[int | None, int | None] = {None: None}
    for message in tree.messages:
        if message.parent_id not in ids or message.id in ids:
            raise StoreError(f"Message {message.id} has no place in its conversation.")
        ids[message.id] = insert_member(db, conversation_id, ids[message.parent_id], message)
    if given.active_leaf_id not in ids:
        raise StoreError("The active message of a conversation is missing.")
    db.execute(
        "UPDATE conversations SET active_leaf_id = ?, settings = ?, pinned_at = ?,"
        " archived_at = ? WHERE id = ?",
        (
            ids[given.active_leaf_id],
            clean(given.settings),
            given.pinned_at,
            given.archived_at,
            conversation_id,
        ),
    )
    write_tags(db, conversation_id, given.tags)
    _keep_name(db, "conversations", conversation_id, given.uid)
    return conversation_id


def insert_member(
    db: Database, conversation_id: int, parent_id: int | None, message: MessageRow
) -> int:
    """One message from elsewhere, under its name where no other has it; its id."""
    message_id = insert_copy(db, conversation_id, parent_id, message)
    _keep_name(db, "messages", message_id, message.uid)
    return message_id


def insert_said(
    db: Database,
    conversation_id: int,
    parent_id: int | None,
    message: Message,
    words: Words,
    now: float,
    *,
    by_hand: bool = False,
) -> int:
    """A finished message that is said now; its id. `words` are those of its parts."""
    message_id = insert_message(
        db, conversation_id, parent_id, message.role, "complete", now, by_hand=by_hand
    )
    write_parts(db, message_id, message.parts)
    index_message(db, message_id, words)
    return message_id


def insert_copy(
    db: Database, conversation_id: int, parent_id: int | None, message: MessageRow
) -> int:
    """A message as it was elsewhere, under an id and a name of its own; its id.

    An answer that was being written is `interrupted`.
    """
    message_id = insert_message(
        db,
        conversation_id,
        parent_id,
        message.role,
        "interrupted" if message.status == "streaming" else message.status,
        message.created_at,
        message.tokens,
        by_hand=message.by_hand,
        pinned=message.pinned,
    )
    write_parts(db, message_id, message.parts)
    index_message(db, message_id, words_of(message.parts))
    for run in message.generations:
        copy_run(db, message_id, run)
    return message_id


def _keep_name(db: Database, table: str, row_id: int, uid: str) -> None:
    # What comes in a second time is a copy, and gets a name of its own.
    if uid:
        db.execute(
            f"UPDATE OR IGNORE {table} SET uid = ? WHERE id = ?",  # noqa: S608
            (uid, row_id),
        )
