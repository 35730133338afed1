"""What the tests of a turn do again and again."""

from chatapp.conversation import Message
from chatapp.engine.protocol import Finished
from chatapp.store import Store
from chatapp.turn import Turn


def say(store: Store, text: str, conversation_id: int | None = None) -> tuple[int, int]:
    """(conversation, message) of a user message at the end of a conversation."""
    if conversation_id is None:
        conversation_id = store.create_conversation("test")
    leaf = store.get_conversation(conversation_id).active_leaf_id
    return conversation_id, store.add_message(conversation_id, Message.of("user", text), leaf).id


async def answer(turn: Turn, conversation_id: int, message_id: int) -> Finished:
    async for _event in turn.answer(conversation_id, message_id):
        pass
    assert turn.outcome
    return turn.outcome
