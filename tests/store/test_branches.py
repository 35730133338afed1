"""Deleting messages and branches, bringing them back, editing, forking, outlines."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import File, Part, Reasoning, Text, ToolCall, parts_of
from chatapp.store import Store
from chatapp.store.rows import NewGeneration, Outcome


def texts(store: Store, conversation: int) -> list[str]:
    return [row.content for row in store.get_path(conversation)]


def shape(store: Store, conversation: int) -> list[tuple[int, int | None]]:
    return [(row.id, row.parent_id) for row in store.get_tree(conversation).messages]


class Tree:
    """A question with two answers; the second goes on with a question and an answer."""

    def __init__(self, store: Store, say: Callable[..., int]) -> None:
        self.asked = say("asked")
        self.conversation = store.get_message(self.asked).conversation_id
        self.one = store.begin_answer(self.conversation, self.asked).id
        store.finish_answer(self.one, parts_of("one"), [1], "complete")
        self.two = store.begin_answer(self.conversation, self.asked).id
        store.finish_answer(self.two, parts_of("two"), [2], "complete")
        self.more = say("more", self.conversation, self.two)
        self.end = store.begin_answer(self.conversation, self.more).id
        store.finish_answer(self.end, parts_of("end"), [3, 4], "stopped")


@pytest.fixture
def tree(store: Store, say: Callable[..., int]) -> Tree:
    return Tree(store, say)


def test_a_deleted_branch_is_nowhere_and_comes_back_as_it_was(store: Store, tree: Tree) -> None:
    before = store.get_tree(tree.conversation)
    cut = store.branches.delete_branch(tree.two)
    assert cut.leaf_id == tree.one
    assert texts(store, tree.conversation) == ["asked", "one"]
    assert store.siblings(tree.one) == [tree.one]
    assert store.leaf_below(tree.asked) == tree.one
    assert store.search("two") == store.search("end") == []
    assert store.list_conversations(query="end") == []
    assert [row.text for row in store.branches.outline(tree.conversation)] == ["asked", "one"]
    assert store.count_messages() == 2
    assert len(store.list_conversations(archived=None)) == 1
    assert store.list_deleted() == []
    assert store.branches.list_deleted(tree.conversation) == [cut]
    with pytest.raises(StoreError, match="no message"):
        store.add_message(tree.conversation, Message.of("user", "under it"), tree.end)
    assert store.branches.undelete(cut.id).leaf_id == tree.end
    assert store.get_tree(tree.conversation) == before
    assert [hit.message_id for hit in store.search("end")] == [tree.end]
    assert store.branches.list_deleted(tree.conversation) == []
    with pytest.raises(StoreError, match="undo"):
        store.branches.undelete(cut.id)
    assert store.find_damage() == []


def test_a_deleted_message_leaves_what_stands_below_it(store: Store, tree: Tree) -> None:
    before = store.get_tree(tree.conversation)
    cut = store.branches.delete_message(tree.two)
    assert texts(store, tree.conversation) == ["asked", "more", "end"]
    assert store.siblings(tree.one) == [tree.one, tree.more]
    assert store.branches.undelete(cut.id).leaf_id == tree.end
    assert store.get_tree(tree.conversation) == before


def test_a_deleted_first_message_leaves_first_messages(store: Store, tree: Tree) -> None:
    before = store.get_tree(tree.conversation)
    cut = store.branches.delete_message(tree.asked)
    assert texts(store, tree.conversation) == ["two", "more", "end"]
    store.branches.undelete(cut.id)
    assert store.get_tree(tree.conversation) == before


@pytest.mark.parametrize(
    ("shown", "deleted", "left"),
    [
        ("one", "one", "end"),
        ("end", "end", "more"),
        ("end", "asked", None),
        ("one", "end", "one"),
        ("two", "two", "one"),
    ],
)
def test_what_is_shown_stays_sensible(
    store: Store, tree: Tree, shown: str, deleted: str, left: str | None
) -> None:
    store.select_leaf(tree.conversation, getattr(tree, shown))
    cut = store.branches.delete_branch(getattr(tree, deleted))
    wanted = left and getattr(tree, left)
    assert store.get_conversation(tree.conversation).active_leaf_id == wanted == cut.leaf_id
    assert store.branches.undelete(cut.id).leaf_id == getattr(tree, shown)


def test_deleting_the_shown_message_shows_what_is_below_it(store: Store, tree: Tree) -> None:
    store.select_leaf(tree.conversation, tree.asked)
    cut = store.branches.delete_message(tree.asked)
    assert cut.leaf_id == tree.end
    assert texts(store, tree.conversation) == ["two", "more", "end"]


def test_undoing_does_not_take_one_away_from_what_was_opened_since(
    store: Store, tree: Tree, say: Callable[..., int]
) -> None:
    cut = store.branches.delete_branch(tree.two)
    new = say("something else", tree.conversation, tree.one)
    assert store.branches.undelete(cut.id).leaf_id == new
    assert texts(store, tree.conversation) == ["asked", "one", "something else"]
    assert len(store.siblings(tree.one)) == 2


def test_what_is_brought_back_stands_where_something_still_stands(store: Store, tree: Tree) -> None:
    below = store.branches.delete_branch(tree.more)
    above = store.branches.delete_message(tree.two)
    top = store.branches.delete_branch(tree.asked)
    assert store.get_path(tree.conversation) == []
    store.branches.undelete(below.id)
    assert texts(store, tree.conversation) == ["more", "end"]
    store.branches.undelete(top.id)
    store.branches.undelete(above.id)
    assert shape(store, tree.conversation) == [
        (tree.asked, None),
        (tree.one, tree.asked),
        (tree.two, tree.asked),
        (tree.more, None),
        (tree.end, tree.more),
    ]


def test_an_answer_that_is_written_is_not_deleted(store: Store, tree: Tree) -> None:
    answer = store.begin_answer(tree.conversation, tree.end).id
    with pytest.raises(StoreError, match="being written"):
        store.branches.delete_branch(tree.asked)
    with pytest.raises(StoreError, match="being written"):
        store.branches.delete_message(answer)
    store.branches.delete_branch(tree.one)
    store.finish_answer(answer, parts_of("done"), [], "complete")
    store.branches.delete_message(answer)


def test_what_is_deleted_is_not_deleted_again(store: Store, tree: Tree) -> None:
    cut = store.branches.delete_branch(tree.two)
    for again in (tree.two, tree.end):
        with pytest.raises(StoreError, match="is deleted"):
            store.branches.delete_branch(again)
        with pytest.raises(StoreError, match="is deleted"):
            store.branches.edit(again, parts_of("another version of what is gone"))
    assert store.branches.undelete(cut.id).leaf_id == tree.end


def test_a_branch_goes_with_the_bin_or_with_its_chat(store: Store, tree: Tree) -> None:
    first = store.branches.delete_message(tree.end)
    store.purge_deleted(1)
    store.branches.undelete(first.id)
    cut = store.branches.delete_branch(tree.two)
    store.empty_bin()
    with pytest.raises(StoreError, match="removed for good"):
        store.branches.undelete(cut.id)
    assert texts(store, tree.conversation) == ["asked", "one"]
    store.branches.delete_branch(tree.one)
    store.delete_conversation(tree.conversation)
    assert [row.id for row in store.list_deleted()] == [tree.conversation]
    assert store.empty_bin().conversations == 1
    with store.session.reading() as db:
        for table in ("conversations", "messages", "parts", "cuts", "generations", "tags"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert store.find_damage() == []


@settings(max_examples=60)
@given(st.data())
def test_deletions_undone_in_turn_leave_the_tree_as_it_was(data: st.DataObject) -> None:
    with Store.in_memory() as store:
        conversation = store.create_conversation("any")
        ids: list[int] = []
        for number in range(data.draw(st.integers(1, 9))):
            parent = data.draw(st.sampled_from([None, *ids]))
            said = Message.of("user", f"word{number}")
            ids.append(store.add_message(conversation, said, parent).id)
        store.select_leaf(conversation, data.draw(st.sampled_from(ids)))
        seen = [store.get_tree(conversation)]
        cuts = []
        for _ in range(data.draw(st.integers(1, 4))):
            left = [row.id for row in seen[-1].messages]
            if not left:
                break
            delete = data.draw(
                st.sampled_from([store.branches.delete_branch, store.branches.delete_message])
            )
            cuts.append(delete(data.draw(st.sampled_from(left))).id)
            tree = store.get_tree(conversation)
            assert all(row.parent_id is None or row.parent_id < row.id for row in tree.messages)
            assert (tree.conversation.active_leaf_id is None) == (not tree.messages)
            assert len(store.get_path(conversation)) <= len(tree.messages)
            seen.append(tree)
        in_turn = data.draw(st.booleans())
        for place in range(len(cuts)):
            seen.pop()
            store.branches.undelete(cuts[-1 - place] if in_turn else cuts[place])
            assert store.get_path(conversation) != []
            if in_turn:
                assert store.get_tree(conversation) == seen[-1]
        rows = store.get_tree(conversation).messages
        assert sorted(row.id for row in rows) == ids
        assert all(row.parent_id is None or row.parent_id < row.id for row in rows)
        assert {hit.message_id for hit in store.search("word1")} <= set(ids)


def test_any_message_can_be_said_otherwise(store: Store, tree: Tree) -> None:
    said: tuple[Part, ...] = (Reasoning("hm"), Text("three by hand"))
    row = store.branches.edit(tree.two, said)
    assert (row.role, row.status, row.parts) == ("assistant", "complete", said)
    assert (row.tokens, row.generations, row.by_hand) == ((), (), True)
    assert store.siblings(tree.one) == [tree.one, tree.two, row.id]
    assert texts(store, tree.conversation) == ["asked", "three by hand"]
    assert [hit.message_id for hit in store.search("three")] == [row.id]
    asked = store.branches.edit(tree.asked, parts_of("asked again"))
    assert (asked.role, asked.parent_id, asked.by_hand) == ("user", None, False)
    assert store.get_message(tree.two).by_hand is False


def test_a_fork_copies_the_end_below_a_new_head(store: Store, tree: Tree) -> None:
    made = NewGeneration("/m", "m", "ff", "tt", "{}", 7)
    prompt = store.add_message(
        tree.conversation, Message("user", (File("a.txt", "long"), Text("read"))), tree.end
    ).id
    answer = store.begin_answer(tree.conversation, prompt, made).id
    said = (Text("done"), ToolCall("1", "look", "{}"))
    store.finish_answer(answer, said, [5, 6], "failed", outcome=Outcome(error="no"))
    old = store.get_path(tree.conversation)
    head = Message.of("system", "Earlier turns in short")
    leaf = store.branches.fork(tree.conversation, answer, prompt, head)
    assert store.get_conversation(tree.conversation).active_leaf_id == leaf
    first, copied, last = store.get_path(tree.conversation)
    assert (first.role, first.content, first.parent_id) == ("system", head.content, None)
    assert (copied.parts, copied.created_at) == (old[-2].parts, old[-2].created_at)
    assert (last.parts, last.tokens, last.status) == (said, (5, 6), "failed")
    assert last.generation is not None
    assert (last.generation.fingerprint, last.generation.error) == ("ff", "no")
    assert last.uid != old[-1].uid
    assert store.siblings(tree.asked) == [tree.asked, first.id]
    store.select_leaf(tree.conversation, answer)
    went_back = store.get_path(tree.conversation)
    assert [row.id for row in went_back] == [row.id for row in old]


def test_a_fork_can_be_the_head_or_the_end_alone(store: Store, tree: Tree) -> None:
    only = store.branches.fork(tree.conversation, tree.end, None, Message.of("user", "afresh"))
    assert [row.id for row in store.get_path(tree.conversation)] == [only]
    store.branches.fork(tree.conversation, tree.end, tree.more)
    assert texts(store, tree.conversation) == ["more", "end"]
    with pytest.raises(StoreError, match="needs a message"):
        store.branches.fork(tree.conversation, tree.end, None)
    count = store.count_messages()
    with pytest.raises(StoreError, match="not in the branch"):
        store.branches.fork(tree.conversation, tree.end, tree.one, Message.of("user", "x"))
    assert store.count_messages() == count


def test_an_outline_says_of_each_message_how_it_begins(store: Store, tree: Tree) -> None:
    long = "a line\n\n" + "x" * 500
    thought = store.begin_answer(tree.conversation, tree.end).id
    store.finish_answer(thought, (Reasoning("hm\x1b[31m"),), [], "failed")
    store.branches.edit(tree.asked, (File("f", "file"), Text(long), Text("not this")))
    outline = store.branches.outline(tree.conversation)
    assert [(row.id, row.parent_id) for row in outline] == shape(store, tree.conversation)
    assert [(row.role, row.status, row.text) for row in outline[3:6]] == [
        ("user", "complete", "more"),
        ("assistant", "stopped", "end"),
        ("assistant", "failed", "hm"),
    ]
    assert outline[-1].text == "a line " + "x" * 73
    assert store.branches.outline(store.create_conversation("empty")) == []


def test_what_is_written_in_a_chat_that_was_deleted_elsewhere_brings_it_back(
    store: Store, tree: Tree
) -> None:
    store.delete_conversation(tree.conversation)
    store.add_message(tree.conversation, Message("user", parts_of("still here")), tree.end)
    assert store.get_conversation(tree.conversation).deleted_at is None
    store.delete_conversation(tree.conversation)
    store.begin_answer(tree.conversation, tree.asked)
    assert store.get_conversation(tree.conversation).deleted_at is None
