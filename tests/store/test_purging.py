"""What is purged is nowhere: the raw bytes of the file and of what lies beside it are searched."""

import hashlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import File, Image, Part, Reasoning, Text, ToolCall, ToolResult, parts_of
from chatapp.store import Store
from chatapp.store.rows import NewGeneration, Outcome, Purged

SECRETS = (
    *("titleword", "renamedword", "systemword", "oldorders", "promptword", "answerword"),
    *("thoughtword", "filenameword", "filetextword", "imageword", "toolnameword", "argumentword"),
    *("resultword", "modelword", "paramword", "errorword", "journalword", "draftword"),
    *("settingword", "tagword", "begunword", "cutword"),
)


def find_traces(path: Path) -> list[str]:
    found = []
    for file in path.parent.iterdir():
        content = file.read_bytes()
        found += [
            f"{word} in {file.name}"
            for word in SECRETS
            # The index holds what follows the letters that a word shares with the one before it.
            if word.encode() in content or word[4:].encode() in content
        ]
        digest = hashlib.sha256(b"filetextword " * 900).hexdigest().encode()
        found += [f"digest in {file.name}"] if digest in content else []
    return found


def fill(store: Store) -> int:
    conversation = store.create_conversation("titleword", "oldorders")
    store.rename_conversation(conversation, "renamedword")
    store.set_system(conversation, "systemword")
    parts: tuple[Part, ...] = (
        Text("promptword " * 3000),
        File("filenameword", "filetextword " * 900),
        Image(b"imageword " * 5000),
    )
    asked = store.add_message(conversation, Message("user", parts)).id
    made = NewGeneration("/modelword", "modelword", "ff", "tt", '{"paramword": 1}')
    answer = store.begin_answer(conversation, asked, made).id
    store.journal_answer(answer, parts_of("journalword " * 2000, "draftword"), [1])
    said = (
        Reasoning("thoughtword"),
        Text("answerword"),
        ToolCall("1", "toolnameword", "argumentword"),
    )
    store.finish_answer(answer, said, [1], "failed", outcome=Outcome(error="errorword"))
    result = ToolResult("1", (Text("resultword"),))
    store.add_message(conversation, Message("tool", (result,)), answer)
    store.set_settings(conversation, '{"model": "settingword"}')
    store.labels.set_tags(conversation, ["tagword"])
    store.prompts.save_draft(conversation, "begunword")
    store.branches.delete_branch(store.branches.edit(answer, (Text("cutword"),)).id)
    return conversation


@pytest.fixture
def kept(store: Store) -> Iterator[int]:
    """A conversation that stays, with neighbours of everything that goes."""
    conversation = store.create_conversation("kept title")
    parts = (Text("kept elephant"), File("kept.txt", "kept file"), Image(b"kept image"))
    message = store.add_message(conversation, Message("user", parts))
    yield conversation
    assert store.get_message(message.id).parts == parts
    assert [hit.message_id for hit in store.search("elephant")] == [message.id]
    assert [row.id for row in store.list_conversations(query="kept title")] == [conversation]
    assert store.find_damage() == []


def test_no_word_of_what_is_purged_is_left(store: Store, path: Path, kept: int) -> None:
    conversation = fill(store)
    assert len(find_traces(path)) > len(SECRETS), "they were there"
    store.delete_conversation(conversation)
    assert store.purge_deleted(1) == Purged(0, swept=True)
    assert [row.id for row in store.list_deleted()] == [conversation]
    assert store.purge_deleted(0) == Purged(1, swept=True)
    assert find_traces(path) == []
    with pytest.raises(StoreError):
        store.get_conversation(conversation)
    assert store.search("promptword") == store.search("thoughtword", reasoning=True) == []


def test_what_was_renamed_or_replaced_leaves_nothing_either(
    store: Store, path: Path, kept: int
) -> None:
    store.rename_conversation(kept, "titleword")
    store.rename_conversation(kept, "kept title")
    store.set_system(kept, "oldorders")
    store.set_system(kept, "")
    assert find_traces(path) != []
    assert store.empty_bin() == Purged(0, swept=True)
    assert find_traces(path) == []


def test_what_other_messages_hold_too_stays(store: Store, path: Path, kept: int) -> None:
    conversation = store.create_conversation("shares")
    shared = File("other name", "kept file")
    store.add_message(conversation, Message("user", (shared, Image(b"imageword"))))
    store.delete_conversation(conversation)
    assert store.purge_deleted(0).conversations == 1
    assert find_traces(path) == []
    with store.session.reading() as db:
        assert db.execute("SELECT count(*) FROM blobs").fetchone() == (2,)


def test_a_replaced_attachment_goes_with_its_last_part(store: Store, kept: int) -> None:
    answer = store.begin_answer(kept, 1).id
    store.journal_answer(answer, (Image(b"one"),), [])
    store.journal_answer(answer, (Image(b"two"), Image(b"kept image")), [])
    store.finish_answer(answer, (Image(b"kept image"),), [], "complete")
    with store.session.reading() as db:
        blobs = {row[0] for row in db.execute("SELECT bytes FROM blobs")}
    assert blobs == {b"kept file", b"kept image"}


READER = """
    import sqlite3, sys
    conn = sqlite3.connect(sys.argv[1], isolation_level=None)
    if sys.argv[2] == "reading":
        conn.execute("BEGIN")
    conn.execute("SELECT * FROM messages").fetchall()
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("state", "swept"), [("open", True), ("reading", False)])
def test_another_program_has_the_file_open(
    path: Path, state: str, swept: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    with Store.open(path, busy_timeout_s=0.1) as store:
        store.delete_conversation(fill(store))
        command = [sys.executable, "-c", textwrap.dedent(READER), str(path), state]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            assert store.purge_deleted(0) == Purged(1, swept=swept)
            assert store.find_damage() == []
            if not swept:
                assert find_traces(path) != []
            other.communicate()
        assert store.purge_deleted(30) == Purged(0, swept=True), "the next start sweeps"
        assert find_traces(path) == []


def test_a_chat_in_memory_can_be_purged_too() -> None:
    with Store.in_memory() as store:
        store.delete_conversation(fill(store))
        assert store.empty_bin() == Purged(1, swept=True)
        assert store.find_damage() == []
