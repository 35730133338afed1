"""Conversations in memory, beside those of the file: told apart by their ids alone."""

from pathlib import Path

import pytest

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.export.registry import FORMATS, export
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.rows import FIRST_TEMPORARY, Outcome, is_temporary, temporary_range

SECRET = "rosebudwort"


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path / "history.db") as opened:
        yield opened


def talk(store: Store, conversation_id: int) -> int:
    """A question with two answers, the first with tokens; the question's id."""
    asked = store.add_message(conversation_id, Message("user", parts_of(f"what is {SECRET}")))
    first = store.begin_answer(conversation_id, asked.id)
    store.journal_answer(first.id, parts_of(SECRET), [1])
    store.finish_answer(
        first.id, parts_of(f"{SECRET} one"), [1, 2, 3], "complete", outcome=Outcome(decode_tps=7.5)
    )
    (second,) = store.begin_answers(conversation_id, asked.id)
    store.finish_answer(second.id, parts_of(f"{SECRET} two"), [4], "stopped")
    store.select_leaf(conversation_id, first.id)
    return asked.id


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_it_is_read_and_written_by_its_ids_like_any_other(store: Store, tmp_path: Path) -> None:
    new = store.temporary.begin("be brief", '{"think": "off"}')
    asked = talk(store, new)
    row = store.get_conversation(new)
    assert (row.system, row.settings) == ("be brief", '{"think": "off"}')
    assert min(new, asked) >= FIRST_TEMPORARY
    assert [one.content for one in store.get_path(new)][1:] == [f"{SECRET} one"]
    assert len(store.siblings(store.get_path(new)[-1].id)) == 2
    store.branches.edit(asked, parts_of(f"{SECRET} anew"))
    assert store.branches.pin(asked).pinned
    cut = store.branches.delete_branch(asked)
    assert store.branches.list_deleted(new) == [cut]
    store.branches.undelete(cut.id)
    store.branches.fork(new, asked, asked, Message("system", parts_of(SECRET)))
    store.prompts.save_draft(new, f"{SECRET} begun")
    store.rename_conversation(new, SECRET)
    store.set_system(new, SECRET)
    store.set_settings(new, f'"{SECRET}"')
    beside = store.create_conversation(SECRET, SECRET, beside=new)
    store.add_message(beside, Message("user", parts_of(SECRET)))
    assert temporary_range(beside) == temporary_range(new)
    for name in FORMATS:
        assert SECRET in "".join(export(name, store, [new]))
    assert SECRET.encode() not in on_disk(tmp_path)
    store.close()
    assert SECRET.encode() not in on_disk(tmp_path)


def test_it_is_in_no_list_search_draft_or_prompt_of_the_history(store: Store) -> None:
    kept = store.create_conversation("kept")
    store.add_message(kept, Message("user", parts_of("hello")))
    new = store.temporary.begin()
    talk(store, new)
    store.prompts.save_draft(new, "begun")
    assert [row.id for row in store.list_conversations()] == [kept]
    assert store.search(SECRET) == []
    assert [one.text for one in store.prompts.list_sent()] == ["hello"]
    assert store.prompts.list_drafts() == []
    assert store.count_messages() == 1
    last = store.last_conversation()
    assert last is not None
    assert last.id == kept


def test_what_is_forgotten_is_not_found_and_its_ids_do_not_come_again(store: Store) -> None:
    one, two = store.temporary.begin(), store.temporary.begin()
    asked = talk(store, one)
    talk(store, two)
    store.temporary.forget(one)
    store.temporary.forget(one)
    with pytest.raises(StoreError, match="There is no conversation"):
        store.get_path(one)
    with pytest.raises(StoreError, match="There is no message"):
        store.get_message(asked)
    with pytest.raises(StoreError):
        store.prompts.save_draft(one, "late")
    assert len(store.get_path(two)) == 2
    three = store.temporary.begin()
    assert three not in (one, two)
    assert temporary_range(three) not in (temporary_range(one), temporary_range(two))


def test_it_moves_into_the_history_with_all_its_branches(store: Store) -> None:
    new = store.temporary.begin("be brief", '{"think": "off"}')
    talk(store, new)
    merged = store.add_trees([store.get_tree(new)])[0]
    assert not is_temporary(merged.conversation_id)
    before, after = store.get_tree(new), store.get_tree(merged.conversation_id)
    assert (after.conversation.system, after.conversation.settings) == (
        before.conversation.system,
        before.conversation.settings,
    )
    assert [(row.uid, row.parts, row.tokens, row.status) for row in after.messages] == [
        (row.uid, row.parts, row.tokens, row.status) for row in before.messages
    ]
    assert after.messages[1].generations[0].decode_tps == 7.5
    assert store.search(SECRET)


@pytest.mark.parametrize("row_id", [None, 0, 1, -1, 10**6, FIRST_TEMPORARY - 1])
def test_ids_of_the_file_are_not_temporary(row_id: int | None) -> None:
    assert not is_temporary(row_id)
    assert temporary_range(row_id) == 0
