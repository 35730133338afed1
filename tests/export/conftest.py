from collections.abc import Iterator

import pytest

from chatapp.conversation import Message
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.rows import ConversationTree, NewGeneration, Outcome


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.in_memory() as opened:
        yield opened


@pytest.fixture
def tree(store: Store) -> ConversationTree:
    """Two branches, every status but streaming, and text that means harm."""
    store.create_conversation("shifts the ids")
    conversation = store.create_conversation("Café <b> & 北京", "Answer in <i>one</i> line.")
    first = store.add_message(
        conversation, Message.of("user", "Why?\n\n```py\nprint('<&>')\n```")
    ).id
    made = NewGeneration("/m/t.gguf", "tiny <model>", "ff", "tt", '{"top_p": 0.9}', 3)
    one = store.begin_answer(conversation, first, made).id
    outcome = Outcome("stop", "", 42, 10, 4, 3, 0.1, 0.2, 900.5, 30.25)
    store.finish_answer(one, parts_of("First 🙂\x00\x1b[31m"), [1, 2], "complete", outcome=outcome)
    below = store.add_message(conversation, Message.of("user", "Below the first"), one).id
    failed = store.begin_answer(conversation, below, made).id
    outcome = Outcome(error="out of <memory>")
    store.finish_answer(failed, parts_of(""), [], "failed", outcome=outcome)
    two = store.begin_answer(conversation, first, made).id
    text = "Second\n<script>alert(1)</script>\n~~~html\n<p>\nopen fence"
    store.finish_answer(two, parts_of(text, "I think\n\nso"), [5, 6], "stopped")
    store.add_message(conversation, Message.of("user", "Then?\u2028\r\nMore"), two)
    return store.get_tree(conversation)
