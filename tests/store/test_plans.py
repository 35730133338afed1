"""A million messages: no statement of everyday use may walk a whole table."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from chatapp.conversation import Message
from chatapp.parts import parts_of
from chatapp.store import Store

TABLES = re.compile(
    r"SCAN (messages|m|s|g|generations|c|conversations|p|parts|b|blobs|cuts|tags)\b"
)
CALLS: dict[str, Callable[[Store], object]] = {
    "list": lambda store: store.list_conversations(limit=50, offset=10),
    "list matching": lambda store: store.list_conversations(query="hello"),
    "last": lambda store: store.last_conversation(),
    "path": lambda store: store.get_path(1),
    "path's end": lambda store: store.get_path(1, limit=20),
    "tree": lambda store: store.get_tree(1),
    "message": lambda store: store.get_message(2),
    "siblings": lambda store: store.siblings(2),
    "first siblings": lambda store: store.siblings(1),
    "leaf": lambda store: store.leaf_below(1),
    "select": lambda store: store.select_leaf(1, 2),
    "add": lambda store: store.add_message(1, Message.of("user", "x"), 1),
    "rename": lambda store: store.rename_conversation(1, "x"),
    "answer": lambda store: store.begin_answer(1, 1),
    "journal": lambda store: store.journal_answer(3, parts_of("x"), []),
    "finish": lambda store: store.finish_answer(3, parts_of("x"), [], "complete"),
    "recover": lambda store: store.recover(),
    "search": lambda store: store.search("hello"),
    "search thoughts": lambda store: store.search("hello", reasoning=True),
    "deleted": lambda store: store.list_deleted(30),
    "resume": lambda store: store.resume_answer(4),
    "several": lambda store: store.begin_answers(1, 1, n=3),
    "drop": lambda store: store.drop_answer(5),
    "walk": lambda store: list(store.read_tree(1)),
    "pin": lambda store: store.labels.pin(1),
    "archived": lambda store: store.list_conversations(archived=True),
    "tag": lambda store: store.labels.add_tag(1, "work"),
    "tagged": lambda store: store.list_conversations(tag="work"),
    "tagged and matching": lambda store: store.list_conversations(tag="work", query="hello"),
    "draft": lambda store: store.prompts.save_draft(1, "begun"),
    "take draft": lambda store: store.prompts.take_draft(1),
    "prompts": lambda store: store.prompts.list_sent(),
    "prompts matching": lambda store: store.prompts.list_sent("hello"),
    "outline": lambda store: store.branches.outline(1),
    "edit": lambda store: store.branches.edit(2, parts_of("x")),
    "delete branch": lambda store: store.branches.delete_branch(4),
    "delete message": lambda store: store.branches.delete_message(2),
    "deletions": lambda store: store.branches.list_deleted(1),
    "bring back": lambda store: store.branches.undelete(store.branches.delete_branch(4).id),
    "fork": lambda store: store.branches.fork(1, 2, 1, Message.of("system", "x")),
    "search within": lambda store: store.search("hello", conversation_id=1),
}


@pytest.fixture
def filled(store: Store) -> Store:
    conversation = store.create_conversation("one")
    first = store.add_message(conversation, Message.of("user", "hello")).id
    store.add_message(conversation, Message.of("user", "hello again"), first)
    _, said, _ = (row.id for row in store.begin_answers(conversation, first, n=3))
    store.finish_answer(said, parts_of("hello", "hm"), [1], "stopped")
    return store


def explain(store: Store, call: Callable[[Store], object]) -> list[str]:
    statements: list[tuple[str, Any]] = []

    def note(sql: str, parameters: Any) -> None:
        statements.append((sql, parameters))

    with store.session.browsing() as lists, store.session.reading() as db:
        with lists.tracer(note), db.tracer(note):
            call(store)
        return [
            step[3]
            for sql, parameters in statements
            if re.match(r"\s*(SELECT|WITH|UPDATE|INSERT|DELETE)", sql)
            for step in db.conn.execute(f"EXPLAIN QUERY PLAN {sql}", parameters or ())
        ]


@pytest.mark.parametrize("name", CALLS)
def test_no_full_scan(filled: Store, name: str) -> None:
    steps = explain(filled, CALLS[name])
    allowed = (
        "VIRTUAL TABLE",
        "USING INDEX conversations_recent",
        "USING INDEX messages_streaming",
        "USING INDEX conversations_deleted",
        "USING INDEX conversations_listed",
    )
    scans = [
        step for step in steps if TABLES.match(step) and not any(index in step for index in allowed)
    ]
    assert scans == []
    assert steps or name in ("add", "answer")


def test_lists_do_not_touch_messages(filled: Store) -> None:
    read: set[str] = set()

    def authorize(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action == 20:  # SQLITE_READ
            read.add(f"{table}.{column}")
        return 0

    with filled.session.browsing() as db:
        db.conn.set_authorizer(authorize)
        filled.list_conversations()
        db.conn.set_authorizer(None)
    assert {name.split(".")[0] for name in read} == {"conversations", "tags"}


def test_matching_lists_do_not_read_bodies(filled: Store) -> None:
    read: set[str] = set()

    def authorize(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action == 20:  # SQLITE_READ
            read.add(f"{table}.{column}")
        return 0

    with filled.session.browsing() as db:
        db.conn.set_authorizer(authorize)
        filled.list_conversations(query="hello")
        db.conn.set_authorizer(None)
    assert {name for name in read if name.startswith("messages.")} == {
        "messages.id",
        "messages.conversation_id",
    }
