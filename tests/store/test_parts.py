"""Messages of every kind of part, what a journal writes, and what a long search holds up."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import File, Image, Parts, Reasoning, Text, ToolCall, ToolResult, parts_of
from chatapp.store import Store

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_said = st.builds(Text, _texts)
_files = st.builds(File, _texts, _texts, st.integers(0, 9))
_images = st.builds(Image, st.binary(max_size=30), _texts, _texts)
_results = st.builds(
    ToolResult, _texts, st.lists(_said | _files | _images, max_size=3).map(tuple), st.booleans()
)
_calls = st.builds(ToolCall, _texts, _texts, _texts)
_parts = st.lists(
    _said | st.builds(Reasoning, _texts) | _files | _images | _calls | _results, max_size=5
).map(tuple)


@given(st.lists(_parts, min_size=1, max_size=4))
def test_parts_come_back_as_they_were_and_take_the_place_of_those_before(
    versions: list[Parts],
) -> None:
    with Store.in_memory() as store:
        conversation = store.create_conversation()
        asked = store.add_message(conversation, Message("user", versions[0]))
        assert asked.parts == versions[0]
        answer = store.begin_answer(conversation, asked.id).id
        for parts in versions:
            store.journal_answer(answer, parts, [])
            assert store.get_message(answer).parts == parts
        store.finish_answer(answer, versions[-1], [], "complete")
        assert store.get_message(asked.id).parts == versions[0]
        store.delete_conversation(conversation)
        store.empty_bin()
        with store.session.reading() as db:
            left = [
                db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("parts", "blobs", "messages", "generations")
            ]
        assert left == [0, 0, 0, 0]


def test_lone_surrogates_become_replacement_characters(store: Store) -> None:
    conversation = store.create_conversation()
    parts = (Text("\ud800a"), File("\udfff", "\ud800"), ToolCall("1", "\ud800", "\ud83d\ude42"))
    row = store.add_message(conversation, Message("user", parts))
    assert row.parts == (Text("\ufffda"), File("\ufffd", "\ufffd"), ToolCall("1", "\ufffd", "🙂"))


def test_a_journal_writes_the_part_that_grew_and_no_other(store: Store) -> None:
    conversation = store.create_conversation()
    asked = store.add_message(conversation, Message.of("user", "?")).id
    answer = store.begin_answer(conversation, asked).id
    store.journal_answer(answer, parts_of("so", "thought " * 1000), [1])
    with store.session.reading() as db:
        before = db.conn.total_changes
    store.journal_answer(answer, parts_of("so it goes", "thought " * 1000), [1, 2])
    with store.session.reading() as db:
        assert db.conn.total_changes == before + 2, "one part, and the row with the tokens"


def test_search_knows_what_was_said_and_thoughts_when_asked(
    store: Store, say: Callable[..., int]
) -> None:
    conversation = store.create_conversation()
    parts = (Text("first half"), File("notes.txt", "unsearched"), Text("and half a zebra"))
    asked = store.add_message(conversation, Message("user", parts)).id
    answer = store.begin_answer(conversation, asked).id
    thought = parts_of("an answer", "pondering the zebra")
    store.finish_answer(answer, thought, [], "stopped")
    assert [hit.message_id for hit in store.search("zebra")] == [asked]
    assert [hit.message_id for hit in store.search("half and")] == [asked]
    assert store.search("unsearched") == store.search("halfand") == []
    (hit,) = store.search("zebra", reasoning=True)
    assert (hit.message_id, hit.snippet) == (answer, "pondering the \x02zebra\x03")
    store.resume_answer(answer)
    assert store.search("pondering", reasoning=True) == []
    store.finish_answer(answer, parts_of("an answer"), [], "complete")
    assert store.search("pondering", reasoning=True) == []


def test_a_damaged_part_is_one_sentence(store: Store, say: Callable[..., int]) -> None:
    message = say("hello")
    with store.session.writing() as db:
        db.execute("UPDATE parts SET data = '{' WHERE message_id = ?", (message,))
    with pytest.raises(StoreError, match=f"part of message {message} is damaged"):
        store.get_message(message)


def test_a_long_search_delays_no_journal(store: Store, say: Callable[..., int]) -> None:
    asked = say("hello")
    answer = store.begin_answer(store.get_message(asked).conversation_id, asked).id
    searching, written = threading.Event(), threading.Event()

    def search() -> None:
        with store.session.browsing() as db:
            cursor = db.execute("SELECT text FROM parts")
            cursor.fetchone()
            searching.set()
            assert written.wait(30), "a journal waited for the search"
            cursor.fetchall()

    thread = threading.Thread(target=search)
    thread.start()
    assert searching.wait(30)
    store.journal_answer(answer, parts_of("written"), [1])
    written.set()
    thread.join()
    assert store.get_message(answer).content == "written"


def test_browsing_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="not writable"), store.session.browsing() as db:
        db.execute("DELETE FROM conversations")


def test_a_picture_that_changes_its_place_is_not_lost(store: Store) -> None:
    """The row that had its bytes is overwritten before the one that is to have them."""
    picture, other = Image(b"\x00" * 500, name="a.png"), Image(b"\x01" * 500, name="b.png")
    chat = store.create_conversation("places")
    asked = store.add_message(chat, Message.of("user", "q"))
    answer = store.begin_answer(chat, asked.id)
    for parts in ((picture, Text("x")), (Text("x"), picture), (other, picture), (picture, other)):
        store.journal_answer(answer.id, parts, [])
        assert store.get_message(answer.id).parts == parts
