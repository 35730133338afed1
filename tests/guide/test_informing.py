"""What is known stands in the message from the moment it is asked for on."""

from collections.abc import Iterator

import pytest

from chatapp.conversation import Message
from chatapp.guide.wording import NAME, WANTED, known_in, put_before
from chatapp.informing import inform
from chatapp.parts import File, Text, parts_of
from chatapp.store import Store
from chatapp.store.rows import MessageRow
from chatapp.turn import chat_messages
from tests.guide.program import real_guide


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.in_memory() as opened:
        yield opened


def say(store: Store, said: Message, below: MessageRow | None = None) -> MessageRow:
    chat = below.conversation_id if below else store.create_conversation()
    return store.add_message(chat, said, below.id if below else None)


def test_it_is_put_before_a_question_once(store: Store) -> None:
    row = say(store, Message.of("user", "how do i quit"))
    informed = inform(store, row.id, real_guide, always=True)
    assert informed is not None
    assert known_in(informed.parts).startswith("• Ctrl+Q or /quit")
    assert informed.content == "how do i quit"
    assert store.get_message(row.id) == informed
    assert inform(store, row.id, real_guide, always=True) is None
    assert [hit.message_id for hit in store.search("quit")] == [row.id]
    assert not store.search("leaves")


def test_only_who_asked_gets_it_where_the_model_does_not_want_it(store: Store) -> None:
    plain = say(store, Message.of("user", "how do i quit"))
    assert inform(store, plain.id, real_guide, always=False) is None
    wanted = say(store, Message("user", put_before(parts_of("how do i quit"), WANTED)))
    informed = inform(store, wanted.id, real_guide, always=False)
    assert informed is not None
    assert "Ctrl+Q" in known_in(informed.parts)


def test_answers_and_files_are_left_alone(store: Store) -> None:
    note = File("notes.md", "x")
    asked = say(store, Message("user", (note, Text("how do i quit"))))
    informed = inform(store, asked.id, real_guide, always=True)
    assert informed is not None
    assert informed.parts[1:] == (note, Text("how do i quit"))
    answer = say(store, Message.of("assistant", "quit?"), informed)
    assert inform(store, answer.id, real_guide, always=True) is None


def test_a_question_that_goes_on_knows_the_one_before(store: Store) -> None:
    first = say(store, Message.of("user", "how do i delete a chat"))
    answer = say(store, Message.of("assistant", "So."), first)
    second = say(store, Message.of("user", "and how do i undo that?"), answer)
    informed = inform(store, second.id, real_guide, always=True)
    assert informed is not None
    assert "/undo brings back" in known_in(informed.parts)


def test_the_model_reads_only_what_was_put_before_the_last_question(store: Store) -> None:
    first = say(store, Message.of("user", "how do i quit"))
    inform(store, first.id, real_guide, always=True)
    answer = say(store, Message.of("assistant", "So."), first)
    second = say(store, Message.of("user", "how do i stop it"), answer)
    inform(store, second.id, real_guide, always=True)
    path = store.get_path(second.conversation_id, second.id)
    messages = chat_messages(path, "", "")
    assert messages[0].parts == (Text("how do i quit"),)
    assert isinstance(part := messages[2].parts[0], File)
    assert part.name == NAME
    assert " Esc stops the answer" in part.text
