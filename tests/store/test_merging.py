"""Conversations that come in again: nothing twice, nothing changed, what is new in its place."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.rows import ConversationRow, ConversationTree, MessageRow


def tree(*said: str, uid: str = "a" * 32, title: str = "from elsewhere") -> ConversationTree:
    """One line of messages, their names made of their place."""
    rows = tuple(
        MessageRow(
            id=n,
            conversation_id=0,
            parent_id=n - 1 or None,
            role="assistant" if n % 2 == 0 else "user",
            parts=parts_of(text),
            status="complete",
            created_at=100.0 + n,
            tokens=(),
            sibling_index=0,
            sibling_count=1,
            uid=f"{uid[:28]}{n:04x}",
        )
        for n, text in enumerate(said, start=1)
    )
    leaf = rows[-1].id if rows else None
    head = ConversationRow(0, title, "", 100.0, 100.0 + len(rows), leaf, None, uid)
    return ConversationTree(head, rows)


def texts(store: Store, conversation: int) -> list[str]:
    return [row.content for row in store.get_path(conversation)]


def test_what_is_known_is_not_added_again(store: Store) -> None:
    (first,) = store.add_trees([tree("one", "two")])
    (again,) = store.add_trees([tree("one", "two", title="other")])
    assert (first.is_new, first.messages) == (True, 2)
    assert (again.is_new, again.messages) == (False, 0)
    assert again.conversation_id == first.conversation_id
    assert store.count_messages() == 2
    assert store.get_conversation(first.conversation_id).title == "from elsewhere"


def test_new_messages_go_below_those_that_are_known(store: Store) -> None:
    (first,) = store.add_trees([tree("one", "two")])
    (again,) = store.add_trees([tree("one", "two", "three", "four")])
    assert (again.is_new, again.messages) == (False, 2)
    assert texts(store, first.conversation_id) == ["one", "two", "three", "four"]
    assert store.get_conversation(first.conversation_id).updated_at == 104.0
    assert [hit.message_id for hit in store.search("three")]
    assert store.add_trees([tree("one", "two", "three", "four")])[0].messages == 0


def test_a_branch_that_was_gone_on_with_here_stays_in_view(store: Store) -> None:
    (first,) = store.add_trees([tree("one", "two")])
    conversation = first.conversation_id
    leaf = store.get_path(conversation)[-1].id
    store.add_message(conversation, Message.of("user", "mine"), leaf)
    store.add_trees([tree("one", "two", "three")])
    assert texts(store, conversation) == ["one", "two", "mine"]
    assert store.get_conversation(conversation).updated_at > 104.0
    assert len(store.get_tree(conversation).messages) == 4


def test_deleted_conversations_stay_deleted_and_are_told(store: Store) -> None:
    (first,) = store.add_trees([tree("one")])
    store.delete_conversation(first.conversation_id)
    (again,) = store.add_trees([tree("one", "two")])
    assert (again.is_new, again.is_deleted, again.messages) == (False, True, 1)
    assert store.list_conversations() == []


def test_without_a_name_everything_is_new(store: Store) -> None:
    nameless = tree("one")
    nameless = replace(nameless, conversation=replace(nameless.conversation, uid=""))
    assert [one.is_new for one in store.add_trees([nameless, nameless])] == [True, True]


def test_a_name_that_another_conversation_has_is_changed_the_same_way(store: Store) -> None:
    one = tree("one", "two")
    other = replace(one, conversation=replace(one.conversation, uid="b" * 32))
    added = store.add_trees([one, other])
    assert [row.is_new for row in added] == [True, True]
    assert store.count_messages() == 4
    assert [row.messages for row in store.add_trees([one, other, other])] == [0, 0, 0]
    names = [row.uid for row in store.get_path(added[1].conversation_id)]
    assert len({*names, *(row.uid for row in one.messages)}) == 4


def test_a_bad_tree_undoes_all(store: Store, say: Callable[..., int]) -> None:
    say("mine")
    store.add_trees([tree("one", "two")])
    grown = tree("one", "two", "three")
    bad = replace(grown, messages=(*grown.messages[:2], replace(grown.messages[2], parent_id=9)))
    with pytest.raises(StoreError, match="has no place"):
        store.add_trees([tree("new", uid="c" * 32), bad])
    assert store.count_messages() == 3


# What was deleted here


def names(store: Store, conversation: int) -> set[str]:
    return {row.uid for row in store.get_tree(conversation).messages}


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("branch", [False, True])
def test_what_was_deleted_here_does_not_come_in_again(store: Store, place: int, branch: bool):
    whole = tree("one", "two", "three", "four")
    (first,) = store.add_trees([whole])
    conversation, before = first.conversation_id, store.get_path(first.conversation_id)
    branches = store.branches
    cut = (branches.delete_branch if branch else branches.delete_message)(before[place].id)
    left, count = texts(store, conversation), store.count_messages()
    for _ in range(2):
        (again,) = store.add_trees([whole])
        assert (again.is_new, again.messages) == (False, 0)
        assert texts(store, conversation) == left
        assert store.count_messages() == count
    branches.undelete(cut.id)
    assert [row.id for row in store.get_path(conversation)] == [row.id for row in before]
    assert store.add_trees([whole])[0].messages == 0


def test_what_is_new_below_a_message_that_was_deleted_alone_goes_up(store: Store) -> None:
    (first,) = store.add_trees([tree("one", "two", "three")])
    conversation = first.conversation_id
    path = store.get_path(conversation)
    store.branches.delete_message(path[2].id)
    grown = tree("one", "two", "three", "four")
    assert store.add_trees([grown])[0].messages == 1
    assert texts(store, conversation) == ["one", "two", "four"]
    assert store.add_trees([grown])[0].messages == 0


def test_what_is_new_below_a_branch_that_was_deleted_is_deleted_with_it(store: Store) -> None:
    (first,) = store.add_trees([tree("one", "two", "three")])
    conversation = first.conversation_id
    cut = store.branches.delete_branch(store.get_path(conversation)[1].id)
    grown = tree("one", "two", "three", "four")
    for _ in range(2):
        assert store.add_trees([grown])[0].messages == 0
        assert texts(store, conversation) == ["one"]
        assert store.search("four") == []
    store.branches.undelete(cut.id)
    assert texts(store, conversation)[:3] == ["one", "two", "three"]
    assert names(store, conversation) == {message.uid for message in grown.messages}
    assert store.add_trees([grown])[0].messages == 0


def test_a_first_message_that_was_deleted_with_all_below_it_leaves_the_chat_empty(store: Store):
    whole = tree("one", "two")
    (first,) = store.add_trees([whole])
    store.branches.delete_branch(store.get_path(first.conversation_id)[0].id)
    assert store.add_trees([whole])[0].messages == 0
    assert store.get_path(first.conversation_id) == []


def test_what_has_another_name_here_is_known_when_it_was_deleted(store: Store) -> None:
    one = tree("one", "two")
    other = replace(one, conversation=replace(one.conversation, uid="b" * 32))
    _, second = store.add_trees([one, other])
    store.branches.delete_message(store.get_path(second.conversation_id)[1].id)
    assert [row.messages for row in store.add_trees([one, other])] == [0, 0]
    assert texts(store, second.conversation_id) == ["one"]
