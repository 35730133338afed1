from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "history.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path) as opened:
        yield opened


@pytest.fixture
def say(store: Store) -> Callable[..., int]:
    """Add a prompt in a new conversation, or under a parent; the message's id."""

    def add(text: str, conversation_id: int | None = None, parent_id: int | None = None) -> int:
        if conversation_id is None:
            conversation_id = store.create_conversation("chat")
        return store.add_message(conversation_id, Message.of("user", text), parent_id).id

    return add
