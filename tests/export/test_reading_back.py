"""Lossless JSON: out, in, and out again; and files that mean harm."""

import copy
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chatapp.conversation import Message
from chatapp.errors import UsageError
from chatapp.export import export, render
from chatapp.export.reading import parse_document
from chatapp.parts import Reasoning, Text, parts_of
from chatapp.store import Store
from chatapp.store.rows import ConversationTree, MessageRow

UID = re.compile('"uid": "([0-9a-f]{32})"')


def import_json(store: Store, text: str) -> list[int]:
    """Add the conversations of an export; the ids of those that were not known."""
    added = store.add_trees(parse_document(json.loads(text)))
    return [one.conversation_id for one in added if one.is_new]


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
        assert [row.uid for row in back.messages] == [row.uid for row in tree.messages]
        assert back.conversation.uid == tree.conversation.uid
        assert back.conversation.title == tree.conversation.title
        assert back.conversation.system == tree.conversation.system
        assert back.conversation.updated_at == tree.conversation.updated_at
        assert [row.content for row in other.get_path(new)] == [
            row.content for row in store.get_path(tree.conversation.id)
        ]
        assert [hit.role for hit in other.search("why")] == ["user"]


def test_what_a_conversation_has_of_its_own_comes_back(
    store: Store, tree: ConversationTree
) -> None:
    chat = tree.conversation.id
    store.set_settings(chat, '{"sampling":  {"temperature": 1e400}, "model": "\\ud83d"}')
    store.labels.set_tags(chat, ["work", "zoë"])
    store.labels.pin(chat)
    store.labels.archive(chat)
    cut = store.branches.delete_branch(tree.messages[-1].id)
    edited = store.branches.edit(tree.messages[1].id, parts_of("by hand"))
    text = "".join(export("json", store, [chat]))
    with Store.in_memory() as other:
        (new,) = import_json(other, text)
        assert "".join(export("json", other, [new])) == text
        given, back = store.get_conversation(chat), other.get_conversation(new)
        for name in ("settings", "tags", "pinned_at", "archived_at", "updated_at"):
            assert getattr(back, name) == getattr(given, name), name
        assert [row.by_hand for row in other.get_path(new)] == [False, True]
        assert other.list_conversations() == []
        assert [row.id for row in other.list_conversations(archived=True, tag="work")] == [new]
        names = {row.uid for row in other.get_tree(new).messages}
    assert edited.uid in names
    assert store.get_message(cut.message_id).uid not in names, "deleted ones are not exported"


def test_many_conversations_and_empty_ones(store: Store, tree: ConversationTree) -> None:
    empty = store.get_tree(store.create_conversation("nothing said"))
    text = render("json", tree, empty)
    with Store.in_memory() as other:
        new = import_json(other, text)
        assert render("json", *(other.get_tree(id_) for id_ in new)) == text
        assert import_json(other, render("json")) == []
        assert len(other.list_conversations()) == 2


def test_importing_twice_adds_nothing(store: Store, tree: ConversationTree) -> None:
    text = render("json", tree)
    assert import_json(store, text) == [], "the store that wrote it knows it"
    with Store.in_memory() as other:
        (new,) = import_json(other, text)
        assert import_json(other, text) == []
        assert other.count_messages() == len(tree.messages)
        assert render("json", other.get_tree(new)) == text


def test_an_export_that_has_grown_adds_what_is_new(store: Store, tree: ConversationTree) -> None:
    before = render("json", tree)
    said = store.add_message(
        tree.conversation.id, Message.of("user", "One more"), tree.messages[0].id
    )
    grown = render("json", store.get_tree(tree.conversation.id))
    with Store.in_memory() as other:
        (new,) = import_json(other, before)
        assert import_json(other, grown) == []
        assert render("json", other.get_tree(new)) == grown
        assert other.get_path(new)[-1].uid == said.uid


def test_an_answer_being_written_is_recorded_as_interrupted(
    store: Store, tree: ConversationTree
) -> None:
    answer = store.begin_answer(tree.conversation.id, tree.messages[-1].id).id
    store.journal_answer(answer, parts_of("hal"), [1])
    document = json.loads(render("json", store.get_tree(tree.conversation.id)))
    last = document["conversations"][0]["messages"][-1]
    assert (last["status"], last["tokens"]) == ("interrupted", [1])
    assert last["parts"] == [{"type": "text", "text": "hal"}]


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
    "newer": (lambda d: d.update(version=4), "newer version"),
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
    "parts": (lambda d: messages(d)[0].update(parts=None), "parts is not a list of parts"),
    "kind": (lambda d: messages(d)[0].update(parts=[{"type": "video"}]), "not a list of parts"),
    "base64": (
        lambda d: messages(d)[0].update(parts=[{"type": "image", "data": "%"}]),
        "not a list of parts",
    ),
    "nested": (
        lambda d: messages(d)[0].update(
            parts=[{"type": "tool_result", "call_id": "1", "parts": [{"type": "tool_result"}]}]
        ),
        "not a list of parts",
    ),
    "same uid": (
        lambda d: messages(d)[1].update(uid=messages(d)[0]["uid"]),
        "uid is used twice",
    ),
    "uid": (lambda d: messages(d)[0].update(uid="../x"), "uid is not 32 hexadecimal"),
    "gone": (lambda d: messages(d)[0].pop("parts"), r"\[0\].parts is missing"),
    "tokens": (lambda d: messages(d)[0].update(tokens=[1, 2**31]), "list of token ids"),
    "text token": (lambda d: messages(d)[0].update(tokens="12"), "list of token ids"),
    "time": (lambda d: messages(d)[0].update(created_at=1e18), "not a number in range"),
    "before 1970": (lambda d: messages(d)[0].update(created_at=-5), "not a number in range"),
    "title": (lambda d: d["conversations"][1].update(title=["x"]), "title is not a text"),
    "generation": (
        lambda d: messages(d)[1].update(generations=[3]),
        r"generations\[0\] is not an object",
    ),
    "seed": (lambda d: messages(d)[1]["generations"][0].update(seed=2**64), "seed is not a whole"),
    "settings": (lambda d: d["conversations"][1].update(settings="[1]"), "not a JSON object"),
    "deep": (lambda d: d["conversations"][1].update(settings='{"a":' * 9**5), "not a JSON object"),
    "pin": (lambda d: d["conversations"][1].update(pinned_at="now"), "not a number in range"),
    "tags": (lambda d: d["conversations"][1].update(tags=["a", 1]), "not a list of texts"),
    "by hand": (lambda d: messages(d)[0].update(by_hand=1), "not true or false"),
    "pinned": (lambda d: messages(d)[0].update(pinned=None), "not true or false"),
    "rate": (lambda d: messages(d)[1]["generations"][0].update(decode_tps="x"), "not a number"),
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
    entry["uid"] = "0" * 32
    entry["active"] = None
    entry["title"] = "two\nlines \ud800"
    entry["messages"][0]["parts"] = [{"type": "text", "text": "half \ud83d pair"}]
    (new,) = import_json(store, json.dumps(extended))
    back = store.get_tree(new)
    assert back.conversation.title == "two lines \ufffd"
    assert back.messages[0].content == "half \ufffd pair"
    assert back.conversation.active_leaf_id == back.messages[-1].id


VERSION_1 = """{"format": "chatapp-conversations", "version": 1, "conversations": [
{"title": "Old", "system": "", "created_at": 1.5, "updated_at": 2.5, "active": 2, "messages": [
{"id": 1, "parent": null, "role": "user", "status": "complete", "created_at": 1.5,
 "content": "Why?", "reasoning": "", "tokens": [], "generation": null},
{"id": 2, "parent": 1, "role": "assistant", "status": "stopped", "created_at": 2.5,
 "content": "So\\u0000", "reasoning": "hm", "tokens": [5, 6],
 "generation": {"model_path": "/m.gguf",
 "model_name": "m", "fingerprint": "ff", "template_hash": "t", "params_json": "{}", "seed": -1,
 "prompt_tokens": 1, "reused_tokens": 0, "completion_tokens": 2, "load_s": 0.0, "ttft_s": 0.5,
 "prefill_tps": 9.5, "decode_tps": 3.5, "finish_reason": "cancelled", "error": "",
 "created_at": 2.5}}]}]}
"""


def test_a_file_of_the_first_version_comes_in(store: Store) -> None:
    (new,) = import_json(store, VERSION_1)
    asked, answered = store.get_tree(new).messages
    assert (asked.parts, asked.generations) == ((Text("Why?"),), ())
    assert answered.parts == (Reasoning("hm"), Text("So\x00"))
    assert answered.tokens == (5, 6)
    assert answered.generation is not None
    assert (answered.generation.offset, answered.generation.decode_tps) == (0, 3.5)
    assert len({asked.uid, answered.uid}) == 2
    assert import_json(store, VERSION_1) == [], "it has no names, and is known all the same"


def test_a_file_of_the_second_version_comes_in(tree: ConversationTree) -> None:
    document = json.loads(render("json", tree))
    document["version"] = 2
    (entry,) = document["conversations"]
    for name in ("settings", "pinned_at", "archived_at", "tags"):
        del entry[name]
    for message in entry["messages"]:
        del message["by_hand"], message["pinned"]
    with Store.in_memory() as store:
        (new,) = import_json(store, json.dumps(document))
        assert without_ids(store.get_tree(new)) == without_ids(tree)
        row = store.get_conversation(new)
    assert (row.settings, row.tags, row.pinned, row.archived) == ("", (), False, False)


def test_every_kind_of_part_and_every_run_comes_back(store: Store, kinds: int) -> None:
    before = store.get_tree(kinds)
    text = "".join(export("json", store, [kinds]))
    assert text == render("json", before)
    with Store.in_memory() as other:
        (new,) = import_json(other, text)
        after = other.get_tree(new)
        assert without_ids(after) == without_ids(before)
        assert [message.role for message in after.messages] == ["user", "assistant", "tool"]
        assert [run.offset for run in after.messages[1].generations] == [0, 8]
        assert render("json", after) == text


def test_a_long_chain_comes_in(store: Store, tree: ConversationTree) -> None:
    (parsed,) = parse_document(json.loads(render("json", tree)))
    template = parsed.messages[0]
    chain = tuple(
        replace(template, id=n, parent_id=n - 1 or None, uid=f"{n:032x}") for n in range(1, 5001)
    )
    conversation = replace(parsed.conversation, active_leaf_id=5000)
    with Store.in_memory() as other:
        (new,) = import_json(other, render("json", ConversationTree(conversation, chain)))
        assert len(other.get_path(new)) == 5000
