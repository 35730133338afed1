"""Drafts, and what was sent before."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import File, Text, parts_of
from chatapp.store import Store
from chatapp.store.sent import MAX_LOOKED_AT


def test_each_chat_has_a_draft_and_so_has_the_new_one(store: Store) -> None:
    one = store.create_conversation("one")
    assert store.prompts.get_draft(one) is None
    assert store.prompts.take_draft(None) is None
    store.prompts.save_draft(one, "in o", 4)
    store.prompts.save_draft(one, "in one\nchat \x00", 3)
    store.prompts.save_draft(None, "in the new one")
    draft = store.prompts.get_draft(one)
    assert draft is not None
    assert (draft.conversation_id, draft.text, draft.cursor) == (one, "in one\nchat \x00", 3)
    assert [draft.conversation_id for draft in store.prompts.list_drafts()] == [None, one]
    taken = store.prompts.take_draft(None)
    assert taken is not None
    assert taken.text == "in the new one"
    assert store.prompts.get_draft(None) is None
    store.prompts.save_draft(one, "")
    assert store.prompts.list_drafts() == []


def test_a_draft_says_which_message_it_is_another_version_of(store: Store) -> None:
    chat = store.create_conversation("one")
    said = store.add_message(chat, Message.of("user", "said"), None).id
    store.prompts.save_draft(chat, "", replaces=said, waits="begun before")
    store.prompts.save_draft(chat, "said otherwise", replaces=said, waits="begun before")
    draft = store.prompts.get_draft(chat)
    assert draft is not None
    assert (draft.text, draft.replaces, draft.waits) == ("said otherwise", said, "begun before")
    store.prompts.save_draft(chat, "", replaces=said, waits="begun before")
    assert [one.waits for one in store.prompts.list_drafts()] == ["begun before"]
    store.prompts.save_draft(chat, "new")
    assert [(one.replaces, one.waits) for one in store.prompts.list_drafts()] == [(None, "")]
    store.prompts.save_draft(chat, "", replaces=said)
    assert store.prompts.list_drafts() == []


def test_drafts_of_a_deleted_chat_come_back_with_it_and_go_with_it(store: Store) -> None:
    one, two = store.create_conversation("one"), store.create_conversation("two")
    for conversation in (one, two):
        store.prompts.save_draft(conversation, "begun")
        store.delete_conversation(conversation)
    assert store.prompts.list_drafts() == []
    store.undelete_conversation(one)
    assert [draft.conversation_id for draft in store.prompts.list_drafts()] == [one]
    store.empty_bin()
    with pytest.raises(StoreError):
        store.prompts.save_draft(two, "too late")
    with store.session.reading() as db:
        assert db.execute("SELECT count(*) FROM drafts").fetchone() == (1,)


DRAFTING = """
    import sys
    from pathlib import Path
    from chatapp.store import Store

    store = Store.open(Path(sys.argv[1]))
    store.prompts.save_draft(None, sys.argv[2])
    print("saved", flush=True)
    sys.stdin.read()
"""


def test_a_draft_belongs_to_who_writes_it_until_it_is_gone(path: Path) -> None:
    with Store.open(path) as store:
        command = [sys.executable, "-c", textwrap.dedent(DRAFTING), str(path), "theirs"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "saved\n"
            assert store.prompts.get_draft(None) is None
            store.prompts.save_draft(None, "ours")
            assert {draft.text for draft in store.prompts.list_drafts()} == {"theirs", "ours"}
            other.kill()
        ours, theirs = store.prompts.take_draft(None), store.prompts.take_draft(None)
        assert ours is not None
        assert theirs is not None
        assert (ours.text, theirs.text) == ("ours", "theirs")
        assert store.prompts.take_draft(None) is None


def test_what_is_taken_over_is_ours(path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(DRAFTING), str(path), "left behind"]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    with Store.open(path) as store:
        found = store.prompts.get_draft(None)
        assert found is not None
        assert found.text == "left behind"
        store.prompts.save_draft(None, "left behind and gone on with")
        assert [draft.text for draft in store.prompts.list_drafts()] == [
            "left behind and gone on with"
        ]


def test_a_chat_that_is_not_saved_keeps_its_draft_to_itself() -> None:
    with Store.in_memory() as store:
        conversation = store.create_conversation("temporary")
        store.prompts.save_draft(conversation, "secret")
        assert [draft.text for draft in store.prompts.list_drafts()] == ["secret"]


def sent(store: Store, *arguments: object) -> list[str]:
    return [prompt.text for prompt in store.prompts.list_sent(*arguments)]  # type: ignore[arg-type]


def test_what_was_sent_comes_newest_first_and_once(store: Store, say: Callable[..., int]) -> None:
    first = say("what is a crane")
    conversation = store.get_message(first).conversation_id
    answer = store.begin_answer(conversation, first).id
    store.finish_answer(answer, parts_of("A crane is a bird."), [1], "complete")
    for text in ("thanks", "what is a crane", "cranes fly", "thanks", "  "):
        say(text)
    store.add_message(conversation, Message("user", (File("a.txt", "crane"), Text("read it"))))
    assert sent(store) == ["read it", "thanks", "cranes fly", "what is a crane"]
    assert sent(store, "crane") == ["cranes fly", "what is a crane"]
    assert sent(store, "", 2) == ["read it", "thanks"]
    (last,) = store.prompts.list_sent("cranes fly")
    assert [p.text for p in store.prompts.list_sent(before=last.message_id, known={"thanks"})] == [
        "what is a crane"
    ]
    store.delete_conversation(last.conversation_id)
    assert sent(store, "crane") == ["what is a crane"]


def test_what_was_said_all_the_time_ends_the_search(store: Store) -> None:
    conversation = store.create_conversation("one")
    with store.session.writing() as db:
        db.execute(
            "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO messages (conversation_id, role, status, created_at)"
            " SELECT ?, 'user', 'complete', 0 FROM n",
            (MAX_LOOKED_AT + 300, conversation),
        )
        db.execute(
            "INSERT INTO parts (message_id, position, kind, text)"
            " SELECT id, 0, 'text', iif(id < 200, 'old ' || id, 'ok') FROM messages"
        )
    (only,) = store.prompts.list_sent(limit=5)
    assert only.text == "ok"
    assert len(store.prompts.list_sent(limit=5, before=210)) == 5
