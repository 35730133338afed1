"""Exports that have grown since they were imported: what is new comes in, nothing twice."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from chatapp.store import Store
from tests.export.importers import FIXTURES, bring_in, make_database, shown


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def grow_chatgpt(value: Any) -> None:
    mapping = value[0]["mapping"]
    mapping["b"]["children"].append("n")
    mapping["n"] = copy.deepcopy(mapping["a"]) | {"id": "n", "parent": "b", "children": []}
    mapping["n"]["message"]["create_time"] = 1700000900.0
    mapping["n"]["message"]["content"]["parts"] = ["new"]
    value[0]["current_node"] = "n"


def grow_claude(value: Any) -> None:
    value[1]["chat_messages"].append(
        {"uuid": "o3", "sender": "human", "text": "new", "created_at": "2024-01-02T00:00:00Z"}
    )


def grow_openwebui(value: Any) -> None:
    history = value[1]["chat"]["history"]
    history["messages"]["n"] = {"id": "n", "parentId": "e2", "role": "user", "content": "new"}
    history["currentId"] = "n"


def grow_llamacpp(value: Any) -> None:
    message = {"id": "1003", "type": "text", "role": "user", "content": "new", "parent": "1002"}
    value[0]["messages"].append(message | {"timestamp": 1740000000009})
    value[0]["conv"]["currNode"] = "1003"


def grow_lmstudio(value: Any) -> None:
    said = {"type": "singleStep", "role": "user", "content": [{"type": "text", "text": "new"}]}
    value["messages"].append({"versions": [said], "currentlySelected": 0})


def grow_openai(value: Any) -> None:
    value["messages"].append({"role": "user", "content": "new"})


GROWN = {
    "chatgpt/conversations-001.json": grow_chatgpt,
    "claude/conversations.json": grow_claude,
    "openwebui/chats.json": grow_openwebui,
    "llamacpp/legacy.json": grow_llamacpp,
    "lmstudio/work/1750000000000.conversation.json": grow_lmstudio,
    "openai/messages.json": grow_openai,
}


@pytest.mark.parametrize("name", GROWN)
def test_new_messages_of_a_known_conversation(store: Store, name: str, tmp_path: Path) -> None:
    value = json.loads((FIXTURES / name).read_text(encoding="utf-8"))
    file = write(tmp_path / "export.json", value)
    first = bring_in(store, file)
    count = store.count_messages()
    GROWN[name](value)
    again = bring_in(store, write(file, value))
    assert (again.new, again.messages, len(again.grown)) == ([], 1, 1)
    assert store.count_messages() == count + 1
    assert shown(store, again.grown[0])[-1] == ["new"]
    assert again.known == len(first.new) - 1


def test_databases_that_have_grown(store: Store, tmp_path: Path) -> None:
    import sqlite3

    file = make_database(FIXTURES / "oterm" / "store.sql", tmp_path / "store.db")
    (chat,) = bring_in(store, file).new
    with sqlite3.connect(file) as db:
        db.execute("INSERT INTO message (chat_id, author, text) VALUES (1, 'me', 'new')")
    db.close()
    again = bring_in(store, file)
    assert (again.new, again.grown, again.messages) == ([], [chat], 1)
    assert shown(store, chat)[-1] == ["new"]


def test_another_answer_that_was_made_later_is_another_version(
    store: Store, tmp_path: Path
) -> None:
    value = json.loads((FIXTURES / "lmstudio/work/1750000000000.conversation.json").read_text())
    file = write(tmp_path / "a.conversation.json", value)
    (chat,) = bring_in(store, file).new
    versions = value["messages"][1]["versions"]
    versions.append(json.loads(json.dumps(versions[0]).replace("Noon.", "Late.")))
    again = bring_in(store, write(file, value))
    assert (again.grown, again.messages) == ([chat], 1)
    late = store.get_tree(chat).messages[-1]
    assert (late.content, late.sibling_count) == ("Late.", 3)


def test_lists_that_begin_alike_are_apart_where_the_first_answer_differs(
    store: Store, tmp_path: Path
) -> None:
    def chat(answer: str, *more: str) -> list[dict[str, str]]:
        said = ["hello", answer, *more]
        roles = ("user", "assistant")
        return [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]

    one = write(tmp_path / "one.json", chat("hi"))
    two = write(tmp_path / "two.json", chat("hey"))
    assert len(bring_in(store, one).new) == len(bring_in(store, two).new) == 1
    assert bring_in(store, write(one, chat("hi", "more"))).messages == 1
    assert bring_in(store, write(one, chat("hi", "other", "branch"))).messages == 2
    assert len(store.list_conversations()) == 2
