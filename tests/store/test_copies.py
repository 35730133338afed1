"""Backups, imported trees, sizes."""

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chatapp.errors import StoreError
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.rows import ConversationTree


@pytest.fixture
def tree(store: Store, say: Callable[..., int]) -> ConversationTree:
    first = say("naïve question")
    conversation = store.get_message(first).conversation_id
    answer = store.begin_answer(conversation, first).id
    store.finish_answer(answer, parts_of("one"), [1, 2], "complete")
    other = store.begin_answer(conversation, first).id
    store.journal_answer(other, parts_of("tw"), [3])
    return store.get_tree(conversation)


def renamed(tree: ConversationTree) -> ConversationTree:
    """The same conversation under names that the store does not know."""
    messages = tuple(replace(row, uid=f"{row.id:032x}") for row in tree.messages)
    return ConversationTree(replace(tree.conversation, uid="f" * 32), messages)


def test_a_backup_is_a_whole_private_history(
    store: Store, tree: ConversationTree, tmp_path: Path
) -> None:
    target = tmp_path / "backup.db"
    target.write_text("older backup")
    store.backup(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["backup.db", "home"]
    with Store.open(target) as copy:
        assert copy.get_tree(tree.conversation.id) == tree
        assert copy.find_damage() == []
        assert len(copy.search("naive")) == 1


def test_memory_can_be_backed_up(tmp_path: Path) -> None:
    with Store.in_memory() as store:
        store.create_conversation("kept after all")
        store.backup(tmp_path / "backup.db")
    with Store.open(tmp_path / "backup.db") as copy:
        assert [row.title for row in copy.list_conversations()] == ["kept after all"]


def test_backups_that_cannot_be(store: Store, tree: ConversationTree, tmp_path: Path) -> None:
    assert store.path is not None
    with pytest.raises(StoreError, match="cannot replace the history itself"):
        store.backup(store.path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        store.backup(tmp_path / "file" / "backup.db")
    assert caught.value.hint
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        store.backup(tmp_path / "folder")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder", "home"]
    assert store.get_tree(tree.conversation.id) == tree


def test_trees_come_in_under_new_ids(store: Store, tree: ConversationTree) -> None:
    (added,) = store.add_trees([renamed(tree)])
    new = added.conversation_id
    copy = store.get_tree(new)
    assert new != tree.conversation.id
    assert [m.content for m in copy.messages] == ["naïve question", "one", "tw"]
    assert [m.status for m in copy.messages] == ["complete", "complete", "interrupted"]
    assert [m.tokens for m in copy.messages] == [(), (1, 2), (3,)]
    assert {m.id for m in copy.messages}.isdisjoint(m.id for m in tree.messages)
    assert copy.messages[2].parent_id == copy.messages[0].id
    assert copy.conversation.active_leaf_id == copy.messages[2].id
    assert copy.conversation.created_at == tree.conversation.created_at
    assert len(store.search("naive")) == 2
    assert store.recover() == [], "the original is still being written by us"


@pytest.mark.parametrize("fault", ["orphan", "twice", "active"])
def test_a_bad_tree_brings_nothing_in(store: Store, tree: ConversationTree, fault: str) -> None:
    first, *others = tree.messages
    bad = {
        "orphan": replace(tree, messages=(replace(first, parent_id=77), *others)),
        "twice": replace(tree, messages=(first, first)),
        "active": replace(tree, conversation=replace(tree.conversation, active_leaf_id=77)),
    }[fault]
    with pytest.raises(StoreError):
        store.add_trees([renamed(tree), bad])
    assert [row.id for row in store.list_conversations()] == [tree.conversation.id]
    assert len(store.search("naive")) == 1


def test_disk_usage_counts_the_log_too(store: Store, say: Callable[..., int]) -> None:
    before = store.disk_usage()
    say("x" * 500_000)
    assert store.disk_usage() >= before + 500_000
