from collections.abc import Iterator

import pytest

from chatapp.conversation import Message
from chatapp.parts import File, Image, Reasoning, Text, ToolCall, ToolResult, parts_of
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


@pytest.fixture
def kinds(store: Store) -> int:
    """A conversation with every kind of part, text that means harm, and an answer in two runs."""
    conversation = store.create_conversation("kinds")
    png = Image(b"\x89PNG\r\n\x1a\n" + bytes(2100), "image/png", "cat.png")
    svg = Image(b"<svg onload='alert(1)'><script></script>", "image/png", "evil.svg")
    svg = Image(svg.data[:38], svg.media_type, svg.name)
    file = File("no\x1b[31mtes\n# x", "a **file**\n```\n<!-- open", 7)
    asked = store.add_message(
        conversation, Message("user", (Text("look at this"), file, png, svg))
    ).id
    answer = store.begin_answer(conversation, asked, NewGeneration(model_name="one")).id
    call = ToolCall("call-1", "fetch", '{"half JSON <b>\x9b')
    store.finish_answer(answer, (Reasoning("hm"), Text("I look")), [1], "stopped")
    store.resume_answer(answer, NewGeneration(model_name="two"))
    parts = (Reasoning("hm"), Text("I look"), call, Text("and wait"))
    store.finish_answer(answer, parts, [1], "complete", outcome=Outcome("stop"))
    result = ToolResult("call-1", (Text("404\x00 not found"), File("more.txt", "x", 1)), True)
    store.add_message(conversation, Message("tool", (result,)), answer)
    return conversation
