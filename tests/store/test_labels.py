"""Pins, the archive, tags and a chat's own settings: what the list shows, and in which order."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.errors import StoreError
from chatapp.store import Store
from chatapp.store.labels import MAX_TAG, clean_tag


def listed(store: Store, **wanted: object) -> list[int]:
    return [row.id for row in store.list_conversations(**wanted)]  # type: ignore[arg-type]


def test_pinned_ones_stand_first_and_the_last_used_first_among_them(
    store: Store, say: Callable[..., int]
) -> None:
    ids = [store.create_conversation(f"chat {number}") for number in range(5)]
    for place in (1, 3):
        store.labels.pin(ids[place])
    assert listed(store) == [ids[3], ids[1], ids[4], ids[2], ids[0]]
    say("hello", ids[0])
    say("hello", ids[1])
    assert listed(store) == [ids[1], ids[3], ids[0], ids[4], ids[2]]
    assert listed(store, limit=2, offset=1) == [ids[3], ids[0]]
    assert [row.pinned for row in store.list_conversations()] == [True, True, False, False, False]
    last = store.last_conversation()
    assert last is not None
    assert last.id == ids[1]
    say("hello", ids[4])
    last = store.last_conversation()
    assert last is not None
    assert last.id == ids[4], "a pin is not a use"
    store.labels.unpin(ids[1])
    assert listed(store) == [ids[3], ids[4], ids[1], ids[0], ids[2]]


def test_the_archive_is_a_list_of_its_own(store: Store, say: Callable[..., int]) -> None:
    kept, away = store.create_conversation("kept"), store.create_conversation("away")
    message = say("elephant", away)
    store.labels.archive(away)
    assert listed(store) == [kept]
    assert listed(store, query="elephant") == []
    assert listed(store, archived=True) == listed(store, archived=True, query="elephant") == [away]
    assert set(listed(store, archived=None)) == {kept, away}
    assert [hit.message_id for hit in store.search("elephant")] == [message]
    last = store.last_conversation()
    assert last is not None
    assert last.id == kept
    assert store.get_conversation(away).archived
    store.labels.unarchive(away)
    assert listed(store) == [away, kept]
    store.labels.archive(away)
    store.delete_conversation(away)
    assert listed(store, archived=None) == [kept]


def test_tags_are_kept_in_one_form(store: Store) -> None:
    one, two = store.create_conversation("one"), store.create_conversation("two")
    assert store.labels.set_tags(one, ["Work", "#work ", "  Zoë\n home ", ""]) == (
        "work",
        "zoë home",
    )
    assert store.labels.add_tag(two, "#WORK") == "work"
    assert store.labels.add_tag(two, "work") == "work"
    assert store.get_conversation(two).tags == ("work",)
    assert [row.tags for row in store.list_conversations()] == [("work",), ("work", "zoë home")]
    assert listed(store, tag="Work") == [two, one]
    assert listed(store, tag="ZOE\u0308 home") == [one]
    assert listed(store, tag="nobody's") == []
    assert store.labels.list_tags() == [("work", 2), ("zoë home", 1)]
    store.labels.remove_tag(one, "WORK")
    store.labels.remove_tag(one, "never there")
    assert listed(store, tag="work", query="two") == [two]
    assert listed(store, tag="work", query="one") == []
    store.delete_conversation(two)
    assert store.labels.list_tags() == [("zoë home", 1)]
    assert store.labels.set_tags(one, []) == ()


@pytest.mark.parametrize("tag", ["", " ", "#", "\x1b\u202e", "# #"])
def test_a_tag_says_something(store: Store, tag: str) -> None:
    conversation = store.create_conversation("one")
    with pytest.raises(StoreError, match="tag"):
        store.labels.add_tag(conversation, tag)


@given(st.text(max_size=80))
def test_a_clean_tag_stays_as_it_is(text: str) -> None:
    tag = clean_tag(text)
    assert clean_tag(tag) == tag
    assert len(tag) <= MAX_TAG
    assert tag == tag.strip()
    assert "\n" not in tag


def test_settings_are_kept_as_they_are_given(store: Store) -> None:
    conversation = store.create_conversation("one")
    assert store.get_conversation(conversation).settings == ""
    text = '{"sampling": {"temperature": 0.7}, "model": "ü\\u0000"}'
    store.set_settings(conversation, text)
    assert store.get_conversation(conversation).settings == text
    (row,) = store.list_conversations()
    assert row.settings == text
    store.set_settings(conversation, "")
    assert store.get_conversation(conversation).settings == ""


@pytest.mark.parametrize("missing", [0, -1, 999, 2**63])
def test_what_is_not_there_is_an_error(store: Store, missing: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.labels.pin(missing),
        lambda: store.labels.unpin(missing),
        lambda: store.labels.archive(missing),
        lambda: store.labels.set_tags(missing, ["a"]),
        lambda: store.labels.add_tag(missing, "a"),
        lambda: store.labels.remove_tag(missing, "a"),
        lambda: store.set_settings(missing, "{}"),
        lambda: store.prompts.save_draft(missing, "a"),
        lambda: store.branches.outline(missing),
        lambda: store.branches.edit(missing, ()),
        lambda: store.branches.delete_branch(missing),
        lambda: store.branches.delete_message(missing),
        lambda: store.branches.undelete(missing),
        lambda: store.branches.fork(missing, 1, None),
    ]
    for call in calls:
        with pytest.raises(StoreError):
            call()
