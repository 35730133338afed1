"""Lossless JSON: out, in, and out again; and files that mean harm."""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chatapp.errors import UsageError
from chatapp.export import import_json, render
from chatapp.export.reading import parse_json
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.rows import ConversationTree, MessageRow


def without_ids(tree: ConversationTree) -> list[MessageRow]:
    numbers = {message.id: number for number, message in enumerate(tree.messages)}
    return [
        replace(
            message,
            id=numbers[message.id],
            uid="",
            conversation_id=0,
            parent_id=None if message.parent_id is None else numbers[message.parent_id],
            generations=tuple(replace(g, id=0, message_id=0) for g in message.generations),
        )
        for message in tree.messages
    ]


def test_a_round_trip_loses_nothing(store: Store, tree: ConversationTree) -> None:
    first = render("json", tree)
    with Store.in_memory() as other:
        (new,) = import_json(other, first)
        back = other.get_tree(new)
        assert render("json", back) == first
        assert without_ids(back) == without_ids(tree)
        assert back.conversation.title == tree.conversation.title
        assert back.conversation.system == tree.conversation.system
        assert back.conversation.updated_at == tree.conversation.updated_at
        assert [row.content for row in other.get_path(new)] == [
            row.content for row in store.get_path(tree.conversation.id)
        ]
        assert [hit.role for hit in other.search("why")] == ["user"]


def test_many_conversations_and_empty_ones(store: Store, tree: ConversationTree) -> None:
    empty = store.get_tree(store.create_conversation("nothing said"))
    text = render("json", tree, empty)
    with Store.in_memory() as other:
        new = import_json(other, text)
        assert render("json", *(other.get_tree(id_) for id_ in new)) == text
        assert import_json(other, render("json")) == []
        assert len(other.list_conversations()) == 2


def test_importing_twice_makes_copies(store: Store, tree: ConversationTree) -> None:
    text = render("json", tree)
    one, two = (*import_json(store, text), *import_json(store, text))
    assert render("json", store.get_tree(one)) == render("json", store.get_tree(two)) == text


def test_an_answer_being_written_is_recorded_as_interrupted(
    store: Store, tree: ConversationTree
) -> None:
    answer = store.begin_answer(tree.conversation.id, tree.messages[-1].id).id
    store.journal_answer(answer, parts_of("hal"), [1])
    document = json.loads(render("json", store.get_tree(tree.conversation.id)))
    last = document["conversations"][0]["messages"][-1]
    assert (last["status"], last["content"], last["tokens"]) == ("interrupted", "hal", [1])


def test_the_json_is_one_message_a_line(tree: ConversationTree) -> None:
    lines = render("json", tree).splitlines()
    assert len([line for line in lines if line.startswith('{"id"')]) == len(tree.messages)


Change = Callable[[dict[str, Any]], object]


def messages(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["conversations"][1]["messages"]
    return found


BAD: dict[str, tuple[Change, str]] = {
    "format": (lambda d: d.update(format="other"), '"format" is not'),
    "no format": (lambda d: d.pop("format"), '"format" is not'),
    "newer": (lambda d: d.update(version=2), "newer version"),
    "version": (lambda d: d.update(version="1"), 'no "version"'),
    "no list": (lambda d: d.update(conversations={}), "conversations is not a list"),
    "no object": (lambda d: d.update(conversations=[3]), r"conversations\[0\] is not an object"),
    "self": (lambda d: messages(d)[1].update(parent=2), "2 is not a message before"),
    "cycle": (lambda d: messages(d)[0].update(parent=2), "2 is not a message before"),
    "missing": (lambda d: messages(d)[1].update(parent=99), "99 is not a message before"),
    "twice": (lambda d: messages(d)[1].update(id=1), "id 1 is used twice"),
    "true id": (lambda d: messages(d)[1].update(id=True), "id is not a whole number"),
    "huge id": (lambda d: messages(d)[1].update(id=2**70), "id is not a whole number"),
    "active": (lambda d: d["conversations"][1].update(active=99), "active 99 is not"),
    "role": (lambda d: messages(d)[0].update(role="narrator"), "role is not one of"),
    "status": (lambda d: messages(d)[0].update(status="streaming"), "status is not one of"),
    "content": (lambda d: messages(d)[0].update(content=None), "content is not a text"),
    "gone": (lambda d: messages(d)[0].pop("content"), r"\[0\].content is missing"),
    "tokens": (lambda d: messages(d)[0].update(tokens=[1, 2**31]), "list of token ids"),
    "text token": (lambda d: messages(d)[0].update(tokens="12"), "list of token ids"),
    "time": (lambda d: messages(d)[0].update(created_at=1e18), "not a number in range"),
    "before 1970": (lambda d: messages(d)[0].update(created_at=-5), "not a number in range"),
    "title": (lambda d: d["conversations"][1].update(title=["x"]), "title is not a text"),
    "generation": (lambda d: messages(d)[1].update(generation=[]), "generation is not an object"),
    "seed": (lambda d: messages(d)[1]["generation"].update(seed=2**64), "seed is not a whole"),
    "rate": (lambda d: messages(d)[1]["generation"].update(decode_tps="x"), "not a number"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_brings_nothing_in(store: Store, tree: ConversationTree, name: str) -> None:
    change, complaint = BAD[name]
    document = json.loads(render("json", tree, tree))
    change(document)
    before = store.list_conversations()
    with pytest.raises(UsageError, match=complaint) as caught:
        import_json(store, json.dumps(document))
    assert caught.value.hint
    assert store.list_conversations() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "null",
        "[]",
        "12",
        "\ufeff{}",
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"format": "chatapp-conversations", "version": 1, "conversations": [',
        '{"format": "chatapp-conversations", "version": NaN}',
        "9" * 100_000,
    ],
    ids=range(11),
)
def test_what_is_no_export_at_all(store: Store, text: str) -> None:
    with pytest.raises(UsageError, match="cannot be imported"):
        import_json(store, text)
    assert store.list_conversations() == []


def test_numbers_that_json_has_no_word_for(store: Store, tree: ConversationTree) -> None:
    text = render("json", tree)
    for wrong in ("NaN", "Infinity", "1e999", "-1"):
        broken = text.replace('"decode_tps": 30.25', f'"decode_tps": {wrong}')
        assert broken != text
        with pytest.raises(UsageError):
            import_json(store, broken)
    assert not math.isnan(store.get_tree(tree.conversation.id).conversation.created_at)


def test_strange_but_sound_files_come_in(store: Store, tree: ConversationTree) -> None:
    document = json.loads(render("json", tree))
    extended = copy.deepcopy(document)
    extended["comment"] = extended["conversations"][0]["comment"] = "from a later version"
    (entry,) = extended["conversations"]
    entry["active"] = None
    entry["title"] = "two\nlines \ud800"
    entry["messages"][0]["content"] = "half \ud83d pair"
    (new,) = import_json(store, json.dumps(extended))
    back = store.get_tree(new)
    assert back.conversation.title == "two lines \ufffd"
    assert back.messages[0].content == "half \ufffd pair"
    assert back.conversation.active_leaf_id == back.messages[-1].id


def test_a_long_chain_comes_in(store: Store, tree: ConversationTree) -> None:
    (parsed,) = parse_json(render("json", tree))
    template = parsed.messages[0]
    chain = tuple(replace(template, id=n, parent_id=n - 1 or None) for n in range(1, 5001))
    conversation = replace(parsed.conversation, active_leaf_id=5000)
    (new,) = import_json(store, render("json", ConversationTree(conversation, chain)))
    assert len(store.get_path(new)) == 5000
