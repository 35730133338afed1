"""Conversations and the message tree."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.parts import parts_of
from chatapp.store import Store
from chatapp.store.rows import Purged


def texts(
    store: Store, conversation: int, leaf: int | None = None, limit: int | None = None
) -> list[str]:
    return [row.content for row in store.get_path(conversation, leaf, limit)]


def test_a_conversation_goes_down_one_path(store: Store, say: Callable[..., int]) -> None:
    first = say("1")
    conversation = store.get_message(first).conversation_id
    second = say("2", conversation, first)
    third = say("3", conversation, second)
    assert store.get_conversation(conversation).active_leaf_id == third
    assert texts(store, conversation) == ["1", "2", "3"]
    assert texts(store, conversation, second) == ["1", "2"]
    assert texts(store, conversation, limit=2) == ["2", "3"]
    assert texts(store, conversation, second, limit=1) == ["2"]
    assert texts(store, conversation, limit=0) == []
    assert store.count_messages() == 3


def test_editing_adds_a_sibling_and_keeps_the_old_branch(
    store: Store, say: Callable[..., int]
) -> None:
    first = say("1")
    conversation = store.get_message(first).conversation_id
    old = say("old", conversation, first)
    below_old = say("below old", conversation, old)
    new = say("new", conversation, first)
    assert store.siblings(old) == store.siblings(new) == [old, new]
    rows = store.get_path(conversation)
    assert [(row.content, row.sibling_index, row.sibling_count) for row in rows] == [
        ("1", 0, 1),
        ("new", 1, 2),
    ]
    store.select_leaf(conversation, store.leaf_below(old))
    assert store.get_conversation(conversation).active_leaf_id == below_old
    assert texts(store, conversation) == ["1", "old", "below old"]
    assert store.leaf_below(first) == new
    assert store.leaf_below(below_old) == below_old
    assert [row.id for row in store.get_tree(conversation).messages] == [
        first,
        old,
        below_old,
        new,
    ]


def test_first_messages_are_siblings_within_their_conversation(
    store: Store, say: Callable[..., int]
) -> None:
    say("elsewhere")
    first = say("1")
    conversation = store.get_message(first).conversation_id
    again = say("1 again", conversation)
    assert store.siblings(first) == [first, again]
    assert store.get_message(again).sibling_index == 1
    assert texts(store, conversation) == ["1 again"]


def test_a_parent_must_be_of_the_same_conversation(store: Store, say: Callable[..., int]) -> None:
    stranger = say("stranger")
    conversation = store.create_conversation()
    with pytest.raises(StoreError, match="no message"):
        say("2", conversation, stranger)
    with pytest.raises(StoreError, match="no message"):
        store.begin_answer(conversation, stranger)
    with pytest.raises(StoreError, match="no message"):
        store.select_leaf(conversation, stranger)
    with pytest.raises(StoreError, match="no message"):
        store.get_path(conversation, stranger)
    assert store.get_path(conversation) == []
    assert store.get_conversation(conversation).active_leaf_id is None


@pytest.mark.parametrize("missing", [0, -1, 999, 2**63, 2**200])
def test_what_is_not_there_is_an_error(store: Store, missing: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.get_conversation(missing),
        lambda: store.get_path(missing),
        lambda: store.get_tree(missing),
        lambda: store.get_message(missing),
        lambda: store.siblings(missing),
        lambda: store.leaf_below(missing),
        lambda: store.rename_conversation(missing, "x"),
        lambda: store.set_system(missing, "x"),
        lambda: store.delete_conversation(missing),
        lambda: store.undelete_conversation(missing),
        lambda: store.add_message(missing, Message.of("user", "x")),
        lambda: store.journal_answer(missing, parts_of("x"), []),
        lambda: store.finish_answer(missing, parts_of("x"), [], "complete"),
        lambda: store.resume_answer(missing),
    ]
    for call in calls:
        with pytest.raises(StoreError):
            call()
    assert store.list_conversations() == []


def test_the_list_is_newest_used_first_and_paged(store: Store, say: Callable[..., int]) -> None:
    ids = [store.create_conversation(f"chat {number}") for number in range(5)]
    say("hello", ids[1])
    store.rename_conversation(ids[0], "renamed")
    listed = [row.id for row in store.list_conversations()]
    assert listed == [ids[1], ids[4], ids[3], ids[2], ids[0]]
    assert [row.id for row in store.list_conversations(limit=2, offset=1)] == listed[1:3]
    last = store.last_conversation()
    assert last is not None
    assert last.id == ids[1]


def test_an_empty_store_has_no_last_conversation(store: Store) -> None:
    assert store.last_conversation() is None
    assert store.list_conversations() == []
    assert store.count_messages() == 0


def test_titles_are_one_clean_line(store: Store) -> None:
    conversation = store.create_conversation("  a\n\tb\x1b[31m \x00c  ")
    assert store.get_conversation(conversation).title == "a b c"
    store.rename_conversation(conversation, "x" * 5000)
    assert store.get_conversation(conversation).title == "x" * 200


@pytest.mark.parametrize(
    "title",
    [
        "The 👨‍👩‍👧‍👦 family",
        "می‌خواهم بدانم",
        "क्‍ष and ശ്രീ‌",
        "❤️ or ❤︎",
        "cafe\u0301 a\u20dd",
        "Donau\xaddampf",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f plays",
        "\ue0b0 prompt \U000f0001",
        "a character of next year: \U0001fae9",
        "עברית\u200f!",
        "👍🏽🇩🇪🇫🇷",
    ],
)
def test_titles_keep_what_words_and_emoji_are_made_of(store: Store, title: str) -> None:
    conversation = store.create_conversation(title)
    assert store.get_conversation(conversation).title == title
    [found] = store.list_conversations()
    assert found.title == title


def test_titles_lose_overrides_and_what_nobody_sees(store: Store) -> None:
    for given, kept in {
        "\u202egpj.exe\u202c": "gpj.exe",
        "a\u2066b\u2069\x9bc\u2028d\x85e": "ab c d e",
        "\u200d\u200c\ufe0f\u200b": "",
        "\ud83d\ude00 \ud83d": "😀 \ufffd",
    }.items():
        assert store.get_conversation(store.create_conversation(given)).title == kept


FAMILY = "👨‍👩‍👧‍👦"


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (FAMILY, ""),
        ("e\u0301\u0302", ""),
        ("👍🏽", ""),
        ("🇩🇪🇫🇷", ""),
        ("x🇩🇪", "x"),
        ("❤️‍🔥", ""),
        ("क्षि", ""),
        ("ᄀ\u1161\u11a8", ""),
        ("xyz", "x"),
    ],
)
def test_a_long_title_is_cut_between_characters(store: Store, end: str, kept: str) -> None:
    conversation = store.create_conversation("x" * 199 + end)
    assert store.get_conversation(conversation).title == "x" * 199 + kept
    hard = "z" + "\u0301" * 500
    assert store.get_conversation(store.create_conversation(hard)).title == hard[:200]


def test_the_system_prompt_is_kept_as_given(store: Store) -> None:
    conversation = store.create_conversation(system="be\nbrief")
    assert store.get_conversation(conversation).system == "be\nbrief"
    store.set_system(conversation, "")
    assert store.get_conversation(conversation).system == ""


def test_deleting_hides_and_undeleting_brings_back(store: Store, say: Callable[..., int]) -> None:
    message = say("elephant")
    conversation = store.get_message(message).conversation_id
    store.delete_conversation(conversation)
    assert store.list_conversations() == []
    assert store.list_conversations(query="elephant") == []
    assert store.search("elephant") == []
    assert store.last_conversation() is None
    assert store.count_messages() == 0
    assert store.get_conversation(conversation).deleted_at is not None
    store.undelete_conversation(conversation)
    assert [row.id for row in store.list_conversations(query="elephant")] == [conversation]
    assert [hit.message_id for hit in store.search("elephant")] == [message]


def test_purging_removes_for_good(store: Store, say: Callable[..., int]) -> None:
    kept = say("elephant kept")
    gone = say("elephant unspeakable")
    conversation = store.get_message(gone).conversation_id
    answer = store.begin_answer(conversation, gone).id
    store.finish_answer(answer, parts_of("trumpet unspeakable"), [1], "complete")
    store.begin_answer(conversation, gone)
    store.delete_conversation(conversation)
    assert store.purge_deleted(1) == Purged(0, swept=True)
    assert store.purge_deleted(0) == Purged(1, swept=True)
    assert store.purge_deleted(0) == Purged(0, swept=True)
    with pytest.raises(StoreError, match="no conversation"):
        store.get_conversation(conversation)
    assert [hit.message_id for hit in store.search("elephant")] == [kept]
    assert store.search("trumpet") == []
    assert store.find_damage() == []
    assert store.path is not None
    assert b"unspeakable" not in store.path.read_bytes()
    assert say("next") > answer, "an id is never used twice"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("nul \x00 and \x1b[31m escapes", "nul \x00 and \x1b[31m escapes"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("a pair \ud83d\ude42 in halves", "a pair 🙂 in halves"),
        ("\r\n mixed \n ends \r", "\r\n mixed \n ends \r"),
        ("é 北京 👩‍👩‍👧 \u202e \ufeff", "é 北京 👩‍👩‍👧 \u202e \ufeff"),
        ("", ""),
        ("long " * 600_000, "long " * 600_000),
    ],
)
def test_text_is_kept_as_it_is(
    store: Store, say: Callable[..., int], given: str, kept: str
) -> None:
    assert store.get_message(say(given)).content == kept


def test_a_long_conversation_is_walked_to_its_root(store: Store) -> None:
    conversation = store.create_conversation()
    with store.session.writing() as db:
        for number in range(5000):
            db.execute(
                "INSERT INTO messages (conversation_id, parent_id, role, status, created_at)"
                " VALUES (?, ?, 'user', 'complete', 0)",
                (conversation, number or None),
            )
            db.execute(
                "INSERT INTO parts (message_id, position, kind, text) VALUES (?, 0, 'text', ?)",
                (number + 1, str(number)),
            )
    store.select_leaf(conversation, 5000)
    assert texts(store, conversation) == [str(number) for number in range(5000)]
    assert texts(store, conversation, limit=3) == ["4997", "4998", "4999"]
    assert store.leaf_below(1) == 5000


def test_threads_share_a_store(store: Store, say: Callable[..., int]) -> None:
    conversation = store.create_conversation()

    def work(number: int) -> int:
        message = say(f"message {number}", conversation)
        assert store.get_message(message).content == f"message {number}"
        assert [hit.message_id for hit in store.search(f'"message {number}"')] == [message]
        return message

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(work, range(40)))
    assert len(set(ids)) == 40
    assert store.siblings(ids[0]) == sorted(ids)
