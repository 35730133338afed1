"""The chat line by line: what is told, and what a line does."""

import os
import time
from pathlib import Path

import pytest

from bench.everyday import ACTIONS, PLAIN_ACTIONS
from bench.everyday.peers import read_peers
from chatapp.store import Store
from tests.ui.plain_child import Plain


def test_every_everyday_action_is_done_without_a_screen_and_known_of_others() -> None:
    """What `bench.actions` plays; running it takes a minute, so only the tables are compared."""
    names = [one.name for one in ACTIONS]
    assert [one.name for one in PLAIN_ACTIONS] == names
    assert len(names) >= 60
    for peer in read_peers():
        assert peer.keys.keys() <= set(names)
        assert all(peer.how.values())
        assert peer.known


def test_a_chat_has_role_labels_and_no_drawing(plain: Plain) -> None:
    plain.write("hello there")
    plain.expect("Assistant:")
    plain.expect("hello there")
    assert plain.end() == 0
    assert not any(ord(c) in range(0x2500, 0x25A0) or c == "\x1b" for c in "".join(plain.said))
    with Store.open(plain.home / "history.db") as store:
        (chat,) = store.list_conversations()
        assert [row.content for row in store.get_path(chat.id)] == ["hello there", "hello there"]


def test_several_lines_are_one_message(plain: Plain) -> None:
    plain.write('"""', "one", "two", '"""')
    plain.expect("two")
    assert plain.end() == 0
    with Store.open(plain.home / "history.db") as store:
        (chat,) = store.list_conversations()
        assert store.get_path(chat.id)[0].content == "one\ntwo"


def test_lists_are_numbered_and_a_number_chooses(plain: Plain) -> None:
    for text in ("first chat", "second chat"):
        plain.write(text)
        plain.expect("Assistant:")
        plain.write("/new")
        plain.expect("A new chat.")
    plain.write("/history")
    line = plain.expect("first chat")
    plain.write(line.split(".")[0])
    assert plain.expect("Chat: first chat").endswith("2 messages.")


def test_search_is_filled_in_and_left(plain: Plain) -> None:
    plain.write("a needle in it")
    plain.expect("Assistant:")
    plain.write("/search")
    plain.expect("Field: ")
    plain.write(".")
    plain.expect("Back in the chat.")
    plain.write("/nosuch")
    assert plain.expect("There is no command /nosuch.").startswith("Warning: ")


def test_settings_and_versions(plain: Plain) -> None:
    plain.write("/set temperature 0.3")
    plain.expect("temperature is 0.3")
    plain.write("again")
    plain.expect("Assistant:")
    plain.write_until("/regenerate", "Assistant:")
    assert plain.write_until("/key Alt+Left", "(version 1 of 2)").startswith("Assistant")


def test_several_answers_are_told_one_after_the_other(plain: Plain) -> None:
    plain.write("pear")
    plain.expect("Assistant:")
    plain.write_until("/regenerate 3", "3 answers are being written")
    plain.expect("Assistant (version 3 of 4):")
    plain.expect("Assistant (version 4 of 4):")
    plain.expect("Version 2 of 4 is shown; /choose NUMBER shows another.")
    plain.write("/choose 4")
    assert plain.expect("(version 4 of 4)").startswith("Assistant")
    plain.write("/compare")
    plain.expect("Assistant (version 1 of 4):")
    plain.expect("Version 4 of 4 is shown")
    assert plain.end() == 0
    with Store.open(plain.home / "history.db") as store:
        (chat,) = store.list_conversations()
        assert store.get_path(chat.id)[-1].sibling_index == 3


def test_what_is_found_is_told_with_numbers(plain: Plain) -> None:
    plain.write("a needle")
    plain.expect("Assistant:")
    plain.expect("a needle")
    plain.write("/find needle")
    plain.expect("hits for")
    assert "a needle" in plain.expect("1. You")
    plain.write(".")
    plain.expect("Back in the chat.")


def test_what_is_written_is_told_and_an_empty_line_sends_it(plain: Plain) -> None:
    plain.write("again")
    plain.expect("Assistant:")
    plain.write("/template translate to=German Good morning")
    plain.expect("Good morning")
    plain.expect("An empty line sends it")
    plain.write("/set temperature 0.3")
    plain.expect("temperature is 0.3")
    plain.write("")
    plain.expect("Good morning")
    plain.write(".", "/key Ctrl+E")
    assert plain.expect("Editing your message of ")
    plain.expect("Good morning")
    plain.write("another text")
    plain.expect("The editing has ended.")
    assert plain.end() == 0
    with Store.open(plain.home / "history.db") as store:
        (chat,) = store.list_conversations()
        said = [row.content for row in store.get_path(chat.id) if row.role == "user"]
        assert said == ["again", "another text"]


def test_a_dot_throws_away_what_was_written_and_a_key_brings_it_back(plain: Plain) -> None:
    plain.write("/nosuch")
    assert plain.expect("Written, not sent: /nosuch")
    plain.write(".")
    plain.expect("Thrown away.")
    plain.write("/key Ctrl+_")
    assert plain.expect("Written, not sent: /nosuch")


def test_earlier_messages_are_told_again(plain: Plain) -> None:
    for number in range(4):
        plain.write(f"message {number}")
        plain.expect("Assistant:")
        plain.expect(f"message {number}")
    plain.write("/key PgUp")
    plain.expect("Message 5 to 8 of 8.")
    plain.write("/key PgUp")
    plain.expect("Message 1 to 4 of 8.")
    plain.write("/key Shift+Down")
    plain.expect("Message 5 of 8.")
    assert plain.expect("message 2")
    plain.write("/key Alt+Up")
    plain.expect("Marked: the answer of ")
    plain.expect("message 3")


def test_earlier_prompts_are_numbered(plain: Plain) -> None:
    for text in ("a red house", "a blue house"):
        plain.write(text)
        plain.expect("Assistant:")
        plain.expect(text)
    plain.write("/prompts red")
    plain.write(plain.expect("a red house").split(".")[0])
    assert plain.expect("Written, not sent: a red house")


def test_a_key_is_pressed_on_an_entry_and_a_command_leaves_the_list(plain: Plain) -> None:
    for text in ("first chat", "second chat", "third chat"):
        plain.write(text)
        plain.expect("Assistant:")
        plain.expect(text)
        plain.write("/new")
        plain.expect("A new chat.")
    plain.write("/chats")
    number = plain.expect("second chat").split(".")[0]
    plain.write(f"{number} Del")
    plain.expect("Deleted")
    plain.write("/undo")
    plain.expect("back again")
    plain.expect("Back in the chat.")
    assert plain.end() == 0
    with Store.open(plain.home / "history.db") as store:
        assert len(store.list_conversations()) == 3


def test_dialogs_are_told_alone_and_an_empty_line_is_enter(plain: Plain) -> None:
    plain.write('"""', "```python", "print(1)", "```", '"""')
    plain.expect("print(1)")
    plain.write("/context")
    plain.expect("room left")
    assert plain.count("Write a message") == plain.count("print(1)") == 0
    plain.write(".")
    plain.expect("Back in the chat.")
    plain.write("/help")
    plain.expect("/regenerate")
    assert plain.count("object at") == 0
    plain.write(".")
    plain.expect("Back in the chat.")
    plain.write("/save")
    plain.expect("Now: code.py")
    plain.write("")
    plain.expect("Back in the chat.")
    assert (plain.home / "code.py").read_text() == "print(1)\n"


def test_buttons_and_fields_that_drop_down_are_numbered(plain: Plain) -> None:
    plain.write("/key F3")
    plain.expect("Field (here): ")
    number = plain.expect("as the source, choose").split(".")[0]
    assert plain.expect(". Plan")
    plain.write(number)
    plain.expect("as the source")
    plain.write(".")
    plain.write(".")
    plain.expect("Back in the chat.")


@pytest.mark.skipif(os.name == "nt", reason="runs a script of the shell")
def test_an_editor_has_the_lines_to_itself(tmp_path: Path) -> None:
    script = tmp_path / "editor.sh"
    script.write_text('#!/bin/sh\ntouch "$0.began"\nread -r line\nprintf %s "$line" > "$1"\n')
    script.chmod(0o700)
    plain = Plain(tmp_path / "home", VISUAL=str(script))
    try:
        plain.write("/edit")
        while not script.with_name("editor.sh.began").exists():
            time.sleep(0.02)
        plain.write("for the editor")
        assert plain.expect("Written, not sent: for the editor")
    finally:
        plain.child.kill()
        plain.child.wait()


def test_a_block_that_names_a_file_is_asked_about_and_a_line_is_not(plain: Plain) -> None:
    (plain.home / "notes.md").write_text("under the mat")
    plain.write("a line with @notes.md")
    plain.expect("Note: notes.md: ")
    plain.expect("Assistant:")
    (plain.home / "other.md").write_text("over the door")
    for answer, how in (("1", "Assistant:"), ("2", "Note: other.md: ")):
        plain.write('"""', "pasted, with @other.md", "", '"""')
        plain.expect("Put it before the model")
        plain.write(answer)
        plain.expect(how)
    plain.write('"""', "pasted, with @other.md", "and", '"""')
    assert plain.end() == 1, "nobody said what is to become of it"
    with Store.open(plain.home / "history.db") as store:
        (chat,) = store.list_conversations()
        rows = [row for row in store.get_path(chat.id) if row.role == "user"]
        assert [len(row.parts) for row in rows] == [2, 1, 2]
        draft = store.prompts.get_draft(chat.id)
    assert draft is not None
    assert draft.text == "pasted, with @other.md\nand"
