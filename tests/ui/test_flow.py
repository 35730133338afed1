"""The open conversation without a screen: two moves at once end as one after the other."""

import asyncio
from collections.abc import Iterator

import pytest

from chatapp.config import ChatConfig
from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.ui.chat.drafts import Drafts
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.draft import DraftFile


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.in_memory() as opened:
        yield opened


@pytest.fixture
async def flow(store: Store) -> ChatFlow:
    """A conversation with two versions of its first message is open."""
    made = ChatFlow(
        store,
        EngineClient(backend="echo"),
        sampling=SamplingParams(),
        chat=ChatConfig(),
        post=lambda _fact: None,
        drafts=Drafts(store, DraftFile(None), lambda: None),
    )
    conversation = store.create_conversation("two versions")
    for text in ("one", "two"):
        store.add_message(conversation, Message.of("user", text), None)
    await made.open(conversation)
    return made


async def test_another_version_and_a_new_chat_at_once(flow: ChatFlow) -> None:
    await asyncio.gather(flow.switch(flow.rows[-1].id, -1), flow.new())
    assert (flow.conversation, flow.rows) == (None, [])


async def test_a_title_that_is_read_again_does_not_bring_its_chat_back(flow: ChatFlow) -> None:
    await asyncio.gather(flow.reread(), flow.new())
    assert (flow.conversation, flow.rows) == (None, [])


async def test_a_version_of_a_chat_that_was_left_changes_nothing(
    flow: ChatFlow, store: Store
) -> None:
    shown = flow.rows[-1]
    other = store.create_conversation("another")
    await asyncio.gather(flow.open(other), flow.switch(shown.id, -1))
    assert flow.conversation is not None
    assert flow.conversation.id == other
    assert store.get_conversation(shown.conversation_id).active_leaf_id == shown.id
