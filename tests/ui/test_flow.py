"""The open conversation without a screen: two moves at once end as one after the other."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from chatapp.chat_settings import ChatSettings
from chatapp.config import ChatConfig
from chatapp.conversation import Message
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions
from chatapp.sampling import SamplingParams
from chatapp.store import Store
from chatapp.ui.chat.answering import Asked
from chatapp.ui.chat.drafts import Drafts
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.draft import DraftFile


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.in_memory() as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[EngineClient]:
    """An engine that was not started."""
    made = EngineClient(backend="echo")
    yield made
    await made.stop()


@pytest.fixture
async def flow(store: Store, client: EngineClient) -> ChatFlow:
    """A conversation with two versions of its first message is open."""
    made = ChatFlow(
        store,
        client,
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


@pytest.fixture
async def loaded(flow: ChatFlow, client: EngineClient) -> ChatFlow:
    """The same, with a model that repeats what it is asked."""
    await client.load(LoadOptions(path="echo.gguf"))
    flow.answering.set_model_ready(True)
    return flow


async def test_what_waits_in_a_new_chat_is_said_in_one_chat(loaded: ChatFlow, store: Store) -> None:
    await loaded.new()
    loaded.answering.claim()  # an answer of another chat is being written
    await loaded.send("first")
    await loaded.send("second")
    loaded.answering.release()
    await loaded.go_on()
    assert loaded.conversation is not None
    said = [row.content for row in store.get_path(loaded.conversation.id)]
    assert said == ["first", "first", "second", "second"]


async def test_an_edit_waits_while_another_branch_is_opened(loaded: ChatFlow, store: Store) -> None:
    second = loaded.rows[-1]
    first = store.branches.outline(second.conversation_id)[0]
    edited = store.add_message(second.conversation_id, Message.of("user", "below"), second.id)
    loaded.answering.claim()
    await loaded.send("mended", edited.id)
    await loaded.open(second.conversation_id, first.id)
    loaded.answering.release()
    await loaded.go_on()
    assert [row.content for row in loaded.rows] == ["two", "mended", "mended"]
    assert [row.id for row in loaded.rows] == [
        row.id for row in store.get_path(second.conversation_id)
    ]


async def test_what_is_stopped_while_room_is_looked_for_is_not_asked(loaded: ChatFlow) -> None:
    async def find(_asked: Asked) -> bool:
        loaded.answering.stop()
        return True

    loaded.find_room = find
    await loaded.send("stopped")
    assert [row.content for row in loaded.rows] == ["two", "stopped"]
    assert not loaded.answering.busy


async def test_while_its_model_loads_it_is_known_whose_message_waits(loaded: ChatFlow) -> None:
    seen = []

    async def prepare(_settings: ChatSettings) -> bool:
        seen.append(loaded.answering.busy_in)
        return False

    loaded.prepare = prepare
    await loaded.send("waits")
    assert loaded.conversation is not None
    assert seen == [loaded.conversation.id]
    assert not loaded.answering.busy
