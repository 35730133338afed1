"""What was corrected in the history, as chats that a model is fine-tuned on."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatapp.conversation import Message
from chatapp.export import export
from chatapp.export.registry import Format
from chatapp.export.sft import ANSWERS, CORRECTIONS
from chatapp.parts import File, Image, Text, parts_of
from chatapp.paths import find_paths
from chatapp.store import Store
from chatapp.train.chats import Complaints, Said, read_chats
from tests.cli.conftest import Run, chatapp, environment

__all__ = ["chatapp", "environment"]


def ask(store: Store, talk: int, parent: int | None, question: str, *answers: str) -> int:
    """A question with answers, of which the last one is shown."""
    asked = store.add_message(talk, Message.of("user", question), parent).id
    for answer in answers:
        parent = store.begin_answer(talk, asked).id
        store.finish_answer(parent, parts_of(answer), [], "complete")
    assert parent is not None
    return parent


def read(store: Store, chosen: Format, *ids: int) -> list[list[dict[str, Any]]]:
    return [json.loads(line)["messages"] for line in export(chosen, store, ids)]


def test_edited_and_chosen_answers_are_learned_and_others_are_read(store: Store) -> None:
    talk = store.create_conversation("talk", "Be brief.")
    first = ask(store, talk, None, "Why?", "Long story.")
    edited = store.branches.edit(first, parts_of("Because.", "I know")).id
    second = ask(store, talk, edited, "Who?", "Me.", "You.")
    third = ask(store, talk, second, "When?", "Now.")
    cut = ask(store, talk, third, "And?", "Then")
    store.add_message(talk, Message.of("user", "Unanswered"), cut)
    plain = store.create_conversation("plain")
    ask(store, plain, None, "Hello", "Hi")

    learned = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because.", "reasoning_content": "I know"},
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "You."},
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": "Now."},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "Then"},
    ]
    said = [message | {"weight": 0} for message in learned[6::2]]
    corrected = [*learned[:6], said[0], learned[7], said[1]]
    assert read(store, CORRECTIONS, talk, plain) == [corrected]
    both = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    assert read(store, ANSWERS, talk, plain) == [learned, both]
    # the other version is shown: it is the chosen one
    store.select_leaf(talk, next(one for one in store.siblings(second) if one != second))
    assert read(store, CORRECTIONS, talk)[0][-1] == {"role": "assistant", "content": "Me."}


def test_an_answer_that_was_cut_off_is_never_learned(store: Store) -> None:
    talk = store.create_conversation("talk")
    first = ask(store, talk, None, "Why?", "Because.")
    asked = store.add_message(talk, Message.of("user", "Who?"), first).id
    half = store.begin_answer(talk, asked).id
    store.finish_answer(half, parts_of("Me, and"), [], "stopped")
    assert [one.get("weight") for one in read(store, ANSWERS, talk)[0][1::2]] == [None, 0]


def test_files_are_text_and_pictures_leave_a_chat_out(store: Store) -> None:
    talk = store.create_conversation("talk")
    asked = Message("user", (File("a.txt", "words", 1), Text("What?")))
    question = store.add_message(talk, asked).id
    answer = store.begin_answer(talk, question).id
    store.finish_answer(answer, parts_of("Words."), [], "complete")
    assert read(store, ANSWERS, talk)[0][0]["content"] == "a.txt\n```\nwords\n```\n\nWhat?"
    seen = store.create_conversation("seen")
    picture = store.add_message(seen, Message("user", (Image(b"x", "image/png", "x"),))).id
    answer = store.begin_answer(seen, picture).id
    store.finish_answer(answer, parts_of("A cat."), [], "complete")
    assert read(store, ANSWERS, seen) == []


def test_the_command_writes_what_fine_tuning_reads(
    chatapp: Run, home: Path, tmp_path: Path
) -> None:
    with Store.open(find_paths().history) as store:
        talk = store.create_conversation("talk", "Be brief.")
        first = ask(store, talk, None, "Why?", "Long story.")
        seen = store.create_conversation("seen")
        picture = store.add_message(seen, Message("user", (Image(b"x", "image/png", "x"),))).id
        ask(store, seen, picture, "And?", "One", "Two")
    done = chatapp("history", "export", "--format", "sft")
    assert done.returncode == 1
    assert "it holds a picture" in done.stderr
    assert "--all" in done.stderr
    with Store.open(find_paths().history) as store:
        store.branches.edit(first, parts_of("Because."))
    file = tmp_path / "mine.jsonl"
    done = chatapp("history", "export", "--format", "sft", "-o", str(file))
    assert done.returncode == 0, done.stderr
    complaints = Complaints()
    (chat,) = read_chats([file], complaints)
    assert complaints.lines == []
    assert chat.messages == (
        Said("system", "Be brief."),
        Said("user", "Why?"),
        Said("assistant", "Because."),
    )
    assert chatapp("history", "export", "--all").returncode == 2
    with Store.open(find_paths().history) as store:
        unsaid = store.create_conversation("unsaid")
        store.add_message(unsaid, Message("user", parts_of("Hello?")))
    done = chatapp("history", "export", "--format", "sft", "--all", "-o", str(file))
    assert "1 conversation written to" in done.stderr
    assert "1 conversation left out: no whole answer" in done.stderr
    alone = chatapp("history", "export", str(unsaid), "--format", "sft", "--all", "-o", "none")
    assert (alone.returncode, "no answer is whole" in alone.stderr) == (1, True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("chosen", [ANSWERS, CORRECTIONS])
def test_nothing_said_is_nothing_written(chosen: Format, store: Store) -> None:
    assert read(store, chosen, store.create_conversation("empty")) == []
